import keras
import numpy as np
import pytest

import delvm_tf as dv
from delvm_tf.networks import cebm_cnn


def test_the_defaults_are_the_authors_network():
    network = cebm_cnn(input_shape=(32, 32, 3))
    convolutions = network.layers[:4]
    assert [layer.kernel.shape for layer in convolutions] == [
        (3, 3, 3, 64), (4, 4, 64, 64), (4, 4, 64, 32), (4, 4, 32, 32),
    ]  # fmt: skip
    assert [layer.strides for layer in convolutions] == [(1, 1), (2, 2), (2, 2), (2, 2)]
    assert [layer.output.shape[1:3] for layer in convolutions] == [
        (32, 32), (16, 16), (8, 8), (4, 4),
    ]  # fmt: skip
    assert isinstance(network.layers[4], keras.layers.Flatten)
    assert network.layers[5].kernel.shape == (4 * 4 * 32, 128)
    assert {network.layers[i].activation for i in (0, 1, 2, 3, 5)} == {keras.activations.silu}
    assert network.output_shape == (None, 128)


def test_even_sides_are_padded_by_one_pixel_all_round(rng):
    """A stride of two with a 4 × 4 kernel: `same` is the authors' padding of one."""
    network = cebm_cnn(2, 4, 2, 3, activation="linear", input_shape=(6, 8, 1), dtype="float64")
    layer, x = network.layers[0], rng.normal(size=(2, 6, 8, 1))
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    expected = np.empty((2, 3, 4, 2))
    for i in range(3):
        for j in range(4):
            window = padded[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4]
            expected[:, i, j] = np.tensordot(window, layer.kernel.numpy(), axes=3)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12)


def test_arguments_reach_the_layers():
    network = cebm_cnn((3, 2), 3, (1, 2), (5, 4), "tanh", input_shape=(6, 6, 1), dtype="float64")
    assert [layer.name for layer in network.layers] == [
        "conv_1", "conv_2", "flatten", "dense_1", "dense_2",
    ]  # fmt: skip
    assert all(layer.compute_dtype == "float64" for layer in network.layers)
    assert network.output_shape == (None, 4)
    assert network.layers[-1].activation is keras.activations.tanh


def test_a_seed_fixes_the_weights_and_layers_differ():
    def kernels(seed):
        network = cebm_cnn((3, 3), 3, 1, (3, 3), seed=seed, input_shape=(1, 1, 3))
        return [layer.kernel.numpy() for layer in network.layers if layer.weights]

    for first, second in zip(kernels(5), kernels(5), strict=True):
        np.testing.assert_array_equal(first, second)
    for first, second in zip(kernels(5), kernels(6), strict=True):
        assert not np.allclose(first, second)
    *_, one, other = kernels(5)
    assert not np.allclose(one, other)


def test_it_is_built_from_the_data_and_saved(rng, tmp_path):
    x = rng.normal(size=(4, 8, 8, 1)).astype("float32")
    model = dv.DEM(cebm_cnn((2, 2), 3, (1, 2), 3), normalization="none")
    energy = model.energy(x)
    assert energy.shape == (4,)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        keras.saving.load_model(tmp_path / "model.keras").energy(x), energy
    )


@pytest.mark.parametrize("name", ["filters", "kernel_size", "strides", "units"])
@pytest.mark.parametrize("value", [0, (), 1.5])
def test_numbers_must_be_positive_integers(name, value):
    with pytest.raises(ValueError, match=f"{name} must be one or more positive integers, got"):
        cebm_cnn(**{name: value})


def test_there_is_one_value_for_each_convolution():
    with pytest.raises(ValueError, match="kernel_size has 4 values for 2 layers"):
        cebm_cnn(filters=(3, 3))
