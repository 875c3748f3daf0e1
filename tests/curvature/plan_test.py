import logging

import keras
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.curvature import HalfSquaredNorm, Potential, TraceSettings, plan_trace
from delvm_tf.curvature.cost import bytes_per_probe, multiplications

L = keras.layers


def potential(*layers, input_shape):
    return Potential(keras.Sequential([keras.Input(input_shape), *layers]), HalfSquaredNorm())


def convolutions(*filters, size=5, **kwargs):
    layers = [L.Conv2D(f, size, padding="same", activation="relu", **kwargs) for f in filters]
    return potential(*layers, input_shape=(28, 28, 1))


def plan(trace, target, shape=(28, 28, 1), **settings):
    return plan_trace(trace, target, shape, TraceSettings(**settings))


def test_auto_takes_the_closed_form_where_there_is_one():
    assert plan("auto", potential(L.Dense(5, "relu"), input_shape=(1000,)), (1000,)).method == (
        "closed_form"
    )


@pytest.mark.parametrize(("d", "exact"), [(16, True), (17, False)])
def test_auto_is_exact_where_the_inputs_are_few_and_says_what_it_does(d, exact, caplog):
    deep = potential(L.Dense(50), L.Dense(50), input_shape=(d,))
    with caplog.at_level(logging.INFO):
        chosen = plan("auto", deep, (d,))
    assert chosen.exact == exact
    assert str(chosen) in caplog.text


def test_auto_spends_up_to_the_cost_on_an_estimate():
    two = convolutions(70, 70)
    for cost, spacing in ((2.0, 1), (4.0, 2), (6.0, 3)):
        chosen = plan("auto", two, cost=cost)
        assert not chosen.exact
        assert chosen.probes.spacing == (spacing, spacing, 1)
        assert chosen.cost <= cost
    assert plan("auto", two, cost=100.0).exact


def test_at_least_one_probe_is_taken_whatever_the_cost():
    assert plan("auto", convolutions(70, 70), cost=0.1).probes.count == 1


def test_exact_takes_windows_where_they_are_cheaper_and_a_lattice_where_they_do_not_fit():
    assert plan("exact", convolutions(8, 8)).method == "windows"
    strided = plan("exact", convolutions(8, 8, strides=2))
    assert strided.method == "lattice"
    assert strided.probes.spacing == (13, 13, 1)
    assert plan("exact", convolutions(8, 8), memory_budget=1e-6).method == "lattice"
    dense = plan("exact", potential(L.Dense(5), L.Dense(5), input_shape=(30,)), (30,))
    assert dense.method == "basis"


def test_the_cost_of_probes_is_value_gradient_and_tangents():
    """Two equal layers of F/2 each: one random probe (2F + F)/2F, exact ones skip the first."""
    square = potential(L.Dense(20, "relu"), L.Dense(20, "relu"), input_shape=(20,))
    assert plan("hutchinson", square, (20,)).cost == pytest.approx(1.5)
    assert plan("hutchinson", square, (20,), probes=4).cost == pytest.approx(3.0)
    assert plan("basis", square, (20,)).cost == pytest.approx(1 + 20 / 4)


def test_plans_say_everything_in_words():
    text = str(plan("lattice", convolutions(70, 70), spacing=3))
    assert "lattice of spacing (3, 3, 1), estimated" in text
    assert "probes    9" in text
    assert "autoencoder steps" in text
    assert "MiB an example, in chunks within 2 GiB" in text
    assert "cost      unknown" in str(plan("basis", lambda x: x, (3,)))


def test_any_function_can_be_a_potential():
    assert plan("auto", lambda x: x, (3,)).method == "basis"
    assert plan("auto", lambda x: x, (300,)).probes.count == 1


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (L.Dense(7), (5,), 35),
        (L.Dense(7), (3, 5), 3 * 35),
        (L.Conv2D(4, 3, padding="same"), (6, 5, 2), 30 * 9 * 2 * 4),
        (L.Conv2D(4, 3, strides=2), (7, 7, 2), 9 * 9 * 2 * 4),
        (L.Conv2D(4, 3, groups=2, padding="same"), (6, 5, 2), 30 * 9 * 1 * 4),
        (L.DepthwiseConv2D(3, padding="same"), (6, 5, 2), 30 * 9 * 2),
        (L.SeparableConv2D(4, 3, padding="same"), (6, 5, 2), 30 * (9 * 2 + 2 * 4)),
        (L.Conv2DTranspose(4, 3, strides=2), (6, 5, 2), 30 * 9 * 2 * 4),
        (L.MaxPooling2D(), (6, 6, 2), 0),
        (keras.Sequential([keras.Input((5,)), L.Dense(7), L.Dense(2)]), (5,), 35 + 14),
    ],
)
def test_multiplications_counted_by_hand(layer, shape, expected):
    network = keras.Sequential([keras.Input(shape), layer, L.Activation("tanh")])
    assert multiplications(network).forward == expected


def test_memory_counts_every_layers_output_three_times():
    deep = potential(L.Dense(7), L.Dense(4), input_shape=(5,))
    assert bytes_per_probe(deep, tf.zeros((2, 5))) == 3 * 4 * (7 + 4)


@pytest.mark.parametrize("trace", ["closed_form", "windows"])
def test_a_plan_that_cannot_be_carried_out_is_refused_when_it_is_made(trace):
    deep = potential(L.Dense(5), L.Dense(5), input_shape=(30,))
    with pytest.raises(ValueError, match=f"trace='{trace}' needs .*, but .*Use trace='exact'"):
        plan(trace, deep, (30,))


def test_the_cost_of_an_outer_function_that_is_differentiated_is_not_pretended(rng):
    class LogSumExp(dv.curvature.Outer):
        def __call__(self, f):
            return tf.reduce_logsumexp(f, axis=1)

        def mean_hidden(self, f):
            return tf.nn.softmax(f)

    class Model(dv.LatentEnergyModel):
        outer = LogSumExp()

    model = Model(dv.networks.ffnn((4,), activation="softplus"))
    model.adapt(rng.normal(size=(10, 40)).astype("float32"))
    assert model.objective.plan(model).cost is None
    assert not model.objective.plan(model).exact
    exact = dv.ScoreMatching("exact").plan(model)
    assert exact.exact
    assert exact.probe_count == 40
    assert "unknown" in str(exact)
