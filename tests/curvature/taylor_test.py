"""Propagation layer by layer, against nested tapes over the whole network in float64."""

import functools

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from comparison import assert_same

from delvm_tf.curvature import HalfSquaredNorm, Potential, SoftplusSum, register_rule
from delvm_tf.curvature.curvature import Curvature
from delvm_tf.curvature.jets import sigmoid
from delvm_tf.curvature.nested_tape import nested_tape
from delvm_tf.curvature.probing import quadratic_forms
from delvm_tf.curvature.rules.merging import product_rule
from delvm_tf.curvature.taylor import (
    _RULES,
    TaylorJet,
    elementwise_rule,
    has_rule,
    linear_rule,
    propagate,
)

L = keras.layers
IMAGE = (4, 3, 2)


def softened(*layers):
    """Layers between two that bend, so that derivatives of every order reach and leave them."""
    return [L.Dense(2, "tanh"), *layers, L.Dense(2, "softplus")]


STACKS = {
    "dense": ((3,), lambda: [L.Dense(4, "softplus"), L.Dense(3, "tanh"), L.Dense(2)]),
    "linear": ((3,), lambda: [L.Dense(4), L.Dense(3)]),
    "nested": ((3,), lambda: [
        keras.Sequential([keras.Input((3,), dtype="float64"), L.Dense(4, "tanh")]), L.Dense(2)]),
    "einsum": ((3, 2), lambda: [
        L.EinsumDense("abc,cd->abd", (3, 4), bias_axes="d", activation="tanh"),
        L.EinsumDense("...x,xy->...y", (3, 2)), L.Activation("silu")]),
    "convolutions": (IMAGE, lambda: [L.Conv2D(3, 3, padding="same", activation="silu"),
                                     L.Conv2D(2, 2, strides=2, activation="softplus")]),
    "one-dimensional": ((6, 2), lambda: [L.Conv1D(3, 3, padding="causal", activation="gelu"),
                                         L.Conv1D(2, 2, activation="tanh")]),
    "three-dimensional": ((3, 2, 3, 1), lambda: [L.Conv3D(2, 2, activation="tanh"), L.Dense(2)]),
    "depthwise": (IMAGE, lambda: [L.DepthwiseConv2D(2, activation="tanh", depth_multiplier=2),
                                  L.DepthwiseConv2D(2, strides=2, padding="same"),
                                  L.Dense(2, "silu")]),
    "depthwise in one dimension": ((5, 2), lambda: softened(L.DepthwiseConv1D(3, use_bias=False))),
    "separable": (IMAGE, lambda: [L.SeparableConv2D(3, 2, activation="softplus"), L.Conv2D(2, 1)]),
    "separable in one dimension": ((5, 2), lambda: softened(
        L.SeparableConv1D(3, 2, dilation_rate=2))),
    "transposed": ((2, 3, 2), lambda: [
        L.Conv2DTranspose(2, 3, strides=2, padding="same", activation="tanh", output_padding=1),
        L.Conv2D(2, 2, strides=2)]),
    "transposed in one dimension": ((3, 2), lambda: softened(L.Conv1DTranspose(2, 3, strides=2))),
    "transposed in three": ((2, 1, 2, 2), lambda: softened(
        L.Conv3DTranspose(1, 2, use_bias=False))),
    "average pooling": (IMAGE, lambda: softened(
        L.AveragePooling2D(2, strides=1, padding="same"),
        L.GlobalAveragePooling2D(keepdims=True))),
    "average pooling in one dimension": ((5, 2), lambda: softened(
        L.AdaptiveAveragePooling1D(3), L.AveragePooling1D(2), L.GlobalAveragePooling1D())),
    "max pooling": (IMAGE, lambda: softened(L.MaxPooling2D(2), L.GlobalMaxPooling2D())),
    "padded max pooling": ((5, 4, 1), lambda: softened(L.MaxPooling2D((2, 3), padding="same"))),
    "overlapping max pooling": ((5, 4, 1), lambda: softened(
        L.MaxPooling2D(3, 2, padding="same"), L.MaxPooling2D(2, 1))),
    "max pooling with the channels first": ((2, 3, 4), lambda: [
        L.Conv2D(2, 1, activation="tanh"), L.Permute((3, 1, 2)),
        L.MaxPooling2D((2, 1), data_format="channels_first"),
        L.MaxPooling2D((1, 2), 1, data_format="channels_first"), L.Dense(2, "softplus")]),
    "max pooling in one dimension": ((7, 2), lambda: softened(
        L.MaxPooling1D(2, 1), L.MaxPooling1D(2), L.GlobalMaxPooling1D(keepdims=True))),
    "adaptive max pooling": ((5, 4, 1), lambda: softened(L.AdaptiveMaxPooling2D((3, 2)))),
    "max pooling first": (IMAGE, lambda: [L.MaxPooling2D(2), L.Dense(3, "softplus")]),
    "shapes": (IMAGE, lambda: [
        L.ZeroPadding2D(1), L.Conv2D(3, 3, activation="tanh"), L.Cropping2D(1),
        L.UpSampling2D(2), L.Permute((2, 1, 3)), L.Flatten(), L.Dense(4, "silu"),
        L.Reshape((2, 2)), L.Dense(2, "elu")]),
    "sequences": ((3,), lambda: [
        L.Dense(2, "tanh"), L.RepeatVector(2), L.ZeroPadding1D(1), L.UpSampling1D(2),
        L.Cropping1D(1), L.Dense(2, "softplus")]),
    "batch normalisation": (IMAGE, lambda: [
        L.Conv2D(3, 3), L.BatchNormalization(), L.Activation("softplus"),
        L.BatchNormalization(axis=1, scale=False), L.BatchNormalization(center=False),
        L.Dense(2, "tanh")]),
    "layer normalisation": ((4,), lambda: softened(
        L.Dense(4), L.LayerNormalization(epsilon=0.1))),
    "layer normalisation by a deviation alone": ((4,), lambda: softened(
        L.Dense(3), L.LayerNormalization(rms_scaling=True, epsilon=0.1))),
    "layer normalisation first": ((4,), lambda: [
        L.LayerNormalization(), L.Dropout(0.5), L.Dense(2)]),
    "layer normalisation over axes": ((2, 3, 2), lambda: softened(
        L.LayerNormalization(axis=[1, -1], scale=False, epsilon=0.1),
        L.LayerNormalization(axis=2, center=False, epsilon=0.1))),
    "group normalisation": ((2, 1, 4), lambda: [
        L.Dense(4, "tanh"), L.GroupNormalization(2, epsilon=0.1), L.Dense(2, "softplus"),
        L.GroupNormalization(-1, axis=1, epsilon=0.1, center=False), L.Dense(2)]),
    "root mean square": ((4,), lambda: softened(L.Dense(3), L.RMSNormalization(epsilon=0.1))),
    "unit norm": ((2, 3), lambda: softened(
        L.UnitNormalization(), L.UnitNormalization(axis=(1, 2)))),
    "rescaled": ((3,), lambda: [
        L.Rescaling(0.7, offset=-0.2), L.Dense(3, "tanh"), L.Rescaling([1, 2, 3]),
        L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]), L.Dense(2, "softplus"),
        L.Normalization(mean=0.5, variance=2.0, invert=True)]),
    "softmax": ((3,), lambda: [L.Dense(4, "softmax"), L.Dense(3), L.Softmax(), L.Dense(2)]),
    "softmax over axes": ((2, 2), lambda: softened(
        L.Softmax(axis=1), L.Softmax(axis=(1, 2)), L.Activation(L.Activation("log_softmax")))),
    "activation layers": ((3,), lambda: [
        L.Dense(5), L.LeakyReLU(), L.Dense(4), L.PReLU(), L.Dense(4), L.ELU(alpha=0.7), L.Dense(3),
        L.ReLU(0.9, 0.1, 0.2), L.Dense(3, L.ReLU()), L.Dense(2, tf.nn.silu), L.Identity()]),
    "sparsemax, which has no rule": ((3,), lambda: softened(L.Dense(4, "sparsemax"))),
}  # fmt: skip


