import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.curvature.nested_tape import nested_tape


@pytest.fixture(params=["NoiseConditionalDELVM", "NoiseConditionalDEM"])
def model(request, rng):
    made = getattr(dv, request.param)(
        dv.networks.level_ffnn((6, 5), "silu", seed=0, dtype="float64"),
        normalization="none", preconditioned=True, visible_bias="each", dtype="float64",
    )  # fmt: skip
    made.adapt(rng.normal(size=(10, 3)))
    for weight in made.trainable_variables:
        weight.assign(weight + 0.3 * rng.normal(size=weight.shape))
    return made


@pytest.mark.parametrize("sigma", [0.05, 0.6, 2.0])
def test_the_energy_is_that_of_the_formula(model, rng, sigma):
    z = rng.normal(size=(4, 3))
    u, level = z / np.sqrt(1 + sigma**2), np.full((4, 1), np.log(sigma))
    g = model.outer(model.network([u, level]))
    quadratic = model.visible.energy(tf.constant(z))  # ½‖z−b‖²
    expected = quadratic / (1 + sigma**2) - (sigma + 1 / sigma) * g
    np.testing.assert_allclose(model.energy(z, sigma=sigma), expected, rtol=1e-9)


@pytest.mark.parametrize("sigma", [0.05, 0.6, 2.0])
def test_reconstruction_and_laplacian_are_those_of_the_energy(model, rng, sigma):
    z = tf.constant(rng.normal(size=(4, 3)))
    log_sigma = tf.constant(np.log(sigma), tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(z)
        with tf.GradientTape() as tape:
            tape.watch(z)
            energy = model.normalized_energy(z, log_sigma)
        gradient = tape.gradient(energy, z)
    hessian = outer.batch_jacobian(gradient, z)
    expected = z - sigma**2 * gradient
    np.testing.assert_allclose(model.normalized_reconstruction(z, log_sigma), expected, rtol=1e-8)
    found = model.energy_curvature(z, nested_tape, sigma)
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-8)
    np.testing.assert_allclose(found.laplacian, tf.linalg.trace(hessian), rtol=1e-7)


def test_a_delvm_has_more_hidden_units_of_fixed_weights(rng):
    network = dv.networks.level_ffnn((6, 5), "silu", seed=0, dtype="float64")
    model = dv.NoiseConditionalDELVM(
        network, normalization="none", preconditioned=True, dtype="float64"
    )
    z, sigma = rng.normal(size=(4, 3)), 0.3
    model.adapt(z)
    u = z / np.sqrt(1 + sigma**2)
    f = np.asarray(network([u, np.full((4, 1), np.log(sigma))]))
    whole = np.concatenate([u / np.sqrt(1 + sigma**2), np.sqrt(sigma) * f], axis=1)
    squares = [np.square(part).sum(axis=1) for part in (z / sigma, whole)]
    expected = 0.5 * squares[0] - 0.5 * (1 + 1 / sigma**2) * squares[1]
    np.testing.assert_allclose(model.energy(z, sigma=sigma), expected, rtol=1e-9)


def test_a_network_that_gives_nothing_is_normal_data(rng):
    network = dv.networks.level_ffnn((6, 5), "silu", "zeros")
    model = dv.NoiseConditionalDELVM(network, normalization="none", preconditioned=True)
    x = rng.normal(size=(4, 3)).astype("float32")
    model.adapt(x)
    np.testing.assert_allclose(model.reconstruct(x, sigma=0.5), x / 1.25, rtol=1e-6)


def test_it_is_saved(model, rng, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = rng.normal(size=(4, 3))
    np.testing.assert_allclose(loaded.errors(x), model.errors(x), rtol=1e-9)
