"""Networks that take the noise level."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.networks.level_network import level_waves

NETWORKS = {
    "dense": ((6,), lambda **kw: dv.networks.level_ffnn((5, 4), "tanh", seed=0, **kw)),
    "dense of images": ((3, 2, 2), lambda **kw: dv.networks.level_ffnn((5, 4), seed=0, **kw)),
    "images": ((6, 6, 2), lambda **kw: dv.networks.level_cnn((4, 3), 3, seed=0, **kw)),
    "series": ((9,), lambda **kw: dv.networks.level_cnn((4, 3), 3, rank=1, seed=0, **kw)),
    "channels": ((9, 2), lambda **kw: dv.networks.level_cnn((4,), 3, rank=1, seed=0, **kw)),
    "units behind": ((6, 6, 1), lambda **kw: dv.networks.level_cnn(4, 3, 2, (7,), seed=0, **kw)),
}


def filled(kind, rng, dtype="float64"):
    """A network with scales and shifts that are not those of the start, inputs and levels."""
    shape, make = NETWORKS[kind]
    network = make(dtype=dtype)
    x, log_sigma = rng.normal(size=(5, *shape)), rng.uniform(-3, 1, size=(5, 1))
    network([x, log_sigma])
    network.set_weights([w + rng.normal(0, 0.2, size=w.shape) for w in network.get_weights()])
    return network, x, log_sigma


@pytest.mark.parametrize("kind", NETWORKS)
def test_at_a_fixed_level_it_is_a_plain_network(kind, rng):
    network, x, log_sigma = filled(kind, rng)
    for row in range(2):
        plain = network.at_level(np.exp(log_sigma[row, 0]), x.shape[1:])
        np.testing.assert_allclose(plain(x[row : row + 1])[0], network([x, log_sigma])[row])


def test_layers_are_scaled_and_shifted_before_their_activations(rng):
    """By hand: tanh(g ⊙ W₂ᵀ tanh(g ⊙ W₁ᵀx + b) + b)."""
    network, x, log_sigma = filled("dense", rng)
    modulation, usual, first, second = network.get_weights()
    jobs = np.arange(1, 9) * np.pi / 10 * log_sigma
    scaled = np.hstack([np.cos(jobs), np.sin(jobs)]) @ modulation + usual
    h = np.tanh(scaled[:, :5] * (x @ first) + scaled[:, 9:14])
    f = np.tanh(scaled[:, 5:9] * (h @ second) + scaled[:, 14:])
    np.testing.assert_allclose(network([x, log_sigma]), f)
    np.testing.assert_allclose(network.maps([x, log_sigma])[0], h)


@pytest.mark.parametrize("kind", NETWORKS)
def test_it_starts_as_one_network_for_all_levels_and_learns_to_tell_them_apart(kind, rng):
    shape, make = NETWORKS[kind]
    network, x = make(), rng.normal(size=(3, *shape)).astype("float32")
    low, high = (tf.fill((3, 1), level) for level in (-2.0, 1.0))
    np.testing.assert_array_equal(network([x, low]), network([x, high]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network([x, low])) - 2 * tf.reduce_sum(network([x, high]))
    gradients = tape.gradient(loss, network.trainable_variables)
    assert all(np.any(gradient != 0) for gradient in gradients)


def test_the_shape_is_that_of_the_output():
    for shape, make in NETWORKS.values():
        network = make()
        out = network([tf.zeros((2, *shape)), tf.zeros((2, 1))])
        assert network.compute_output_shape([(2, *shape), (2, 1)]) == out.shape


@pytest.mark.parametrize("kind", NETWORKS)
def test_it_is_saved_and_loaded(kind, rng, tmp_path):
    network, x, log_sigma = filled(kind, rng)
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(again([x, log_sigma]), network([x, log_sigma]))


def test_waves_tell_levels_apart_and_have_slopes():
    log_sigma = tf.constant(np.linspace(-6, 6, 100)[:, None])
    waves = level_waves(log_sigma, 3).numpy()
    np.testing.assert_allclose(waves[:, 4], np.sin(0.2 * np.pi * log_sigma[:, 0]))
    gaps = np.square(waves[:, None] - waves[None]).sum(axis=2)
    assert gaps[np.triu_indices(100, 1)].min() > 1e-4


def test_in_half_precision_levels_stay_exact(rng):
    network = dv.networks.level_ffnn((4,), dtype="mixed_float16")
    out = network([tf.ones((2, 3)), tf.constant([[-4.1234567], [-4.1234567]])])
    assert out.dtype == tf.float16
    assert network.modulation.dtype == "float32"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dv.networks.level_cnn(rank=3), "rank must be 1 for series or 2 for images, got 3"),
        (lambda: dv.networks.level_ffnn(()), "units must be one or more positive integers"),
        (lambda: dv.networks.level_ffnn(waves=0), "waves must be one or more positive integers"),
        (lambda: dv.networks.level_cnn((4, 4), (3, 3, 3)), "kernel_size has 3 values for 2 layers"),
        (
            lambda: dv.networks.LevelNetwork([keras.layers.Dense(3)], []),
            "an activation for each linear layer, got 0 for 1",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
