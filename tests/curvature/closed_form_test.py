import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from comparison import assert_same

from delvm_tf.curvature import HalfSquaredNorm, Potential, SoftplusSum
from delvm_tf.curvature.closed_form import affine_stage, closed_form

ACTIVATIONS = ["relu", "softplus", "silu", "tanh", "linear", "gelu", "elu", "leaky_relu"]
CONVOLUTIONS = {
    "same": ((6, 5, 2), {"padding": "same"}),
    "valid": ((6, 5, 2), {"padding": "valid"}),
    "strided": ((7, 6, 2), {"padding": "same", "strides": 2}),
    "dilated": ((7, 6, 1), {"padding": "valid", "dilation_rate": 2}),
    "without bias": ((5, 5, 2), {"padding": "same", "use_bias": False}),
    "one-dimensional": ((9, 2), {"padding": "valid"}),
    "causal": ((9, 2), {"padding": "causal"}),
    "three-dimensional": ((4, 3, 4, 1), {"padding": "same"}),
}


@pytest.mark.parametrize(
    ("activation", "use_bias"),
    [*((activation, True) for activation in ACTIVATIONS), ("gelu", False),
     *(pytest.param(a, False, marks=pytest.mark.slow) for a in ACTIVATIONS if a != "gelu")],
)  # fmt: skip
def test_dense_equals_the_nested_tape_and_its_weight_gradients(activation, use_bias, rng):
    network = reference.randomize(reference.dense((7,), activation, (5,), use_bias=use_bias), rng)
    x = tf.constant(rng.normal(size=(4, 5)))
    assert_same(closed_form, Potential(network, HalfSquaredNorm(), "float64"), x)


@pytest.mark.parametrize(
    ("kind", "activation"),
    [*((kind, "softplus") for kind in CONVOLUTIONS), ("same", "relu"), ("valid", "silu"),
     *(pytest.param(kind, activation, marks=pytest.mark.slow)
       for kind in CONVOLUTIONS for activation in ("relu", "silu", "tanh")
       if (kind, activation) not in (("same", "relu"), ("valid", "silu")))],
)  # fmt: skip
def test_convolution_equals_the_nested_tape_and_its_weight_gradients(kind, activation, rng):
    shape, kwargs = CONVOLUTIONS[kind]
    network = reference.randomize(reference.conv((4,), activation, shape, **kwargs), rng)
    x = tf.constant(rng.normal(size=(2, *shape)))
    assert_same(closed_form, Potential(network, HalfSquaredNorm(), "float64"), x)


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
def test_other_outer_functions_equal_the_nested_tape(activation, rng):
    network = reference.randomize(reference.dense((6,), activation, (4,)), rng)
    x = tf.constant(rng.normal(size=(3, 4)))
    assert_same(closed_form, Potential(network, SoftplusSum(), "float64"), x)


@pytest.mark.parametrize("groups", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_equals_derivatives_taken_one_output_at_a_time(groups, rng):
    network = reference.conv((2,), "softplus", (3, 2, 2), 2, padding="same", groups=groups)
    reference.randomize(network, rng)
    x = rng.normal(size=(1, 3, 2, 2))
    gradient, laplacian = reference.half_squared_norm_derivatives(network, x)
    curvature = closed_form(Potential(network, HalfSquaredNorm(), "float64"), tf.constant(x))
    np.testing.assert_allclose(curvature.gradient, gradient, rtol=1e-10)
    np.testing.assert_allclose(curvature.laplacian, laplacian, rtol=1e-10)


LAYERS = keras.layers
CHAINS = {
    "flatten first": ((3, 2), [LAYERS.Flatten(), LAYERS.Dense(5, "tanh")]),
    "flatten last": ((5, 5, 1), [LAYERS.Conv2D(3, 3, activation="silu"), LAYERS.Flatten()]),
    "permuted last": (
        (5, 4, 1),
        [LAYERS.Conv2D(3, 2, activation="silu"), LAYERS.Permute((3, 1, 2))],
    ),
    "separate activation": ((4,), [LAYERS.Dense(6), LAYERS.Activation("softplus")]),
    "two activations": ((4,), [LAYERS.Dense(6, "tanh"), LAYERS.ReLU()]),
    "inert layers": ((4,), [LAYERS.Dropout(0.5), LAYERS.Dense(6, "elu"), LAYERS.Identity()]),
    "leaky layer": ((4,), [LAYERS.Dense(6), LAYERS.LeakyReLU(negative_slope=0.3)]),
    "nested": ((4,), [keras.Sequential([keras.Input((4,)), LAYERS.Dense(5, "gelu")])]),
    "dense along the last axis": ((3, 4), [LAYERS.Dense(5, "softplus")]),
}


@pytest.mark.parametrize("kind", CHAINS)
def test_networks_of_several_layers_with_one_affine_map(kind, rng):
    shape, layers = CHAINS[kind]
    network = reference.randomize(reference.stack(layers, shape), rng)
    x = tf.constant(rng.normal(size=(3, *shape)))
    assert_same(closed_form, Potential(network, HalfSquaredNorm(), "float64"), x)


def test_functional_network_is_read_as_a_chain(rng):
    inputs = keras.Input((4,), dtype="float64")
    hidden = keras.layers.Dense(6, dtype="float64")(inputs)
    network = keras.Model(inputs, keras.layers.Activation("tanh", dtype="float64")(hidden))
    reference.randomize(network, rng)
    x = tf.constant(rng.normal(size=(3, 4)))
    assert_same(closed_form, Potential(network, HalfSquaredNorm(), "float64"), x)


def _branching():
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(4)(inputs)
    return keras.Model(inputs, keras.layers.Add()([inputs, hidden]))


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (lambda: keras.Sequential([keras.Input((4,)), LAYERS.Dense(3), LAYERS.Dense(2)]),
         "not elementwise after the first layer"),
        (lambda: keras.Sequential([keras.Input((4,)), LAYERS.Dense(3, "softmax")]),
         "not elementwise"),
        (lambda: keras.Sequential([keras.Input((4,)), LAYERS.LayerNormalization()]),
         "not a dense or convolutional layer"),
        (lambda: keras.Sequential([keras.Input((4, 2)), LAYERS.Flatten()]),
         "no dense or convolutional layer"),
        (_branching, "not a chain of layers"),
    ],
)  # fmt: skip
def test_networks_without_a_closed_form_say_why(network, reason):
    potential = Potential(network(), HalfSquaredNorm())
    assert reason in affine_stage(potential)
    with pytest.raises(ValueError, match=f"closed_form.*{reason}"):
        closed_form(potential, tf.zeros((2, *potential.network.input_shape[1:])))


def test_bfloat16_network_accumulates_derivatives_in_float32(rng):
    network = keras.Sequential(
        [keras.Input((20,)), keras.layers.Dense(30, "softplus", dtype="mixed_bfloat16")]
    )
    reference.randomize(network, rng, 0.2)
    exact = keras.Sequential(
        [keras.Input((20,)), keras.layers.Dense(30, "softplus", dtype="float64")]
    )
    exact.set_weights(network.get_weights())
    x = rng.normal(size=(8, 20))
    got = closed_form(Potential(network, HalfSquaredNorm()), tf.constant(x, tf.float32))
    expected = closed_form(Potential(exact, HalfSquaredNorm(), "float64"), tf.constant(x))
    assert got.gradient.dtype == got.laplacian.dtype == tf.float32
    np.testing.assert_allclose(got.laplacian, expected.laplacian, rtol=2e-2)
    np.testing.assert_allclose(got.gradient, expected.gradient, rtol=0.05, atol=0.02)
