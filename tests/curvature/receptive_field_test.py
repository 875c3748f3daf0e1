"""Lengths of receptive fields, against the zeros of Jacobians and Hessians."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from delvm_tf.curvature.boxes import Boxes, map_boxes
from delvm_tf.curvature.receptive_field import (
    pointwise,
    receptive_field,
    register_receptive_field,
)
from delvm_tf.networks import cnn, ffnn

L = keras.layers


@pytest.fixture(autouse=True)
def double_precision(seeded):
    keras.config.set_dtype_policy("float64")


def lengths_from_jacobian(network, shape, rng, draws=1, compiled=False):
    """The largest distance between nonzero entries in a row of the Jacobian, plus one.

    All weights and inputs are positive, so that nothing cancels. The entries of several draws
    together find all inputs of a piecewise function. What TensorFlow lacks on the CPU is compiled.
    """
    outputs = int(np.prod(network.output_shape[1:]))

    def jacobian(x):
        """All rows in one pass: row i is the gradient of output i at the i-th copy of the input."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            diagonal = tf.linalg.trace(tf.reshape(network(x, training=False), (outputs, outputs)))
        return tape.gradient(diagonal, x)

    if compiled:
        jacobian = tf.function(jacobian, jit_compile=True)
    seen = False
    for _ in range(draws):
        network.set_weights([rng.uniform(0.05, 0.3, size=w.shape) for w in network.get_weights()])
        x = np.repeat(rng.uniform(0.1, 1.0, size=(1, *shape)), outputs, axis=0)
        seen = seen | (jacobian(tf.constant(x)).numpy() != 0.0)
    lengths = []
    for axis in range(len(shape)):
        others = tuple(a for a in range(1, len(shape) + 1) if a != axis + 1)
        places = [np.flatnonzero(row) for row in seen.any(axis=others)]
        lengths.append(max([int(p[-1] - p[0]) + 1 for p in places if p.size], default=1))
    return tuple(lengths)


def sequential(shape, layers):
    return keras.Sequential([keras.Input(shape), *layers])


def functional(shape, function):
    inputs = keras.Input(shape)
    return keras.Model(inputs, function(inputs))


def joined(*branches):
    return L.Concatenate()([L.Flatten()(branch) for branch in branches])