def moments(x, axes, keepdims):
    """Mean and variance as `tf.nn.moments` has them, but differentiable twice.

    TensorFlow treats the mean as a constant in the variance, which gives wrong second derivatives.
    """
    assert keepdims
    mean = tf.reduce_mean(x, axes, keepdims=True)
    return mean, tf.reduce_mean(tf.square(x - mean), axes, keepdims=True)


@pytest.fixture(autouse=True)
def _float64(monkeypatch):
    """Every layer in float64, and differentiable."""
    monkeypatch.setattr(tf.nn, "moments", moments)
    keras.config.set_dtype_policy("float64")


def randomized(network, rng):
    """Random weights for a network, those that are variances positive."""
    for variable in network.weights:
        value = rng.normal(size=variable.shape) * 0.5
        variable.assign(np.abs(value) + 0.1 if "variance" in variable.path else value)
    return network


def sequential(shape, layers, rng):
    return randomized(keras.Sequential([keras.Input(shape, dtype="float64"), *layers]), rng)


def identity(shape, dtype="float64"):
    """All unit vectors as probes, (d, 1, *shape)."""
    d = int(np.prod(shape))
    return tf.reshape(tf.eye(d, dtype=dtype), (d, 1, *shape))


def exact(potential, x):
    return quadratic_forms(potential, x, identity(x.shape[1:], x.dtype))


