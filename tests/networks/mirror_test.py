"""Decoders restore every shape, and transposed layers are the adjoints of their layers."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.networks.mirror import Mirrored, layer_shapes, mirror, trim
from delvm_tf.networks.transposed import TransposedConvolution, TransposedDense, Unpooling

L = keras.layers
CONVOLUTIONS = {1: L.Conv1D, 2: L.Conv2D, 3: L.Conv3D}
SIZES = {1: (11,), 2: (9, 8), 3: (5, 6, 4)}


def run(mirrored, h):
    for each in mirrored:
        h = each.layer(h)
    return h


def adjoint(layer, x, h):
    """Aᵀh of a layer without bias, by automatic differentiation of ⟨h, A x⟩."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        product = tf.reduce_sum(h * layer(x))
    return tape.gradient(product, x)


def cases():
    for rank in (1, 2, 3):
        paddings = ("same", "valid", "causal") if rank == 1 else ("same", "valid")
        for padding, (size, stride, dilation) in itertools.product(
            paddings, [(3, 1, 1), (4, 1, 1), (3, 2, 1), (4, 3, 1), (2, 3, 1), (3, 1, 2)]
        ):
            if rank == 3 and (dilation > 1 or size > 3):
                continue  # larger than the image
            yield rank, {"kernel_size": size, "strides": stride, "padding": padding,
                         "dilation_rate": dilation}  # fmt: skip
    yield 2, {"kernel_size": (3, 2), "strides": (1, 2), "padding": "same"}
    yield 2, {"kernel_size": (1, 3), "dilation_rate": (1, 3), "padding": "valid"}


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "own kernel"])
@pytest.mark.parametrize(("rank", "arguments"), list(cases()))
def test_a_convolution_is_mirrored_by_its_adjoint(rank, arguments, tied, rng):
    layer = CONVOLUTIONS[rank](4, use_bias=False, dtype="float64", **arguments)
    x = tf.constant(rng.normal(size=(2, *SIZES[rank], 3)))
    h = tf.constant(rng.normal(size=layer(x).shape))
    ((_, mirrored),) = mirror([layer], x.shape[1:], tied)
    mirrored.build(h.shape)
    if not tied:
        mirrored.kernel.assign(layer.kernel)
    assert not mirrored.use_bias
    np.testing.assert_allclose(mirrored(h), adjoint(layer, x, h), rtol=1e-10, atol=1e-12)


def test_groups_and_a_bias(rng):
    weights = {"kernel_size": 3, "padding": "same"}
    grouped = TransposedConvolution((6, 4), strides=2, groups=2, dtype="float64", **weights)
    h = tf.constant(rng.normal(size=(2, 3, 8)))
    grouped.build(h.shape)
    grouped.bias.assign(rng.normal(size=4))
    halves = []
    for part in range(2):
        single = TransposedConvolution(
            (6, 2), strides=2, use_bias=False, dtype="float64", **weights
        )
        single.build((2, 3, 4))
        single.kernel.assign(grouped.kernel[..., 4 * part : 4 * part + 4])
        halves.append(single(h[..., 4 * part : 4 * part + 4]))
    expected = tf.concat(halves, axis=-1) + grouped.bias
    np.testing.assert_allclose(grouped(h), expected, rtol=1e-12)


def test_an_even_image_with_same_padding_is_what_keras_transposes(rng):
    ours = TransposedConvolution((8, 6, 3), (3, 3), (2, 2), "same")
    keras_layer = L.Conv2DTranspose(3, 3, strides=2, padding="same")
    h = rng.normal(size=(2, 4, 3, 5)).astype("float32")
    ours.build(h.shape)
    keras_layer.build(h.shape)
    keras_layer.set_weights([ours.kernel.numpy(), rng.normal(size=3)])
    ours.bias.assign(keras_layer.bias)
    np.testing.assert_allclose(ours(h), keras_layer(h), rtol=1e-4, atol=1e-5)


