"""The reconstruction objective, with and without noise, for models with and without energy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv


def linear(kernel, decoder, **kwargs):
    """An autoencoder z ↦ z @ kernel @ decoder in float64."""
    d, k = kernel.shape
    network = dv.networks.ffnn((k,), "linear", use_bias=False, dtype="float64", input_shape=(d,))
    model = dv.Autoencoder(network, normalization="none", dtype="float64", **kwargs)
    model.build((None, d))
    network.set_weights([kernel])
    model.decoder.set_weights([decoder])
    return model


def test_without_noise_it_is_the_squared_error_of_each_example(rng):
    kernel, decoder, z = (rng.normal(size=s) for s in ((5, 2), (2, 5), (7, 5)))
    model = linear(kernel, decoder)
    expected = np.square(z - z @ kernel @ decoder).sum(axis=1)
    for training in (True, False):
        value = model.objective.compute(model, tf.constant(z), training)
        np.testing.assert_allclose(value.loss, expected, rtol=1e-12)
        np.testing.assert_allclose(value.reconstruction_error, expected, rtol=1e-12)
        assert value.loss.dtype == tf.float64
        assert value.terms == {}
    np.testing.assert_allclose(model.reconstruction_error(z), expected, rtol=1e-12)


def test_with_noise_the_mean_loss_of_a_linear_map_is_the_known_one(rng):
    """E‖z − A(z + σε)‖² = ‖z − Az‖² + σ²‖A‖², within four standard errors."""
    kernel, decoder, z = (rng.normal(size=s) for s in ((3, 2), (2, 3), (1, 3)))
    model = linear(kernel, decoder, objective=dv.Reconstruction(noise=0.7, seed=0))
    a, n = kernel @ decoder, 40_000
    expected = np.square(z - z @ a).sum() + 0.7**2 * np.square(a).sum()
    value = model.objective.compute(model, tf.constant(np.repeat(z, n, axis=0)), training=True)
    losses = value.loss.numpy()
    assert abs(losses.mean() - expected) < 4 * losses.std() / np.sqrt(n)
    without = abs(losses.mean() - np.square(z - z @ a).sum())
    assert without > 20 * losses.std() / np.sqrt(n)
    np.testing.assert_array_equal(value.reconstruction_error, value.loss)
    clean = model.objective.compute(model, tf.constant(z), training=False).loss
    np.testing.assert_allclose(clean, np.square(z - z @ a).sum(axis=1), rtol=1e-12)


def test_the_denoising_optimum_of_a_linear_autoencoder(rng):
    """A = U diag(s / (s + σ²)) Uᵀ over the k largest variances s, and 0 on the others."""
    d, k, sigma = 5, 2, 1.0
    rotation, _ = np.linalg.qr(rng.normal(size=(d, d)))
    variances = np.array([6.0, 3.0, 0.5, 0.3, 0.1])
    z = rng.normal(size=(4000, d))
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / len(z))).T @ np.diag(variances**0.5)
    model = linear(
        0.1 * rng.normal(size=(d, k)), 0.1 * rng.normal(size=(k, d)),
        objective=dv.Reconstruction(noise=sigma, seed=0),
    )  # fmt: skip
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 800)
    model.compile(keras.optimizers.Adam(schedule), steps_per_execution=100)
    model.fit(tf.data.Dataset.from_tensors(z @ rotation.T).repeat(800), verbose=0)
    shrunk = np.array([6 / 7, 3 / 4, 0, 0, 0])
    learned = model.network.get_weights()[0] @ model.decoder.get_weights()[0]
    np.testing.assert_allclose(learned, rotation * shrunk @ rotation.T, atol=0.02)


def test_noise_is_new_at_every_step_and_a_seed_repeats_it(rng):
    z = tf.constant(rng.normal(size=(4, 3)))
    kernel, decoder = rng.normal(size=(3, 2)), rng.normal(size=(2, 3))

    def losses():
        model = linear(kernel, decoder, objective=dv.Reconstruction(noise=0.5, seed=7))
        step = tf.function(lambda: model.objective.compute(model, z, True).loss)
        return np.stack([step(), step()])

    first = losses()
    assert not np.allclose(first[0], first[1])
    np.testing.assert_array_equal(losses(), first)


def test_a_delvm_learns_to_reconstruct_like_a_tied_autoencoder(rng):
    """One ReLU layer: x̂ = Jᵀf = (relu(zW + b)) Wᵀ, the autoencoder with tied kernels, no bias."""
    z = rng.normal(size=(9, 4))
    tape_results = []
    for make in (dv.DELVM, lambda n, **kw: dv.Autoencoder(n, tied=True, **kw)):
        network = dv.networks.ffnn((3,), "relu", seed=1, dtype="float64", input_shape=(4,))
        network.layers[0].bias.assign([0.1, -0.2, 0.3])
        model = make(network, objective=dv.Reconstruction(), normalization="none", dtype="float64")
        model.build((None, 4))
        with tf.GradientTape() as tape:
            value = model.objective.compute(model, tf.constant(z), training=True)
            loss = tf.reduce_mean(value.loss)
        gradients = tape.gradient(loss, network.trainable_variables)
        tape_results.append([loss, *gradients])
        assert dv.AnomalyDetector(model).criterion_ == "reconstruction_error"
    for delvm, autoencoder in zip(*tape_results, strict=True):
        np.testing.assert_allclose(delvm, autoencoder, rtol=1e-10)


def test_every_energy_model_can_be_trained_on_it(rng):
    x = rng.normal(size=(40, 6)).astype("float32")
    model = dv.DELVM(dv.networks.ffnn((8, 4), "softplus"), objective=dv.Reconstruction(noise=0.1))
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(x, epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert set(history) == {"loss", "reconstruction_error"} | (set(history) & {"gradient_norm"})


def test_only_models_that_reconstruct():
    with pytest.raises(TypeError, match=r"needs a model that reconstructs .* FeedForward does not"):
        dv.Reconstruction().check_model(dv.networks.ffnn((3,)))


@pytest.mark.parametrize("noise", [-0.1, float("inf"), float("nan"), "a lot", None])
def test_noise_must_be_a_number_from_zero(noise):
    with pytest.raises(ValueError, match="noise must be a finite number of at least 0, got"):
        dv.Reconstruction(noise=noise)


def test_the_configuration_makes_it_again():
    objective = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(dv.Reconstruction(noise=0.3, seed=5))
    )
    assert (objective.noise, objective.seed) == (0.3, 5)
