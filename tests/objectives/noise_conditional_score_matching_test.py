"""Denoising at all levels: unbiased, with the right weights and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv

LADDER = (2.0, 0.5, 0.1)


class Shrinking:
    """A model whose reconstruction is r(σ) = 1/(1 + σ) times its input."""

    noise_conditional, normalized_energy = True, None
    noise_levels = LADDER

    def normalized_reconstruction(self, z, log_sigma):
        return z / (1 + tf.exp(log_sigma))[:, None]

    def normalized_squared_residual(self, z):
        return z


def expected(x, sigma):
    """½E‖(x − r·(x + σε))/σ‖² = ½[(1 − r)²‖x‖²/σ² + r²d] by hand."""
    r = 1 / (1 + sigma)
    return 0.5 * ((1 - r) ** 2 * np.square(x).sum() / sigma**2 + r**2 * len(x))


@pytest.mark.parametrize("continuous", [True, False])
def test_the_loss_is_that_of_the_closed_form_over_all_levels(continuous):
    x, n = np.array([0.5, -2.0, 1.0]), 200_000
    objective = dv.NoiseConditionalScoreMatching(continuous, seed=0)
    z = tf.constant(np.repeat(x[None], n, axis=0))
    losses = objective.compute(Shrinking(), z, False).loss.numpy()
    levels = np.geomspace(0.1, 2.0, 2001) if continuous else np.array(LADDER)
    values = np.array([expected(x, sigma) for sigma in levels])
    mean = np.trapezoid(values, dx=1 / 2000) if continuous else values.mean()
    assert abs(losses.mean() - mean) < 4.5 * losses.std() / np.sqrt(n)
    assert losses.std() / np.sqrt(n) < 0.01 * mean


def test_levels_of_a_batch_are_spread_and_each_example_gets_them_all():
    """Every row has every level in turn, for rows may come in an order that means something."""
    from delvm_tf.objectives.noise_levels import drawn_levels

    z = tf.zeros((8, 2))
    draws = np.array(
        [drawn_levels(LADDER, True, z, tf.constant([seed, 0])).numpy() for seed in range(400)]
    )
    low, high = np.log(0.1), np.log(2.0)
    places = np.sort((draws - low) / (high - low), axis=1)
    np.testing.assert_allclose(np.diff(places, axis=1), 1 / 8, atol=1e-5)
    assert np.all(np.abs(draws.mean(axis=0) - (low + high) / 2) < 0.2)
    counted = np.array([drawn_levels(LADDER, False, z, tf.constant([s, 0])) for s in range(400)])
    for level in np.log(LADDER):
        share = np.isclose(counted, level).mean(axis=0)
        assert np.all(np.abs(share - 1 / 3) < 0.1)


def trainable(kind, **kwargs):
    network = dv.networks.level_ffnn((4, 3), "tanh", dtype="float64", seed=1)
    model = kind(network, normalization="none", dtype="float64", **kwargs)
    model.build((None, 2))
    draws = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(weight + draws.normal(0, 0.3, size=weight.shape))
    return model


def loss_of(model, z):
    """The loss of a batch, with the same noise in every call."""
    model.objective.seed_generator.state.assign([7, 0])
    return tf.reduce_mean(model.objective.compute(model, z, True).loss)


@pytest.mark.parametrize(
    "kind", [dv.NoiseConditionalDELVM, dv.NoiseConditionalDSEBM, dv.DensityDELVM]
)
def test_gradients_in_all_weights_are_those_of_finite_differences(kind, rng):
    """Of `DualScoreMatching` too; one random direction a weight, in double precision."""
    model = trainable(kind, noise_levels=(1.5, 0.4))
    z = tf.constant(rng.normal(size=(6, 2)))
    with tf.GradientTape() as tape:
        loss = loss_of(model, z)
    gradients = tape.gradient(loss, [w.value for w in model.trainable_variables])
    for weight, gradient in zip(model.trainable_variables, gradients, strict=True):
        value, direction = weight.numpy(), rng.normal(size=weight.shape)
        above, below = [], []
        for sign, found in ((1, above), (-1, below)):
            weight.assign(value + sign * 1e-5 * direction)
            found.append(loss_of(model, z).numpy())
        weight.assign(value)
        slope = (above[0] - below[0]) / 2e-5
        np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=1e-5, atol=1e-8)


def test_error_and_terms(rng):
    z = tf.constant(rng.normal(size=(5, 2)))
    model = trainable(dv.NoiseConditionalDELVM)
    value = model.objective.compute(model, z, True)
    assert tuple(value.terms) == model.objective.term_names == ("denoising",)
    np.testing.assert_array_equal(value.loss, value.terms["denoising"])
    evaluated = model.objective.compute(model, z, False)
    np.testing.assert_allclose(evaluated.reconstruction_error, model.reconstruction_error(z))


@pytest.mark.parametrize("continuous", [False, True])
def test_normal_data_are_denoised_as_theory_says(continuous, rng):
    """x̂ = S(S + σ²)⁻¹x: a linear DELVM that learns its scale and shift at each level."""
    variances = np.array([2.0, 0.3])
    x = rng.normal(size=(4000, 2))
    x = (x - x.mean(axis=0)) / x.std(axis=0) * np.sqrt(variances)
    x = x.astype("float32")
    network = dv.networks.level_ffnn((4,), "linear", seed=0)
    objective = dv.NoiseConditionalScoreMatching(continuous)
    model = dv.NoiseConditionalDELVM(
        network, objective, normalization="none", noise_levels=(2.0, 1.0, 0.5)
    )
    schedule = keras.optimizers.schedules.CosineDecay(0.03, 500)
    model.compile(keras.optimizers.Adam(schedule), steps_per_execution=100)
    model.fit(tf.data.Dataset.from_tensors(x).repeat(500), verbose=0)
    points = np.array([[1.0, 0.0], [0.0, 1.0]], "float32")
    for sigma in (2.0, 1.0, 0.5):
        rebuilt = model.reconstruct(points, sigma=sigma).numpy()
        np.testing.assert_allclose(np.diag(rebuilt), variances / (variances + sigma**2), atol=0.05)
        np.testing.assert_allclose(rebuilt - np.diag(np.diag(rebuilt)), 0, atol=0.05)