def functional(shape, build, rng):
    inputs = keras.Input(shape, dtype="float64")
    return randomized(keras.Model(inputs, build(inputs)), rng)


def one_input_at_a_time(potential, x):
    """Nested tapes as in `nested_tape`, in a loop: no layer is too odd, and quick if d is small."""
    with tf.GradientTape(persistent=True) as second:
        second.watch(x)
        with tf.GradientTape() as first:
            first.watch(x)
            output = potential.output(x)
            u = potential.outer(output)
        gradient = first.gradient(u, x)
        entries = tf.unstack(tf.reshape(gradient, (len(x), -1)), axis=1)
    laplacian = tf.zeros(len(x), x.dtype)
    for i, entry in enumerate(entries):
        row = second.gradient(entry, x, unconnected_gradients="zero")
        laplacian += tf.reshape(row, (len(x), -1))[:, i]
    return Curvature(output, gradient, laplacian)


def assert_propagation_is_exact(network, x, outer=None, method=one_input_at_a_time):
    assert_same(exact, Potential(network, outer or HalfSquaredNorm(), "float64"), x, method)


# Networks drawn at random have these layers too, in architectures_test.py.
DRAWN = {"one-dimensional", "depthwise in one dimension", "max pooling in one dimension"}


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) if k in DRAWN else k for k in STACKS]
)
@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")
def test_every_layer_propagates_exactly(kind, rng):
    shape, layers = STACKS[kind]
    network = sequential(shape, layers(), rng)
    assert all(has_rule(layer) for layer in network.layers)
    assert_propagation_is_exact(network, tf.constant(rng.normal(size=(2, *shape))))


def merged(layer, width=3):
    """A merge of the input, whose tangents all examples share, with two that bend."""

    def build(inputs):
        hidden = [L.Dense(width, "tanh")(inputs), L.Dense(1, "softplus")(inputs)]
        return L.Dense(2, "silu")(layer([inputs, *hidden]))

    return build


def of_two(layer):
    def build(inputs):
        return L.Dense(2, "silu")(layer([L.Dense(3, "tanh")(inputs), inputs]))

    return build


def of_unlike_ranks(layer):
    def build(inputs):
        images = L.Reshape((2, 3))(L.Dense(6, "tanh")(inputs))
        return L.Dense(2, "silu")(layer([inputs, images]))

    return build


MERGES = {
    "add": lambda: merged(L.Add()),
    "subtract": lambda: of_two(L.Subtract()),
    "average": lambda: merged(L.Average()),
    "multiply": lambda: merged(L.Multiply()),
    "maximum": lambda: merged(L.Maximum()),
    "minimum": lambda: merged(L.Minimum()),
    "concatenate": lambda: merged(L.Concatenate(), width=4),
    "multiply unlike ranks": lambda: of_unlike_ranks(L.Multiply()),
    "dot, which has no rule": lambda: of_two(L.Dot(axes=-1)),
}


@pytest.mark.parametrize("kind", MERGES)
def test_every_merge_propagates_exactly(kind, rng):
    network = functional((3,), MERGES[kind](), rng)
    assert_propagation_is_exact(network, tf.constant(rng.normal(size=(2, 3))))