def test_channels_first_is_channels_last_transposed(rng):
    h = rng.normal(size=(2, 4, 3, 5)).astype("float32")
    last = TransposedConvolution((7, 6, 3), (3, 3), (2, 2), "same")
    first = TransposedConvolution((3, 7, 6), (3, 3), (2, 2), "same", data_format="channels_first")
    last.build(h.shape)
    first.build((2, 5, 4, 3))
    first.kernel.assign(last.kernel)
    expected = np.transpose(last(h), (0, 3, 1, 2))
    np.testing.assert_allclose(first(np.transpose(h, (0, 3, 1, 2))), expected, rtol=1e-5)
    pooled = Unpooling((3, 9, 6), 2, 2, data_format="channels_first")(np.transpose(h, (0, 3, 1, 2)))
    expected = Unpooling((9, 6, 3), 2, 2)(h)
    np.testing.assert_array_equal(pooled, np.transpose(expected, (0, 3, 1, 2)))


def test_a_tied_dense_layer_is_the_adjoint_also_on_sequences(rng):
    layer = L.Dense(4, use_bias=False, dtype="float64")
    for shape in ((2, 3), (2, 5, 3)):
        x = tf.constant(rng.normal(size=shape))
        h = tf.constant(rng.normal(size=layer(x).shape))
        ((_, mirrored),) = mirror([layer], x.shape[1:], tied=True)
        assert mirrored.weights == []
        np.testing.assert_allclose(mirrored(h), adjoint(layer, x, h), rtol=1e-12)


UNPOOLED = {  # windows of (size, stride, padding) over this many values, and which window each gets
    "side by side": (6, 2, 2, "valid", [0, 0, 1, 1, 2, 2]),
    "odd, valid": (7, 2, 2, "valid", [0, 0, 1, 1, 2, 2, 2]),
    "odd, same": (7, 2, 2, "same", [0, 0, 1, 1, 2, 2, 3]),
    "overlapping, same": (6, 3, 2, "same", [0, 0, 1, 1, 2, 2]),
    "overlapping, valid": (5, 3, 1, "valid", [0, 0, 1, 2, 2]),
    "padding on both sides": (7, 3, 3, "same", [0, 0, 1, 1, 1, 2, 2]),
    "with gaps": (8, 2, 3, "valid", [0, 0, 1, 1, 1, 2, 2, 2]),
}


@pytest.mark.parametrize("name", UNPOOLED)
def test_unpooling_repeats_the_nearest_window(name):
    n, size, stride, padding, expected = UNPOOLED[name]
    pooling = L.AveragePooling1D(size, stride, padding)
    windows = pooling(np.zeros((1, n, 1), "float32")).shape[1]
    h = np.arange(windows, dtype="float32").reshape(1, windows, 1)
    unpooled = Unpooling((n, 1), size, stride, padding)(h)
    np.testing.assert_array_equal(unpooled[0, :, 0], expected)
    added = max((windows - 1) * stride + size - n, 0) // 2 if padding == "same" else 0
    centres = np.arange(windows) * stride - added + (size - 1) / 2
    distances = np.abs(centres[:, None] - np.arange(n))
    np.testing.assert_array_equal(distances[expected, np.arange(n)], distances.min(axis=0))