SERIES, IMAGE, VOLUME = (12, 2), (7, 6, 2), (4, 5, 3, 2)
FIRST = {"data_format": "channels_first"}
STACKS = {
    "dense": ((5,), lambda: [L.Dense(4, "softplus"), L.Dense(3, "tanh")]),
    "dense on the last axis": ((5, 3), lambda: [L.Dense(4, "softplus"), L.Dense(3)]),
    "same": (IMAGE, lambda: [L.Conv2D(2, 3, padding="same"),
                             L.Conv2D(2, (2, 3), padding="same")]),
    "even kernel": (SERIES, lambda: [L.Conv1D(2, 4, padding="same"), L.Conv1D(2, 2)]),
    "valid": (VOLUME, lambda: [L.Conv3D(2, (2, 3, 1), activation="softplus")]),
    "causal": (SERIES, lambda: [L.Conv1D(2, 3, padding="causal"),
                                L.Conv1D(2, 2, padding="causal", strides=2)]),
    "dilated causal": (SERIES, lambda: [L.Conv1D(2, 3, padding="causal", dilation_rate=2)]),
    "strides": (SERIES, lambda: [L.Conv1D(2, 3, strides=2),
                                 L.Conv1D(2, 2, strides=2, padding="same")]),
    "strides past the kernel": (SERIES, lambda: [L.Conv1D(2, 1, strides=3, padding="same"),
                                                 L.Conv1D(2, 2)]),
    "different strides": (IMAGE, lambda: [L.Conv2D(2, 3, strides=(2, 3), padding="same"),
                                          L.Conv2D(1, 2)]),
    "dilated": (IMAGE, lambda: [L.Conv2D(2, (2, 3), dilation_rate=(3, 1), padding="same")]),
    "groups": ((6, 6), lambda: [L.Conv1D(6, 2, groups=3), L.Conv1D(4, 2, groups=2)]),
    "depthwise": (IMAGE, lambda: [L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
                                  L.DepthwiseConv2D((1, 2))]),
    "depthwise, dilated with strides": (SERIES, lambda: [
        L.DepthwiseConv1D(3, strides=2, dilation_rate=2, padding="same"),
        L.DepthwiseConv1D(2, dilation_rate=2)]),
    "separable": (IMAGE, lambda: [L.SeparableConv2D(3, 2, padding="same"),
                                  L.SeparableConv2D(2, 3)]),
    "separable series": (SERIES, lambda: [L.SeparableConv1D(3, 3, strides=2),
                                          L.Dense(2, "tanh")]),
    "max pooling": (SERIES, lambda: [L.Conv1D(2, 3),
                                     L.MaxPooling1D(3, strides=2, padding="same")]),
    "average pooling": (IMAGE, lambda: [L.AveragePooling2D((3, 2), strides=(2, 1), padding="same"),
                                        L.AveragePooling2D(2)]),
    "global pooling": (IMAGE, lambda: [L.Conv2D(2, 2), L.GlobalAveragePooling2D()]),
    "global max pooling": (SERIES, lambda: [L.GlobalMaxPooling1D(keepdims=True)]),
    "channels first": ((2, 7), lambda: [
        L.ZeroPadding1D(1, **FIRST), L.Conv1D(3, 3, strides=2, **FIRST),
        L.AveragePooling1D(2, 1, **FIRST), L.DepthwiseConv1D(2, **FIRST)]),
    "channels first, transposed": ((2, 7), lambda: [
        L.Conv1DTranspose(3, 3, strides=2, **FIRST), L.SeparableConv1D(2, 2, **FIRST)]),
    "channels first, pooled": ((2, 6, 5), lambda: [
        L.DepthwiseConv2D(2, activation="softmax", **FIRST), L.Cropping2D(1, **FIRST),
        L.GlobalAveragePooling2D(**FIRST), L.Reshape((2, 1))]),
    "shapes": (IMAGE, lambda: [
        L.ZeroPadding2D(((2, 1), (0, 3))), L.Conv2D(2, 3), L.Cropping2D(1),
        L.UpSampling2D((2, 3)), L.Conv2D(2, 2), L.Permute((2, 3, 1))]),
    "flat": ((24,), lambda: [
        L.Reshape((6, 4, 1)), L.Conv2D(2, (2, 3)), L.Flatten(), L.RepeatVector(2),
        L.Permute((2, 1)), L.Conv1D(1, 1)]),
    "only padding seen": (SERIES, lambda: [L.ZeroPadding1D((8, 0)), L.Cropping1D((0, 13)),
                                           L.Conv1D(1, 2)]),
    "pointwise": (IMAGE, lambda: [
        L.Rescaling(0.5), L.DepthwiseConv2D(2), L.BatchNormalization(), L.Dropout(0.5),
        L.LeakyReLU(), L.PReLU(), L.Activation("gelu")]),
    "layer normalisation": (IMAGE, lambda: [L.LayerNormalization(axis=-1), L.Conv2D(2, 2)]),
    "unit normalisation": (IMAGE, lambda: [L.DepthwiseConv2D(2),
                                           L.UnitNormalization(axis=[1, 3])]),
    "softmax activation": (IMAGE, lambda: [L.DepthwiseConv2D(2, activation="softmax")]),
    "softmax of an axis": (IMAGE, lambda: [L.DepthwiseConv2D(2), L.Softmax(axis=2)]),
    "nested": (SERIES, lambda: [sequential(SERIES, [L.Conv1D(3, 3), L.Conv1D(2, 2)]),
                                L.Conv1D(2, 2)]),
    "nothing": (SERIES, lambda: [L.Identity()]),
}  # fmt: skip

TRANSPOSED = {
    "valid": {},
    "same": {"padding": "same"},
    "valid strides": {"strides": 2},
    "same strides": {"strides": 2, "padding": "same"},
    "strides past the kernel": {"strides": 5},
    "output padding": {"strides": 3, "output_padding": 1},
    "same output padding": {"strides": 3, "output_padding": 2, "padding": "same"},
    "dilated": {"dilation_rate": 2},
    "same dilated": {"dilation_rate": 2, "padding": "same"},
}


def branches_at_an_offset(x):
    left, right = L.Cropping1D((0, 5))(x), L.Cropping1D((5, 0))(x)
    return L.Add()([L.Conv1D(2, 2)(left), L.Conv1D(2, 2)(right)])


