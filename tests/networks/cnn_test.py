import numpy as np
import pytest
from scipy.signal import correlate2d

from delvm_tf.networks import cnn


def test_same_padding_keeps_the_image_and_valid_padding_shrinks_it(rng):
    x = rng.normal(size=(2, 12, 10, 3))
    assert cnn((6, 4), 3)(x).shape == (2, 12, 10, 4)
    assert cnn((6, 4), 3, padding="valid")(x).shape == (2, 8, 6, 4)


def test_kernel_sizes_and_strides_can_differ_by_layer(rng):
    network = cnn((6, 4, 2), kernel_size=(7, 3, 1), strides=(2, 1, 3))
    assert network(rng.normal(size=(2, 12, 12, 1))).shape == (2, 2, 2, 2)
    shapes = [layer.kernel.shape for layer in network.layers]
    assert shapes == [(7, 7, 1, 6), (3, 3, 6, 4), (1, 1, 4, 2)]


def test_one_kernel_size_and_stride_serve_all_layers(rng):
    network = cnn((6, 4), kernel_size=(3,), strides=2)
    assert network(rng.normal(size=(2, 12, 12, 1))).shape == (2, 3, 3, 4)
    assert [layer.kernel_size for layer in network.layers] == [(3, 3), (3, 3)]


def test_a_filter_is_a_correlation_then_relu(rng):
    network = cnn(2, 3, input_shape=(6, 5, 1), dtype="float64", seed=0)
    layer = network.layers[0]
    layer.bias.assign([-0.1, 0.2])
    x = rng.normal(size=(1, 6, 5, 1))
    for k in range(2):
        plane = correlate2d(x[0, :, :, 0], layer.kernel.numpy()[:, :, 0, k], mode="same")
        expected = np.maximum(plane + layer.bias.numpy()[k], 0)
        np.testing.assert_allclose(network(x)[0, :, :, k], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["filters", "kernel_size", "strides"])
@pytest.mark.parametrize("value", [0, -1, (), (3, 0), 1.5, None])
def test_numbers_must_be_positive_integers(name, value):
    arguments = {"filters": (4, 4), "kernel_size": 3, "strides": 1, name: value}
    with pytest.raises(ValueError, match=f"{name} must be one or more positive integers, got"):
        cnn(**arguments)


@pytest.mark.parametrize("name", ["kernel_size", "strides"])
def test_there_is_one_value_for_each_layer_or_one_for_all(name):
    with pytest.raises(ValueError, match=f"{name} has 2 values for 3 layers"):
        cnn((4, 4, 4), **{name: (3, 3)})


def test_the_last_layer_may_be_linear():
    network = cnn((4, 3), 3, output_activation="linear")
    assert [layer.activation.__name__ for layer in network.layers] == ["relu", "linear"]
    assert [layer.activation.__name__ for layer in cnn((4, 3), 3).layers] == ["relu", "relu"]
