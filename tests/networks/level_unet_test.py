"""U-shaped networks that take the noise level."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import correlate2d

import delvm_tf as dv

SHAPE = (6, 5, 2)


def filled(rng, shape=SHAPE, channels=(3, 4, 5), blocks=(1, 2, 1)):
    """A network in float64 whose weights are not those of the start, inputs and levels."""
    network = dv.networks.LevelUNet(channels, blocks, units=6, waves=3, seed=0, dtype="float64")
    x, log_sigma = rng.normal(size=(3, *shape)), rng.uniform(-3, 1, size=(3, 1))
    network([x, log_sigma])
    network.set_weights([w + rng.normal(0, 0.2, size=w.shape) for w in network.get_weights()])
    return network, x, log_sigma


def silu(a):
    return a / (1 + np.exp(-a))


def convolved(h, layer):
    """A convolution of one image by loops, (height, width, channels)."""
    kernel = np.asarray(layer.kernel)
    side, stride = kernel.shape[0], layer.strides[0]
    if stride == 1:
        maps = [
            sum(correlate2d(h[..., i], kernel[..., i, o], "same") for i in range(h.shape[-1]))
            for o in range(kernel.shape[-1])
        ]
        result = np.stack(maps, axis=-1)
    else:
        padded = np.pad(h, [(0, h.shape[0] % side), (0, h.shape[1] % side), (0, 0)])
        rows, columns = (n // side for n in padded.shape[:2])
        result = np.array([
            [
                np.einsum(
                    "abi,abio->o",
                    padded[side * r : side * (r + 1), side * c : side * (c + 1)], kernel,
                )
                for c in range(columns)
            ]
            for r in range(rows)
        ])  # fmt: skip
    return result + (np.asarray(layer.bias) if layer.use_bias else 0)


def doubled(h, layer):
    """A transposed convolution of 2×2 with stride 2 of one image by loops."""
    kernel = np.asarray(layer.kernel)  # (2, 2, outputs, inputs)
    result = np.zeros((2 * h.shape[0], 2 * h.shape[1], kernel.shape[2]))
    for r in range(h.shape[0]):
        for c in range(h.shape[1]):
            result[2 * r : 2 * r + 2, 2 * c : 2 * c + 2] = kernel @ h[r, c]
    return result + np.asarray(layer.bias)


def by_loops(network, x, log_sigma):
    """The output for one image."""
    angles = np.arange(1, network.waves + 1) * np.pi / 10 * log_sigma
    waves = np.concatenate([np.cos(angles), np.sin(angles)])
    level = silu(waves @ np.asarray(network.level.kernel) + np.asarray(network.level.bias))

    def block(h, each):
        film = level @ np.asarray(each.film.kernel) + np.asarray(each.film.bias)
        gain, shift = np.split(film, 2)
        return h + convolved(silu(convolved(h, each.first) * (1 + gain) + shift), each.second)

    h, kept = convolved(x, network.stem), []
    for k, blocks in enumerate(network.down):
        for each in blocks:
            h = block(h, each)
        if k < len(network.halvings):
            kept.append(h)
            h = convolved(h, network.halvings[k])
    for k in (1, 0):
        rows, columns = kept[k].shape[:2]
        h = kept[k] + doubled(h, network.doublings[k])[:rows, :columns]
        for each in network.up[k]:
            h = block(h, each)
    return h


def test_output_is_that_of_loops_also_for_odd_sides(rng):
    network, x, log_sigma = filled(rng)
    expected = [by_loops(network, *each) for each in zip(x, log_sigma[:, 0], strict=True)]
    np.testing.assert_allclose(network([x, log_sigma]), expected, rtol=1e-9, atol=1e-9)
    assert network.compute_output_shape([(None, *SHAPE), (None, 1)]) == (None, 6, 5, 3)


def test_maps_are_those_of_the_resolutions_down_and_up(rng):
    network, x, log_sigma = filled(rng)
    maps = network.maps([x, log_sigma])
    shapes = [(3, 6, 5, 3), (3, 3, 3, 4), (3, 2, 2, 5), (3, 3, 3, 4), (3, 6, 5, 3)]
    assert [tuple(each.shape) for each in maps] == shapes
    np.testing.assert_array_equal(maps[-1], network([x, log_sigma]))
    model = dv.DensityDELVM(network, smallest_noise=0.1, dtype="float64")
    model.adapt(x)
    model.build((None, *SHAPE))
    features = model.features(x, pool=2, sigma=0.5)
    assert features.shape == (3, 2 * (3 * 2 * 3 + 4) + 5)
    level = model.features(x, pool=2, sigma=2.0)
    assert np.any(level != features)


def test_untrained_it_is_linear_and_the_same_at_all_levels(rng):
    network = dv.networks.LevelUNet((3, 4), 1, seed=0, dtype="float64")
    x, y = rng.normal(size=(2, 1, *SHAPE))
    low, high = tf.constant([[-2.0]], "float64"), tf.constant([[1.0]], "float64")
    together = network([x + 2 * y, low])
    np.testing.assert_allclose(together, network([x, high]) + 2 * network([y, high]), atol=1e-12)


def test_every_weight_learns(rng):
    network, x, log_sigma = filled(rng)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network([x, log_sigma])))
    gradients = tape.gradient(loss, network.trainable_variables)
    assert all(np.any(gradient != 0) for gradient in gradients)


def test_energy_and_both_derivatives_are_those_of_differences(rng):
    network, x, log_sigma = filled(rng, blocks=1)
    with pytest.warns(UserWarning, match="takes inputs as they are"):
        model = dv.DensityDELVM(network, normalization="none", dtype="float64")
    model.build((None, *SHAPE))
    model.set_weights([w + rng.normal(0, 0.1, size=w.shape) for w in model.get_weights()])
    z, level = tf.constant(x), tf.constant(log_sigma[:, 0])
    _, gradient, slope = model.normalized_energy_and_derivatives(z, level)
    h, way = 1e-5, tf.constant(rng.normal(size=x.shape))

    def energy(step, climb):
        return model.normalized_energy(z + step * way, level + climb).numpy()

    along = np.sum(gradient.numpy() * way.numpy(), axis=(1, 2, 3))
    np.testing.assert_allclose((energy(h, 0) - energy(-h, 0)) / (2 * h), along, rtol=1e-6)
    differences = (energy(0, h) - energy(0, -h)) / (4 * h)  # t ∂/∂t = ½ ∂/∂ log σ
    np.testing.assert_allclose(differences, slope, rtol=1e-6)


def test_it_is_saved_with_its_settings(rng, tmp_path):
    network, x, log_sigma = filled(rng)
    again = type(network).from_config(network.get_config())
    again.build([x.shape, log_sigma.shape])
    again.set_weights(network.get_weights())
    np.testing.assert_array_equal(again([x, log_sigma]), network([x, log_sigma]))
    model = dv.DensityDELVM(dv.networks.LevelUNet((3, 4), seed=0))
    pixels = rng.integers(0, 256, size=(8, 6, 6, 1)).astype("uint8")
    model.adapt(pixels)
    model.build((None, 6, 6, 1))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.energy(pixels), model.energy(pixels))


def test_the_same_seed_draws_the_same_weights():
    made = [dv.networks.LevelUNet((3, 4), seed=seed) for seed in (0, 0, 1)]
    for network in made:
        network.build([(None, *SHAPE), (None, 1)])
    first, same, other = (network.stem.kernel.numpy() for network in made)
    np.testing.assert_array_equal(first, same)
    assert np.any(first != other)
    kernels = [layer.kernel.numpy().ravel()[:4] for layer in (made[0].stem, *made[0].halvings)]
    assert np.any(kernels[0] != kernels[1])


def test_half_precision_gives_finite_outputs(rng):
    network = dv.networks.LevelUNet((3, 4), seed=0, dtype="mixed_bfloat16")
    output = network([tf.constant(rng.normal(size=(2, *SHAPE)), "bfloat16"), tf.zeros((2, 1))])
    assert output.dtype == tf.bfloat16
    assert np.all(np.isfinite(tf.cast(output, "float32")))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((7,), "takes images .* shape \\(7,\\)"), ((3, 3, 1), "halve the side 2 times, too often")],
)
def test_what_is_no_image_or_too_small_is_refused(shape, message):
    network = dv.networks.LevelUNet((3, 4, 5))
    with pytest.raises(ValueError, match=message):
        network.build([(None, *shape), (None, 1)])


@pytest.mark.parametrize("arguments", [{"channels": ()}, {"blocks": (1, 2)}, {"units": 0}])
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        dv.networks.LevelUNet(**{"channels": (3, 4, 5), **arguments})