ENCODERS = {
    "dense": ((6,), lambda: [L.Dense(4, activation="relu"), L.Dense(2)]),
    "odd image, strides": ((9, 7, 2), lambda: [L.Conv2D(3, 3, strides=2, padding="same"),
                                               L.Conv2D(4, 3, strides=2, padding="valid")]),
    "strides that leave a rest": ((12, 10, 1), lambda: [L.Conv2D(3, 3, strides=4)]),
    "pooling": ((9, 7, 1), lambda: [L.Conv2D(3, 3, activation="relu"), L.MaxPooling2D(2),
                                    L.Conv2D(2, 2), L.AveragePooling2D(2, padding="same")]),
    "flatten": ((7, 5, 1), lambda: [L.Conv2D(3, 3), L.BatchNormalization(), L.ReLU(),
                                    L.MaxPooling2D(3, strides=2), L.Flatten(), L.Dropout(0.5),
                                    L.Dense(4)]),
    "sequence": ((11, 2), lambda: [L.Conv1D(3, 4, strides=3, padding="causal"), L.PReLU(),
                                   L.MaxPooling1D(2), L.Flatten(), L.Dense(3)]),
    "volume": ((5, 6, 7, 1), lambda: [L.Conv3D(2, 2, strides=2), L.MaxPooling3D(2)]),
    "global pooling": ((5, 6, 2), lambda: [L.Conv2D(3, 3), L.GlobalAveragePooling2D(),
                                           L.Dense(2)]),
    "reshape first": ((30,), lambda: [L.Reshape((5, 6, 1)), L.Conv2D(2, 3), L.Flatten()]),
    "permute": ((3, 4, 5), lambda: [L.Permute((3, 1, 2)), L.Dense(2), L.Permute((2, 3, 1)),
                                    L.Flatten(), L.Dense(3)]),
    "padding and cropping": ((5, 6, 2), lambda: [L.ZeroPadding2D(((1, 2), (0, 3))),
                                                 L.Conv2D(2, 3), L.Cropping2D(((1, 0), (2, 1)))]),
    "padding and cropping of sequences": ((8, 1), lambda: [L.ZeroPadding1D((1, 2)),
                                                           L.Conv1D(2, 3), L.Cropping1D((2, 1))]),
    "noise and norms": ((6,), lambda: [L.GaussianNoise(0.1), L.Dense(4), L.LayerNormalization(),
                                       L.Activation("tanh"), L.Dense(3), L.LeakyReLU()]),
}  # fmt: skip


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", ENCODERS)
def test_the_shape_of_every_layer_is_restored(name, tied, rng):
    shape, make = ENCODERS[name]
    chain = make()
    h = rng.normal(size=(2, *shape)).astype("float32")
    for layer in chain:
        h = layer(h)
    shapes = layer_shapes(chain, shape)
    assert h.shape[1:] == shapes[-1]
    mirrored = mirror(chain, shape, tied)
    # from the code, or from what the first layer of the mirror is handed
    for i, each in enumerate(mirrored):
        h = each.layer(h)
        last_of_its_place = i + 1 == len(mirrored) or mirrored[i + 1].place != each.place
        if last_of_its_place and not each.layer.name.endswith("activation"):
            keeps = type(each.layer).__name__ == type(chain[each.place]).__name__ and (
                h.shape[1:] == shapes[each.place + 1]
            )
            assert keeps or h.shape[1:] == shapes[each.place]
    assert h.shape == (2, *shape)


def kinds(mirrored):
    return [type(each.layer).__name__ for each in mirrored]


def test_what_sits_between_two_affine_layers_sits_between_their_mirrors():
    chain = [L.Dropout(0.1), L.Conv2D(3, 3, activation="tanh"), L.BatchNormalization(), L.ReLU(),
             L.MaxPooling2D(2), L.Flatten(), L.Dense(5, activation="relu"), L.Dense(2),
             L.Softmax()]  # fmt: skip
    mirrored = mirror(chain, (8, 8, 1))
    assert kinds(mirrored) == [
        "Dense", "Activation", "Dense", "Reshape", "Unpooling", "Activation", "BatchNormalization",
        "ReLU", "TransposedConvolution",
    ]  # fmt: skip
    assert mirrored[1].layer.activation is keras.activations.relu
    assert mirrored[5].layer.activation is keras.activations.tanh
    assert [each.place for each in mirrored] == [7, 6, 6, 5, 4, 1, 2, 3, 1]