@pytest.mark.parametrize("outer", [HalfSquaredNorm, SoftplusSum])
def test_branches_and_shared_layers_propagate_exactly(outer, rng):
    def build(inputs):
        first, shared = L.Dense(4, "softplus")(inputs), L.Dense(4, "tanh")
        added = L.Add()([first, shared(first)])
        product = L.Multiply()([added, shared(added)])
        return L.Dense(3, "silu")(L.Concatenate()([product, inputs]))

    network, x = functional((3,), build, rng), tf.constant(rng.normal(size=(3, 3)))
    assert_propagation_is_exact(network, x, outer())
    if outer is HalfSquaredNorm:
        assert_propagation_is_exact(network, x, method=nested_tape)


def test_merging_images_of_inputs_that_no_layer_has_bent_keeps_their_tangents_shared(rng):
    def build(inputs):
        return L.Concatenate()([inputs, L.Add()([L.Dense(3)(inputs), inputs])])

    network = functional((3,), build, rng)
    jet, curved = propagate(network, TaylorJet(tf.zeros((5, 3), tf.float64), identity((3,))))
    assert jet.tangents.shape == (3, 1, 6)
    assert curved == []
    assert_propagation_is_exact(network, tf.constant(rng.normal(size=(2, 3))))


def test_grouped_convolutions_equal_derivatives_taken_one_output_at_a_time(rng):
    layers = [L.Conv2D(2, 2, groups=2, activation="softplus"), L.Dense(1)]
    network, x = sequential((2, 2, 2), layers, rng), rng.normal(size=(1, 2, 2, 2))
    gradient, laplacian = reference.half_squared_norm_derivatives(network, x)
    got = exact(Potential(network, HalfSquaredNorm(), "float64"), tf.constant(x))
    np.testing.assert_allclose(got.gradient, gradient, rtol=1e-10)
    np.testing.assert_allclose(got.laplacian, laplacian, rtol=1e-10)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(L.Conv2D, (4, 5, 2)), (L.Conv1D, (5, 2)), (L.Conv2DTranspose, (3, 2, 2)),
     (L.DepthwiseConv2D, (4, 5, 2)), (L.SeparableConv2D, (4, 5, 2))],
)  # fmt: skip
def test_channels_first_are_channels_last_transposed(layer, shape, rng):
    """Compared by their rules, as Keras's own layers cannot do all of this on a CPU."""
    options = {"kernel_size": 2, "strides": 2, "activation": "tanh", "bias_initializer": "normal"}
    if layer is L.Conv1D:
        options |= {"padding": "causal", "dilation_rate": 2, "strides": 1}
    if layer is not L.DepthwiseConv2D:
        options["filters"] = 3
    last, first = layer(**options), layer(data_format="channels_first", **options)
    to_first = (0, len(shape), *range(1, len(shape)))
    moved = (shape[-1], *shape[:-1])
    last.build((None, *shape))
    first.build((None, *moved))
    first.set_weights(last.get_weights())
    x, v = rng.normal(size=(2, *shape)), rng.normal(size=(3, 2, *shape))
    probes = v.transpose(0, *(1 + i for i in to_first))
    expected = _RULES[layer](last, TaylorJet(tf.constant(x), tf.constant(v)))
    got = _RULES[layer](first, TaylorJet(tf.constant(x.transpose(to_first)), tf.constant(probes)))
    np.testing.assert_allclose(expected.value, last(x), rtol=1e-12)
    np.testing.assert_allclose(got.value, tf.transpose(expected.value, to_first), rtol=1e-12)
    np.testing.assert_allclose(got.second, tf.transpose(expected.second, to_first), rtol=1e-12)
    assert got.tangents.shape[1:] == got.value.shape


