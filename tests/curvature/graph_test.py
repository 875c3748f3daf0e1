"""Functional networks with operations that are no layers of their inputs alone."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from probing_test import trace

import delvm_tf as dv
from delvm_tf.curvature import (
    HalfSquaredNorm,
    Potential,
    TraceSettings,
    compute_trace,
    plan_trace,
)
from delvm_tf.curvature.graph import layer_chain, layer_nodes
from delvm_tf.curvature.nested_tape import nested_tape

L = keras.layers


def dense(units, activation="tanh"):
    return L.Dense(units, activation, dtype="float64")


OPERATIONS = {
    "sum": lambda x: dense(4)(x) + dense(4, "softplus")(x),
    "product with a number": lambda x: 2.0 * dense(4)(x),
    "product": lambda x: dense(4)(x) * dense(4, "softplus")(x),
    "slice": lambda x: dense(6)(x)[:, 1:4],
    "function": lambda x: keras.ops.sin(dense(4)(x)),
    "square of a layer used twice": lambda x: keras.ops.square(dense(4)(dense(6)(x))),
    "attention": lambda x: L.MultiHeadAttention(2, 3, dtype="float64")(
        *[L.Reshape((3, 2), dtype="float64")(dense(6)(x))] * 2
    ),
    "one part of a split": lambda x: keras.ops.split(dense(6)(x), 2, axis=-1)[1],
}


@pytest.mark.parametrize("kind", OPERATIONS)
def test_operations_are_differentiated_automatically(kind, rng):
    inputs = keras.Input((3,), dtype="float64")
    network = keras.Model(inputs, dense(2, "softplus")(OPERATIONS[kind](inputs)))
    reference.randomize(network, rng)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    x = tf.constant(rng.normal(size=(2, 3)))
    expected = nested_tape(potential, x)
    for name in ("basis", "lattice", "auto", "exact"):
        got = trace(name, potential, x)
        np.testing.assert_allclose(got.gradient, expected.gradient, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(got.laplacian, expected.laplacian, rtol=1e-9, err_msg=name)


def test_networks_with_operations_train_and_have_features_and_a_plan(rng):
    inputs = keras.Input((6, 5, 1))
    hidden = L.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    outputs = L.Conv2D(4, 3, padding="same", activation="relu")(hidden) + hidden * 0.5
    model = dv.DELVM(keras.Model(inputs, outputs), objective=dv.ScoreMatching())
    x = rng.normal(size=(12, 6, 5, 1)).astype("float32")
    model.adapt(x)
    model.compile("adam")
    assert np.isfinite(model.fit(x, batch_size=4, verbose=0).history["loss"]).all()
    assert model.features(x, pool=None).shape[0] == 12
    assert "autoencoder steps" in str(model.objective.plan(model))


def test_a_chain_is_read_in_order_and_branches_are_not_chains():
    layers = [L.Dense(4, name="first"), L.Dropout(0.5, name="second")]
    chain = keras.Sequential([keras.Input((3,)), *layers])
    assert [layer.name for layer in layer_chain(chain)] == ["first", "second"]
    inputs = keras.Input((3,))
    assert layer_chain(keras.Model(inputs, inputs + L.Dense(3)(inputs))) is None
    assert len(layer_nodes(chain)) == 2


class Doubled(keras.Sequential):
    """A Sequential model that does more than run its layers."""

    def call(self, x, training=None):
        return 2.0 * super().call(x, training=training)


class DoubledGraph(keras.Model):
    """A functional model that does more than run its layers."""

    def __init__(self):
        inputs = keras.Input((3,), dtype="float64")
        super().__init__(inputs, dense(4)(dense(4)(inputs)))

    def call(self, x, training=None):
        return 2.0 * super().call(x, training=training)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    "make",
    [lambda: Doubled([keras.Input((3,), dtype="float64"), dense(4)]), DoubledGraph],
    ids=["sequential", "functional"],
)
def test_models_with_a_call_of_their_own_are_differentiated_as_they_are_called(make, nested, rng):
    network = make()
    if nested:
        network = keras.Sequential([keras.Input((3,), dtype="float64"), network, dense(2)])
    reference.randomize(network, rng)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    x = tf.constant(rng.normal(size=(3, 3)))
    plan = plan_trace("exact", potential, (3,), TraceSettings())
    got = compute_trace(plan, potential, x, keras.random.SeedGenerator(0))
    expected = nested_tape(potential, x)
    assert plan.exact
    np.testing.assert_allclose(got.output, network(x), rtol=1e-12)
    np.testing.assert_allclose(got.gradient, expected.gradient, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.laplacian, expected.laplacian, rtol=1e-9)