def test_the_mirror_of_the_first_layers_is_a_part_of_the_mirror():
    chain = ENCODERS["flatten"][1]()
    whole = mirror(chain, (7, 5, 1))
    part = trim([each for each in whole if each.place < 6])
    assert kinds(part) == kinds(mirror(chain[:6], (7, 5, 1)))
    assert all(any(each.layer is other.layer for other in whole) for each in part)
    assert trim([Mirrored(0, L.Dense(2)), Mirrored(0, L.ReLU())])[0].place == 0


def test_kernels_have_models_but_seeds_and_weights_of_their_own(rng):
    initializer = keras.initializers.HeNormal(seed=3)
    layer = L.Dense(6, kernel_initializer=initializer, kernel_regularizer="l2", use_bias=False)
    x = rng.normal(size=(2, 6)).astype("float32")
    layer(x)
    layer.trainable = False
    ((_, mirrored),) = mirror([layer], (6,))
    mirrored(x)
    assert isinstance(mirrored.kernel_initializer, keras.initializers.HeNormal)
    assert isinstance(mirrored.kernel_regularizer, keras.regularizers.L2)
    assert mirrored.bias is None
    assert mirrored.trainable
    assert not np.allclose(mirrored.kernel, layer.kernel)
    np.testing.assert_array_equal(mirror([layer], (6,))[0].layer(x), mirrored(x))


def test_dropout_of_the_mirror_drops_other_values():
    dropout = L.Dropout(0.5, seed=3)
    chain = [L.Dense(40), dropout, L.Dense(40)]
    copy = mirror(chain, (40,))[1].layer
    ones = np.ones((4, 40), "float32")
    assert copy.rate == 0.5
    assert not np.array_equal(copy(ones, training=True), dropout(ones, training=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: [L.Dense(2), L.RepeatVector(3, name="again")],
         r"layer again \(RepeatVector\) cannot be mirrored: there is no rule .* Pass decoder="),
        (lambda: [L.Reshape((4, 1)), L.LSTM(3, name="memory")],
         r"layer memory \(LSTM\) cannot be mirrored"),
        (lambda: [L.ReLU(), L.Dropout(0.5)],
         r"the encoder \(ReLU, Dropout\) has no dense or convolutional layer"),
    ],
)  # fmt: skip
def test_what_cannot_be_mirrored_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        mirror(make(), (4,))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TransposedConvolution((8, 8, 1), (3, 3, 3), 1), "kernel_size has 3 values for 2"),
        (
            lambda: TransposedConvolution((8, 1), 3, 1, "full"),
            "padding must be one of 'same', 'valid', 'causal'",
        ),
        (lambda: TransposedConvolution((8, 1), 3, 2, dilation_rate=2), "cannot both exceed 1"),
        (lambda: Unpooling((8, 1), 2, 2, "causal"), "padding must be one of 'same', 'valid', got"),
        (lambda: TransposedDense(0), "features must be one or more positive integers"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_inputs_that_the_convolution_does_not_make():
    layer = TransposedConvolution((9, 6, 3), 3, 2, name="back")
    with pytest.raises(ValueError, match=r"back leads from \(5, 3\) positions to \(9, 6\), but"):
        layer.build((None, 4, 3, 2))


def test_layers_with_kernels_of_their_own_can_be_saved_alone(tmp_path, rng):
    network = keras.Sequential([
        keras.Input((4, 3, 2)),
        TransposedConvolution((7, 6, 3), 3, 2, kernel_regularizer="l2"),
        Unpooling((15, 12, 3), 2, 2),
        TransposedDense(5),
    ])  # fmt: skip
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    h = rng.normal(size=(2, 4, 3, 2)).astype("float32")
    np.testing.assert_array_equal(loaded(h), network(h))
    tied = TransposedDense(5, tied_to=network.layers[-1], name="tied_one")
    with pytest.raises(TypeError, match="tied_one uses the kernel of another layer"):
        tied.get_config()