@pytest.mark.parametrize(
    "layer",
    [lambda: L.MaxPooling3D((2, 1, 2), padding="same"), lambda: L.AveragePooling3D((1, 2, 1)),
     lambda: L.AdaptiveMaxPooling3D(2),
     *(pytest.param(layer, marks=pytest.mark.slow) for layer in (
         lambda: L.MaxPooling3D(2, 1), lambda: L.GlobalMaxPooling3D(),
         lambda: L.AdaptiveAveragePooling3D(2)))],
)  # fmt: skip
def test_volumes_which_tensorflow_pools_in_float32_only(layer, rng):
    keras.config.set_dtype_policy("float32")
    shape = (3, 2, 3, 1)
    network = keras.Sequential([keras.Input(shape), *softened(layer())])
    randomized(network, rng)
    potential = Potential(network, HalfSquaredNorm())
    x = tf.constant(rng.normal(size=(2, *shape)), tf.float32)
    got, expected = exact(potential, x), one_input_at_a_time(potential, x)
    np.testing.assert_allclose(got.gradient, expected.gradient, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got.laplacian, expected.laplacian, rtol=1e-4)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_interpolation_is_linear_and_its_gradient_can_be_differentiated(
    interpolation, data_format, rng
):
    layer = L.UpSampling2D((2, 3), data_format, interpolation)
    x, v = (tf.constant(rng.normal(size=(2, 3, 4, 2))) for _ in range(2))
    with tf.GradientTape() as second:
        second.watch(x)
        with tf.GradientTape() as first:
            first.watch(x)
            jet = _RULES[L.UpSampling2D](layer, TaylorJet(x, v[tf.newaxis]))
            u = tf.reduce_sum(jet.value**2)
        square = tf.reduce_sum(first.gradient(u, x) * v)
    np.testing.assert_allclose(jet.value, layer(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jet.tangents[0], layer(v), rtol=1e-5, atol=1e-6)
    form = tf.reduce_sum(second.gradient(square, x) * v)
    np.testing.assert_allclose(form, 2.0 * tf.reduce_sum(jet.tangents**2), rtol=1e-10)


@pytest.mark.parametrize(
    "layer", [L.LayerNormalization, functools.partial(L.GroupNormalization, 2)]
)
def test_normalisation_is_exact_by_propagation_and_by_nested_tapes(layer, rng, monkeypatch):
    monkeypatch.undo()  # TensorFlow's own moments
    network = sequential((4,), [L.Dense(4), layer()], rng)
    potential = Potential(network, HalfSquaredNorm(), "float64")
    x, h = tf.constant(rng.normal(size=(2, 4))), 1e-5

    def gradient(at):
        return exact(potential, at).gradient.numpy()

    steps = h * np.eye(4)[:, np.newaxis]
    differences = [gradient(x + step) - gradient(x - step) for step in steps]
    laplacian = sum(d[:, i] for i, d in enumerate(differences)) / (2 * h)
    np.testing.assert_allclose(exact(potential, x).laplacian, laplacian, rtol=1e-6)
    np.testing.assert_allclose(nested_tape(potential, x).laplacian, laplacian, rtol=1e-6)


@pytest.mark.parametrize(
    "layer", [L.MaxPooling2D(2), L.MaxPooling2D(3, 1, "same"), L.GlobalMaxPooling2D()]
)
def test_one_of_equal_values_wins_a_window_in_all_derivatives(layer):
    x = tf.zeros((1, 4, 4, 1), tf.float64)
    network = keras.Sequential([keras.Input((4, 4, 1), dtype="float64"), layer])
    with tf.GradientTape() as tape:
        tape.watch(x)
        jet, _ = propagate(network, TaylorJet(x, identity((4, 4, 1))))
    np.testing.assert_array_equal(tf.reduce_sum(jet.tangents, axis=0), np.ones(jet.value.shape))
    wins = tape.gradient(jet.value, x)
    sums = tf.reduce_sum(tf.reshape(jet.tangents, (16, -1)), axis=1)
    np.testing.assert_array_equal(tf.reshape(wins, (-1,)), sums)


def test_the_unit_norm_of_nothing_is_nothing():
    network = keras.Sequential([keras.Input((3,), dtype="float64"), L.UnitNormalization()])
    potential = Potential(network, SoftplusSum(), "float64")
    got = exact(potential, tf.zeros((1, 3), tf.float64))
    np.testing.assert_array_equal(got.output, np.zeros((1, 3)))
    assert np.isfinite(got.gradient).all()
    assert np.isfinite(got.laplacian).all()


def test_batches_of_unknown_size(rng):
    layers = [L.MaxPooling2D(2), L.GroupNormalization(2, axis=1), L.MaxPooling2D(2, 1), L.Flatten(),
              L.Dense(2, "softmax")]  # fmt: skip
    potential = Potential(sequential((5, 5, 1), layers, rng), HalfSquaredNorm(), "float64")
    signature = [tf.TensorSpec((None, 5, 5, 1), tf.float64)]
    compiled = tf.function(functools.partial(exact, potential), input_signature=signature)
    x = tf.constant(rng.normal(size=(3, 5, 5, 1)))
    for got, expected in zip(compiled(x), exact(potential, x), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10)


def test_mixed_precision_multiplies_in_bfloat16_and_keeps_derivatives_in_float32(rng):
    def network():
        inputs = keras.Input((6, 6, 1), dtype="float32")
        images = L.Conv2D(4, 3, activation="gelu", padding="same")(L.Rescaling(0.5)(inputs))
        images = L.MaxPooling2D(2)(L.Multiply()([L.LayerNormalization()(images), images]))
        images = L.Conv2DTranspose(2, 2, activation="relu")(images)
        vectors = L.Flatten()(L.DepthwiseConv2D(2, activation=L.LeakyReLU())(images))
        return keras.Model(inputs, L.Dense(5, "softmax")(vectors))

    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed = network()
    keras.config.set_dtype_policy("float32")
    full = network()
    full.set_weights(mixed.get_weights())
    x = tf.constant(rng.normal(size=(2, 6, 6, 1)), tf.float32)
    got, expected = (exact(Potential(n, HalfSquaredNorm()), x) for n in (mixed, full))
    assert {t.dtype for t in got} == {tf.float32}
    np.testing.assert_allclose(got.laplacian, expected.laplacian, rtol=0.05)
    scale = np.abs(expected.gradient).max()
    np.testing.assert_allclose(got.gradient, expected.gradient, atol=0.05 * scale)


def test_a_subclassed_network_is_differentiated_as_a_whole(rng):
    class Squares(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(3)

        def call(self, x):
            return tf.square(self.dense(x))

    network, x = Squares(), tf.constant(rng.normal(size=(2, 4)))
    network(x)
    jet, curved = propagate(network, TaylorJet(x, identity((4,))))
    np.testing.assert_allclose(jet.value, network(x))
    squared_norms = np.sum(network.dense.kernel.numpy() ** 2, axis=0)
    np.testing.assert_allclose(curved[0].second, np.tile(2.0 * squared_norms, (2, 1)))
    assert_propagation_is_exact(network, x)


def test_a_rule_for_an_own_layer_is_a_few_lines(rng):
    class Tripled(L.Layer):
        def call(self, x):
            return 3.0 * x

    calls = []

    @register_rule(Tripled)
    def tripled(layer, jet):
        calls.append(layer.name)
        return linear_rule(jet, lambda t: 3.0 * t)

    network = sequential((3,), softened(Tripled()), rng)
    assert_propagation_is_exact(network, tf.constant(rng.normal(size=(2, 3))))
    assert calls


def test_a_rule_for_an_own_layer_of_two_inputs(rng):
    class Gate(L.Layer):
        def call(self, inputs):
            a, b = inputs
            return a * tf.sigmoid(b)

    calls = []

    @register_rule(Gate)
    def gate(layer, a, b):
        calls.append(layer.name)
        return product_rule(a, elementwise_rule(b, sigmoid))

    network = functional((3,), of_two(Gate()), rng)
    assert_propagation_is_exact(network, tf.constant(rng.normal(size=(2, 3))))
    assert calls


def test_what_has_no_rule_is_named_in_the_log(rng, caplog):
    class Odd(L.Layer):
        def call(self, x):
            return x + tf.sin(x)

    network = sequential((3,), [Odd(name="odd"), L.Dense(2, "sparsemax")], rng)
    with caplog.at_level("INFO"):
        propagate(network, TaylorJet(tf.zeros((1, 3), tf.float64), identity((3,))))
    assert "layer odd has no rule" in caplog.text
    assert "sparsemax" in caplog.text


def test_tangents_stay_shared_by_all_examples_until_the_first_nonlinearity(rng):
    network = sequential((5,), [L.Dense(4), L.Dense(3)], rng)
    jet, curved = propagate(network, TaylorJet(tf.zeros((7, 5), tf.float64), identity((5,))))
    assert jet.tangents.shape == (5, 1, 3)
    assert curved == []
