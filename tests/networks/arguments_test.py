import keras
import numpy as np
import pytest

from delvm_tf.networks.arguments import (
    layer_arguments,
    layer_kernel_initializer,
    positive_ints,
)


def test_one_integer_or_several_become_a_tuple_of_ints():
    assert positive_ints("units", 3) == (3,)
    assert positive_ints("units", [3, 4]) == (3, 4)
    result = positive_ints("units", np.array([3, 4]))
    assert result == (3, 4)
    assert all(type(n) is int for n in result)


def test_the_message_names_the_argument_and_shows_the_value():
    with pytest.raises(ValueError, match=r"depth must be one or more positive .*got \(3, -1\)"):
        positive_ints("depth", (3, -1))


def test_the_seed_of_a_layer_is_the_networks_plus_its_index():
    initializer = layer_kernel_initializer("he_normal", seed=10, index=2)
    expected = keras.initializers.HeNormal(seed=12)((4, 4))
    np.testing.assert_array_equal(initializer((4, 4)), expected)


def test_every_layer_gets_its_own_initializer():
    given = keras.initializers.HeNormal()
    first, second = (layer_kernel_initializer(given, None, index) for index in (0, 1))
    assert first is not given
    assert not np.allclose(first((4, 4)), second((4, 4)))


@pytest.mark.parametrize(
    ("last", "count", "expected"),
    [(None, 3, ["relu"] * 3), ("linear", 3, ["relu", "relu", "linear"]), ("linear", 1, ["linear"])],
)
def test_the_last_layer_has_its_own_activation_if_one_is_given(last, count, expected):
    arguments = layer_arguments("dense", count, "relu", "zeros", None, last)
    assert [own["activation"] for own in arguments] == expected