def padding_on_either_side(x):
    """An even kernel pads one place more behind than before, which shows next to a causal one."""
    causal = L.Conv1D(2, 2, padding="causal")(x)
    transposed = L.Conv1DTranspose(2, 2, padding="same")(x)
    return joined(L.Add()([L.Conv1D(2, 2, padding="same")(x), causal]), L.Add()([transposed, x]))


def sides_of_pooled_windows(x):
    pooled = L.AveragePooling1D(3, strides=2, padding="same")(x)
    return L.Add()([pooled, L.Conv1D(2, 2, strides=2, padding="causal")(x)])


def product_with_a_shared_layer(x):
    shared = L.Conv1D(2, 3, padding="same", activation="softplus")
    return L.Multiply()([x, shared(shared(x))])


def pyramid(x):
    coarse = L.UpSampling2D((2, 2))(L.Conv2D(2, 2)(L.AveragePooling2D(2)(x)))
    return L.Concatenate(axis=3)([coarse, L.Conv2D(1, 3)(x)])


def excitation(x):
    return L.Multiply()([L.Conv1D(2, 2, padding="same")(x), L.GlobalAveragePooling1D()(x)])


def offset_model_twice(x):
    inner = functional(
        SERIES, lambda y: L.Add()([y, L.Cropping1D((2, 0))(L.ZeroPadding1D((0, 2))(y))])
    )
    return inner(inner(x))


GRAPHS = {
    "offset": (SERIES, branches_at_an_offset),
    "sides of padding": (SERIES, padding_on_either_side),
    "sides of pooled windows": (SERIES, sides_of_pooled_windows),
    "shared": (SERIES, product_with_a_shared_layer),
    "pyramid": ((8, 6, 2), pyramid),
    "excitation": (SERIES, excitation),
    "nested twice": (SERIES, offset_model_twice),
    "subtract": (SERIES, lambda x: L.Subtract()([L.Conv1D(2, 2)(x), L.Cropping1D((0, 1))(x)])),
    "average": (SERIES, lambda x: L.Average()([L.Conv1D(2, 4)(x), L.Cropping1D((0, 3))(x)])),
    "side by side": (SERIES, lambda x: joined(L.Conv1D(2, 4)(x), L.DepthwiseConv1D(6)(x))),
}


@pytest.mark.parametrize("kind", STACKS)
def test_lengths_are_those_of_the_jacobian(kind, rng):
    shape, layers = STACKS[kind]
    network = sequential(shape, layers())
    draws = 40 if "max pooling" in kind else 1
    expected = lengths_from_jacobian(network, shape, rng, draws, "channels first" in kind)
    assert receptive_field(network, shape) == expected


@pytest.mark.parametrize("kind", GRAPHS)
def test_lengths_of_branching_networks_are_those_of_the_jacobian(kind, rng):
    shape, function = GRAPHS[kind]
    network = functional(shape, function)
    assert receptive_field(network, shape) == lengths_from_jacobian(network, shape, rng)


@pytest.mark.parametrize("kernel_size", [2, 3])
@pytest.mark.parametrize("kind", TRANSPOSED)
def test_transposed_convolutions_are_exact(kind, kernel_size, rng):
    arguments, compiled = TRANSPOSED[kind], "dilated" in kind
    series = sequential(SERIES, [L.Conv1DTranspose(2, kernel_size, **arguments), L.Conv1D(2, 2)])
    expected = lengths_from_jacobian(series, SERIES, rng, compiled=compiled)
    assert receptive_field(series, SERIES) == expected
    image = sequential(IMAGE, [L.Conv2DTranspose(2, (kernel_size, 2), **arguments), L.Conv2D(2, 2)])
    expected = lengths_from_jacobian(image, IMAGE, rng, compiled=compiled)
    assert receptive_field(image, IMAGE) == expected


