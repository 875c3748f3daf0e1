import logging

import keras
import pytest

from delvm_tf.curvature import HalfSquaredNorm, Potential, resolve_trace


def potential(*layers, input_shape):
    return Potential(keras.Sequential([keras.Input(input_shape), *layers]), HalfSquaredNorm())


def test_auto_takes_the_closed_form_where_there_is_one():
    one_layer = potential(keras.layers.Dense(5, "relu"), input_shape=(1000,))
    assert resolve_trace("auto", one_layer, (1000,)) == "closed_form"


@pytest.mark.parametrize(("d", "expected"), [(64, "basis"), (65, "hutchinson")])
def test_auto_is_exact_where_the_inputs_are_few_and_says_what_it_does(d, expected, caplog):
    deep = potential(keras.layers.Dense(5), keras.layers.Dense(5), input_shape=(d,))
    with caplog.at_level(logging.INFO):
        assert resolve_trace("auto", deep, (d,)) == expected
    assert expected in caplog.text


def test_a_named_trace_is_taken_as_it_is():
    one_layer = potential(keras.layers.Dense(5, "relu"), input_shape=(3,))
    assert resolve_trace("nested_tape", one_layer, (3,)) == "nested_tape"


def test_any_function_can_be_a_potential():
    assert resolve_trace("auto", lambda x: x, (3,)) == "basis"
