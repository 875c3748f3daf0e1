import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from comparison import assert_same
from probing_test import trace

from delvm_tf.curvature import HalfSquaredNorm, Potential, SoftplusSum
from delvm_tf.curvature.windows import window_bytes, window_multiplications, window_stages

L = keras.layers
SHAPE = (7, 6, 2)
STACKS = {
    "one layer": [L.Conv2D(3, 3, activation="softplus")],
    "same": [L.Conv2D(4, 3, padding="same", activation="silu"),
             L.Conv2D(3, 3, padding="same", activation="tanh")],
    "valid": [L.Conv2D(4, 3, activation="gelu"), L.Conv2D(3, 2, activation="softplus")],
    "even and oblong kernels": [L.Conv2D(4, (2, 3), padding="same", activation="tanh"),
                                L.Conv2D(3, (4, 1), padding="same", activation="softplus"),
                                L.Conv2D(2, (1, 2), activation="silu")],
    "ReLU": [L.Conv2D(4, 3, padding="same", activation="relu"),
             L.Conv2D(3, 3, padding="same", activation="relu"),
             L.Conv2D(3, 3, padding="same", activation="relu")],
    "wider than the image": [L.Conv2D(3, 5, padding="same", activation="relu"),
                             L.Conv2D(3, 5, padding="same", activation="elu")],
    "apart": [L.Conv2D(4, 3, use_bias=False), L.Dropout(0.5), L.Activation("softplus"),
              L.Conv2D(3, 2), L.LeakyReLU(), L.Flatten()],
    "linear": [L.Conv2D(4, 3, padding="same"), L.Conv2D(3, 2, padding="same")],
    "many channels": [L.Conv2D(9, 3, padding="same", activation="tanh"),
                      L.Conv2D(9, 3, padding="same", activation="softplus")],
}  # fmt: skip


def stack(layers, shape=SHAPE):
    return reference.stack(layers, shape)


@pytest.mark.parametrize(
    ("kind", "budget", "graph"),
    [*((kind, 2.0, False) for kind in STACKS if kind not in ("valid", "many channels")),
     pytest.param("valid", 2.0, False, marks=pytest.mark.slow),
     pytest.param("many channels", 2.0, False, marks=pytest.mark.slow), ("same", 1e-4, False),
     pytest.param("same", 1e-9, False, marks=pytest.mark.slow),
     pytest.param("valid", 2.0, True, marks=pytest.mark.slow),
     pytest.param("valid", 1e-9, True, marks=pytest.mark.slow)],
)  # fmt: skip
def test_windows_equal_the_nested_tape_and_its_weight_gradients(kind, budget, graph, rng):
    network = reference.randomize(stack(STACKS[kind]), rng, 0.3)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    x = tf.constant(rng.normal(size=(3, *SHAPE)))

    def windows(potential, x):
        return trace("windows", potential, x, memory_budget=budget)

    assert_same(windows, potential, x, graph=graph)


def test_other_outer_functions(rng):
    network = reference.randomize(stack(STACKS["same"]), rng)
    potential = Potential(network, SoftplusSum(), "float64")
    x = tf.constant(rng.normal(size=(2, *SHAPE)))
    assert_same(lambda potential, x: trace("windows", potential, x), potential, x)


@pytest.mark.parametrize(
    "layers",
    [[L.Conv2D(3, 3, strides=2)], [L.Conv2D(3, 3, dilation_rate=2)], [L.Conv2D(4, 3, groups=2)],
     [L.Conv2D(3, 3), L.MaxPooling2D()], [L.Flatten(), L.Dense(3)],
     [L.Conv2D(3, 3), L.Flatten(), L.Dense(3)], [L.Conv2D(3, 3, activation="softmax")]],
    ids=["strides", "dilation", "groups", "pooling", "dense", "dense last", "softmax"],
)  # fmt: skip
def test_other_networks_are_refused_with_the_layer_that_does_not_fit(layers):
    potential = Potential(stack(layers), HalfSquaredNorm(), "float64")
    assert isinstance(window_stages(potential), str)
    with pytest.raises(ValueError, match=r"windows.*layer .* is neither a plain convolution"):
        trace("windows", potential, tf.zeros((2, *SHAPE), tf.float64))


def test_counts_for_two_layers_by_hand():
    network = stack([L.Conv2D(4, 3, padding="same"), L.Conv2D(5, 2, padding="same")])
    stages = window_stages(Potential(network, HalfSquaredNorm(), "float64"))
    pixels, cells = 7 * 6, 9
    assert window_multiplications(stages, SHAPE) == 2 * pixels * cells * (2 * 2 * 4 * 5)
    assert window_bytes(stages, (7, 6)) == 5 * 4 * pixels * (9 * 4 + 16 * 5)


def test_mixed_precision_keeps_derivatives_in_float32(rng):
    mixed = keras.Sequential(
        [keras.Input(SHAPE), L.Conv2D(4, 3, activation="relu", dtype="mixed_bfloat16"),
         L.Conv2D(3, 3, activation="softplus", dtype="mixed_bfloat16")]
    )  # fmt: skip
    exact = stack([L.Conv2D(4, 3, activation="relu"), L.Conv2D(3, 3, activation="softplus")])
    reference.randomize(mixed, rng, 0.3)
    exact.set_weights(mixed.get_weights())
    x = rng.normal(size=(4, *SHAPE))
    got = trace("windows", Potential(mixed, HalfSquaredNorm()), tf.constant(x, tf.float32))
    expected = trace("windows", Potential(exact, HalfSquaredNorm(), "float64"), tf.constant(x))
    assert got.laplacian.dtype == got.gradient.dtype == tf.float32
    np.testing.assert_allclose(got.laplacian, expected.laplacian, rtol=5e-2)