@st.composite
def stacks(draw):
    """The shape of a series or an image, and up to four random layers: class and arguments."""
    rank = draw(st.sampled_from([1, 2]))

    def per_axis(high):
        return st.tuples(*[st.integers(1, high)] * rank)

    padding = st.sampled_from(["same", "valid"])
    windows = {"strides": per_axis(2), "padding": padding}
    filters = {"filters": st.just(2), "activation": st.just("softplus")}
    size = st.integers(1, 2)
    layers = {
        "Conv{}D": {"kernel_size": per_axis(3), **windows, **filters},
        "Conv{}DTranspose": {"kernel_size": per_axis(3), **windows, **filters},
        "DepthwiseConv{}D": {"kernel_size": per_axis(3), "dilation_rate": size, "padding": padding},
        "AveragePooling{}D": {"pool_size": per_axis(3), **windows},
        "Cropping{}D": {"cropping": size},
        "ZeroPadding{}D": {"padding": size},
        "UpSampling{}D": {"size": size},
    }
    names = draw(st.lists(st.sampled_from(list(layers)), min_size=1, max_size=4))
    stack = [(name.format(rank), draw(st.fixed_dictionaries(layers[name]))) for name in names]
    return (14, 2) if rank == 1 else (9, 8, 2), stack


@settings(max_examples=25, deadline=None)
@given(stacks(), st.integers(0, 2**32 - 1))
def test_random_stacks_are_exact(stack, seed):
    shape, layers = stack
    try:
        network = sequential(shape, [getattr(L, name)(**arguments) for name, arguments in layers])
    except ValueError:
        reject()  # nothing left of the input
    expected = lengths_from_jacobian(network, shape, np.random.default_rng(seed))
    assert receptive_field(network, shape) == expected


@pytest.mark.parametrize(
    ("kernels", "strides"), [((5, 5), (1, 1)), ((3, 4, 2), (2, 1, 3)), ((2, 2, 2), (2, 2, 2))]
)
def test_lengths_follow_the_formula_of_kernels_and_strides(kernels, strides):
    network = cnn((2,) * len(kernels), kernels, strides, "valid", input_shape=(40, 40, 3))
    steps = np.cumprod([1, *strides[:-1]])
    length = 1 + sum((k - 1) * s for k, s in zip(kernels, steps, strict=True))
    assert receptive_field(network, (40, 40, 3)) == (length, length, 3)


def test_lengths_of_the_library_networks():
    network = cnn((70, 70), 5, input_shape=(28, 28, 3))
    assert receptive_field(network, (28, 28, 3)) == (9, 9, 3)
    assert receptive_field(ffnn((8, 4), input_shape=(140,)), (140,)) == (140,)


def test_values_a_length_apart_do_not_interact_and_share_a_probe(rng):
    shape = (6, 5, 1)
    network = reference.conv((2, 2), "softplus", shape, kernel_size=2, padding="same")
    reference.randomize(network, rng)
    lengths = receptive_field(network, shape)
    assert lengths == (3, 3, 1)

    point = tf.constant(rng.normal(size=np.prod(shape)))
    with tf.GradientTape(persistent=True) as second:
        second.watch(point)
        with tf.GradientTape() as first:
            first.watch(point)
            u = tf.reduce_sum(tf.square(network(tf.reshape(point, (1, *shape))))) / 2.0
        gradient = first.gradient(u, point)
    hessian = second.jacobian(gradient, point, experimental_use_pfor=False).numpy()

    index = np.indices(shape).reshape(len(shape), -1)
    distances = np.abs(index[:, :, np.newaxis] - index[:, np.newaxis, :])
    apart = (distances >= np.reshape(lengths, (-1, 1, 1))).any(axis=0)
    assert apart.any()
    np.testing.assert_array_equal(hessian[apart], 0.0)

    lattices = np.unique(index.T % lengths, axis=0)  # values a multiple of the lengths apart
    probes = [(index.T % lengths == lattice).all(axis=1).astype(float) for lattice in lattices]
    assert len(probes) == np.prod(lengths) < np.prod(shape)
    trace = sum(probe @ hessian @ probe for probe in probes)
    np.testing.assert_allclose(trace, np.trace(hessian), rtol=1e-10)


