"""Propagation layer by layer, against differentiation of the whole network in float64."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from closed_form_test import loss_and_gradients

from delvm_tf.curvature import HalfSquaredNorm, Potential, SoftplusSum, register_rule
from delvm_tf.curvature.curvature import Curvature
from delvm_tf.curvature.probing import _differentiated_forms, _is_propagated, basis
from delvm_tf.curvature.taylor import TaylorJet, linear_rule, propagate

L = keras.layers
IMAGE = (4, 4, 2)
STACKS = {
    "dense": ((3,), [L.Dense(4, "softplus"), L.Dense(3, "tanh"), L.Dense(2)]),
    "convolutions": (IMAGE, [L.Conv2D(3, 3, padding="same", activation="silu"),
                             L.Conv2D(2, 2, strides=2, activation="softplus")]),
    "one-dimensional": ((6, 2), [L.Conv1D(3, 3, padding="causal", activation="gelu"),
                                 L.Conv1D(2, 2, activation="tanh")]),
    "three-dimensional": ((3, 2, 3, 1), [L.Conv3D(2, 2, activation="tanh"), L.Dense(2)]),
    "depthwise": (IMAGE, [L.DepthwiseConv2D(2, activation="tanh"), L.Conv2D(2, 1)]),
    "separable": (IMAGE, [L.SeparableConv2D(3, 2, activation="softplus"), L.Conv2D(2, 1)]),
    "transposed": (IMAGE, [L.Conv2DTranspose(2, 3, activation="tanh"), L.Conv2D(2, 2)]),
    "average pooling": (IMAGE, [L.Conv2D(3, 3, activation="tanh", padding="same"),
                                L.AveragePooling2D(2), L.Conv2D(2, 1, activation="softplus")]),
    "max pooling": (IMAGE, [L.Conv2D(3, 3, activation="tanh", padding="same"),
                            L.MaxPooling2D(2), L.Conv2D(2, 1, activation="softplus")]),
    "global pooling": (IMAGE, [L.Conv2D(3, 3, activation="tanh"), L.GlobalAveragePooling2D(),
                               L.Dense(2)]),
    "shapes": (IMAGE, [L.ZeroPadding2D(1), L.Conv2D(3, 3, activation="tanh"), L.Cropping2D(1),
                       L.UpSampling2D(2), L.Permute((2, 1, 3)), L.Flatten(), L.Dense(4, "silu"),
                       L.Reshape((2, 2)), L.Dense(2, "elu")]),
    "normalised": (IMAGE, [L.Conv2D(3, 3), L.BatchNormalization(), L.Activation("softplus"),
                           L.LayerNormalization(), L.Dropout(0.5), L.Dense(2, "tanh")]),
    "softmax": ((3,), [L.Dense(4, "softmax"), L.Dense(3), L.Softmax(), L.Dense(2)]),
    "activation layers": ((3,), [L.Dense(5), L.LeakyReLU(), L.Dense(4), L.PReLU(), L.Dense(4),
                                 L.ELU(), L.Dense(3), L.ReLU(max_value=1.0), L.Identity()]),
    "linear": ((3,), [L.Dense(4), L.Dense(3)]),
    "nested": ((3,), [keras.Sequential([keras.Input((3,)), L.Dense(4, "tanh")]), L.Dense(2)]),
}  # fmt: skip


def in_float64(layer):
    if isinstance(layer, keras.Sequential):
        return keras.Sequential(
            [keras.Input(layer.input_shape[1:], dtype="float64"), *map(in_float64, layer.layers)]
        )
    return type(layer).from_config({**layer.get_config(), "dtype": "float64"})


def by_differentiation(potential, x):
    d = int(np.prod(x.shape[1:]))
    return Curvature(*_differentiated_forms(potential, x, tf.reshape(
        tf.eye(d, dtype=x.dtype), (d, 1, *x.shape[1:])
    )))  # fmt: skip


def assert_propagation_is_exact(network, x, outer=None):
    potential = Potential(network, outer or HalfSquaredNorm(), "float64")
    assert _is_propagated(potential)
    got, _, gradients = loss_and_gradients(basis, potential, x)
    expected, _, expected_gradients = loss_and_gradients(by_differentiation, potential, x)
    np.testing.assert_allclose(got.gradient, expected.gradient, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.laplacian, expected.laplacian, rtol=1e-10, atol=1e-12)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        if wanted is None:  # a last bias, of which nothing depends in a linear network
            assert gradient is None or not np.any(gradient)
            continue
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-10 * scale + 1e-13)


@pytest.mark.parametrize("kind", STACKS)
def test_every_layer_propagates_exactly(kind, rng):
    shape, layers = STACKS[kind]
    network = keras.Sequential([keras.Input(shape, dtype="float64"), *map(in_float64, layers)])
    weights = network.get_weights()
    network.set_weights(
        [np.abs(rng.normal(size=w.shape)) + 0.1 if "variance" in v.path
         else rng.normal(size=w.shape) * 0.5 for w, v in zip(weights, network.weights, strict=True)]
    )  # fmt: skip
    assert_propagation_is_exact(network, tf.constant(rng.normal(size=(2, *shape))))


def branching():
    inputs = keras.Input((3,), dtype="float64")
    first = L.Dense(4, "softplus", dtype="float64")(inputs)
    shared = L.Dense(4, "tanh", dtype="float64")
    added = L.Add(dtype="float64")([first, shared(first)])
    product = L.Multiply(dtype="float64")([added, shared(added)])
    joined = L.Concatenate(dtype="float64")([product, inputs])
    return keras.Model(inputs, L.Dense(3, "silu", dtype="float64")(joined))


@pytest.mark.parametrize("outer", [HalfSquaredNorm, SoftplusSum])
def test_branches_merges_and_shared_layers_propagate_exactly(outer, rng):
    network = reference.randomize(branching(), rng)
    assert_propagation_is_exact(network, tf.constant(rng.normal(size=(3, 3))), outer())


def test_a_subclassed_network_is_differentiated_as_a_whole(rng):
    class Squares(keras.Model):
        def __init__(self):
            super().__init__(dtype="float64")
            self.dense = L.Dense(3, dtype="float64")

        def call(self, x):
            return tf.square(self.dense(x))

    network = Squares()
    x = tf.constant(rng.normal(size=(2, 4)))
    network(x)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    assert not _is_propagated(potential)
    gradient, laplacian = reference.half_squared_norm_derivatives(network, x)
    got = basis(potential, x)
    np.testing.assert_allclose(got.gradient, gradient, rtol=1e-10)
    np.testing.assert_allclose(got.laplacian, laplacian, rtol=1e-10)


def test_a_rule_for_an_own_layer_is_a_few_lines(rng):
    class Tripled(L.Layer):
        def call(self, x):
            return 3.0 * x

    calls = []

    @register_rule(Tripled)
    def tripled(layer, jet):
        calls.append(layer.name)
        return linear_rule(jet, lambda t: 3.0 * t)

    network = keras.Sequential(
        [keras.Input((3,), dtype="float64"), L.Dense(4, "tanh", dtype="float64"),
         Tripled(dtype="float64"), L.Dense(2, "softplus", dtype="float64")]
    )  # fmt: skip
    reference.randomize(network, rng)
    assert_propagation_is_exact(network, tf.constant(rng.normal(size=(2, 3))))
    assert calls


def test_a_layer_without_a_rule_is_named_in_the_log(rng, caplog):
    network = keras.Sequential([keras.Input((3,)), L.Dense(4), L.LayerNormalization(name="odd")])
    x = tf.constant(rng.normal(size=(2, 3)), tf.float32)
    with caplog.at_level("INFO"):
        propagate(network, TaylorJet(x, tf.eye(3)[:, tf.newaxis], 0.0))
    assert "layer odd has no rule" in caplog.text


def test_tangents_stay_shared_by_all_examples_until_the_first_nonlinearity(rng):
    network = keras.Sequential([keras.Input((5,)), L.Dense(4), L.Dense(3)])
    x = tf.constant(rng.normal(size=(7, 5)), tf.float32)
    jet = propagate(network, TaylorJet(x, tf.eye(5)[:, tf.newaxis], 0.0))
    assert jet.tangents.shape == (5, 1, 3)
    assert jet.second == 0.0