UNKNOWN = {
    "group normalisation": lambda: L.GroupNormalization(1),
    "lambda": lambda: L.Lambda(lambda x: x),
    "masking": lambda: L.Masking(),
    "function": lambda: L.Activation(tf.sin),
    "interpolated": lambda: L.UpSampling2D(2, interpolation="bilinear"),
    "einsum": lambda: L.EinsumDense("abcd,de->abce", (7, 6, 3)),
    "wrapper": lambda: L.TimeDistributed(L.Conv1D(2, 1)),
    "gated": lambda: L.Conv2D(4, 1, activation="glu"),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_unknown_layers_see_everything(kind, caplog):
    layer = UNKNOWN[kind]()
    network = sequential(IMAGE, [L.Conv2D(2, 1), layer])
    with caplog.at_level("INFO"):
        assert receptive_field(network, IMAGE) == IMAGE
    assert f"layer {layer.name} is taken to see all" in caplog.text


def test_an_unknown_layer_sees_no_more_than_its_inputs():
    network = sequential(SERIES, [L.Cropping1D((2, 6)), L.Lambda(lambda x: x), L.Dense(3)])
    assert receptive_field(network, SERIES) == (4, 2)


def test_operations_and_layers_of_several_outputs_are_unknown_layers():
    def operations(x):
        return joined(*keras.ops.split(L.Conv1D(2, 2)(x) + 1.0, [3], axis=1))

    assert receptive_field(functional(SERIES, operations), SERIES) == SERIES
    lstm = functional(SERIES, lambda x: joined(*L.LSTM(2, return_state=True)(x)))
    assert receptive_field(lstm, SERIES) == SERIES


def test_a_call_with_more_tensors_than_the_rule_takes_is_unknown():
    def masked(x):
        return L.Softmax()(L.Conv1D(2, 1)(x), mask=L.Conv1D(2, 2, padding="same")(x))

    assert receptive_field(functional(SERIES, masked), SERIES) == SERIES


class Squares(keras.Model):
    def call(self, x):
        return tf.square(x)


OTHERS = {
    "subclass": lambda: Squares(),
    "function": lambda: tf.square,
    "layer": lambda: L.Conv1D(2, 2),
    "unbuilt": lambda: keras.Sequential([L.Conv1D(2, 2)]),
    "any size": lambda: sequential((None, 2), [L.Conv1D(2, 2)]),
    "other size": lambda: sequential((14, 2), [L.Conv1D(2, 2)]),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_networks_see_the_whole_input(kind):
    assert receptive_field(OTHERS[kind](), SERIES) == SERIES


def test_a_nested_subclassed_model_is_an_unknown_layer():
    network = functional(SERIES, lambda x: Squares()(L.Conv1D(2, 2)(x)))
    assert receptive_field(network, SERIES) == SERIES


def test_own_elementwise_layers_are_registered_in_one_line():
    class Tripled(L.Layer):
        def call(self, x):
            return 3.0 * x

    network = sequential(SERIES, [L.Conv1D(2, 2), Tripled(), L.Conv1D(2, 2)])
    assert receptive_field(network, SERIES) == SERIES
    register_receptive_field(Tripled)(pointwise)
    assert receptive_field(network, SERIES) == (3, 2)


def test_own_rules_transform_boxes(rng):
    class Reflected(L.Layer):
        def call(self, x):
            return x + tf.reverse(x, [1])

    @register_receptive_field(Reflected)
    def reflected(layer, boxes):
        assert isinstance(boxes, Boxes)
        return map_boxes(lambda side: np.minimum(side, side[:, ::-1]), boxes)

    shape = (6, 2)
    network = sequential(shape, [L.Cropping1D((1, 0)), L.DepthwiseConv1D(2), Reflected()])
    assert receptive_field(network, shape) == (5, 1)
    assert receptive_field(network, shape) == lengths_from_jacobian(network, shape, rng)


def test_a_subclass_does_not_inherit_a_rule():
    class Mixed(L.Conv1D):
        def call(self, x):
            return super().call(x) + tf.reduce_sum(x)

    assert receptive_field(sequential(SERIES, [Mixed(2, 2)]), SERIES) == SERIES


def test_a_rule_of_the_wrong_shape_is_named():
    class Halved(L.Layer):
        def call(self, x):
            return x[:, ::2]

    register_receptive_field(Halved)(pointwise)
    network = sequential(SERIES, [Halved(name="odd")])
    with pytest.raises(ValueError, match="rule of layer odd gives boxes of shape"):
        receptive_field(network, SERIES)


def test_lengths_are_plain_numbers_while_a_graph_is_traced():
    network = sequential(SERIES, [L.ZeroPadding1D(1), L.Conv1D(2, 2)])
    lengths = []

    @tf.function
    def traced(x):
        lengths.append(receptive_field(network, SERIES))
        return x

    traced(tf.zeros(()))
    assert lengths == [(2, 2)]
