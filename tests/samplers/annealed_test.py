"""Annealed chains end at the right density, and cross where cold chains do not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.objectives.denoising_score_matching import DenoisingScoreMatching
from delvm_tf.samplers import AnnealedLangevin, Langevin, run_chain

SEED = tf.constant([3, 7])


class Gaussian(dv.EnergyModel):
    """N(m, diag(s))."""

    mean, variances = np.array([1.0, -2.0]), np.array([0.5, 2.0])

    def normalized_energy(self, z):
        return 0.5 * tf.reduce_sum(tf.square(z - self.mean) / self.variances, axis=1)


class TwoModes(dv.EnergyModel):
    """½N(−4, 0.5²) + ½N(4, 0.5²)."""

    def normalized_energy(self, z):
        exponents = tf.stack([-0.5 * tf.square((z[:, 0] - m) / 0.5) for m in (-4.0, 4.0)])
        return -tf.reduce_logsumexp(exponents, axis=0)


def model_of(kind, d, **kwargs):
    model = kind(normalization="none", dtype="float64", **kwargs)
    model.build((None, d))
    return model


def ends(sampler, model, start, steps):
    run = tf.function(lambda: run_chain(sampler, model, tf.constant(start), steps, SEED))
    moved = run()
    np.testing.assert_array_equal(moved.accepted, 1)
    return moved.state.numpy()


def test_chains_end_at_the_density_of_the_energy():
    """A Gaussian, whose discretised chain has the variance s/(1 − ε/(2s)); 4.5 standard errors."""
    n, epsilon = 20000, 0.1
    model = model_of(Gaussian, 2)
    x = ends(AnnealedLangevin((4.0, 2.0, 1.0), epsilon), model, np.full((n, 2), 9.0), 360)
    variances = model.variances / (1 - epsilon / (2 * model.variances))
    error = np.abs(x.mean(axis=0) - model.mean)
    assert np.all(error < 4.5 * np.sqrt(variances / n))
    assert np.all(np.abs(x.var(axis=0) / variances - 1) < 4.5 * np.sqrt(2 / n))


def test_a_level_has_the_temperature_of_its_squared_ratio_to_the_last():
    """In the middle of the run at σ = 2σ_L the variance is that of T = 4, at any scale of σ."""
    n, epsilon = 20000, 0.1
    model = model_of(Gaussian, 2)
    sampler = AnnealedLangevin((0.6, 0.3), epsilon)

    @tf.function
    def first_half():
        start = tf.zeros((n, 2), tf.float64)
        return run_chain(sampler, model, start, 200, SEED, first=0, total=400).state

    variances = 4 * model.variances / (1 - epsilon / (2 * model.variances))
    got = first_half().numpy().var(axis=0)
    assert np.all(np.abs(got / variances - 1) < 4.5 * np.sqrt(2 / n))


def test_annealed_chains_cross_between_modes_where_plain_ones_do_not():
    n, steps = 2000, 1200
    model = model_of(TwoModes, 1)
    start = np.full((n, 1), -4.0)
    plain = ends(Langevin(0.05), model, start, steps)
    assert np.all(plain < 0)
    annealed = ends(AnnealedLangevin(np.geomspace(8.0, 1.0, 8), 0.05), model, start, steps)
    right = annealed[:, 0] > 0
    assert abs(right.mean() - 0.5) < 4.5 * 0.5 / np.sqrt(n)
    deviation = 0.5 / np.sqrt(1 - 0.05 / (2 * 0.25))
    for mode, sign in ((annealed[right], 1), (annealed[~right], -1)):
        bound = 4.5 / np.sqrt(len(mode))
        assert abs(mode.mean() - 4 * sign) < deviation * bound
        assert abs(mode.std() / deviation - 1) < bound / np.sqrt(2)


def levels_used(levels, steps):
    """σ/σ_L at each step, read off the noise of a step without a slope."""

    class Flat(dv.EnergyModel):
        def normalized_energy(self, z):
            return 0.0 * tf.reduce_sum(z, axis=1)

    model, sampler = model_of(Flat, 1), AnnealedLangevin(levels, 0.5)
    start = tf.zeros((1, 1), tf.float64)

    def moved(step):
        return sampler.step(model, start, SEED, tf.constant(step), tf.constant(steps)).state

    return [float((moved(step) / moved(steps - 1))[0, 0]) for step in range(steps)]


def test_levels_share_the_steps_and_short_runs_leave_out_the_hottest():
    levels = (8.0, 4.0, 2.0)
    np.testing.assert_allclose(levels_used(levels, 6), [4, 4, 2, 2, 1, 1])
    np.testing.assert_allclose(levels_used(levels, 3), [4, 2, 1])
    np.testing.assert_allclose(levels_used(levels, 2), [2, 1])
    assert levels_used(levels, 1) == [1]
    used = levels_used(levels, 7)
    assert used[0] == pytest.approx(4)
    assert np.all(np.diff(used) <= 0)


@pytest.mark.parametrize("reference", [None, 1.5])
def test_levels_are_taken_from_the_models_objective(reference):
    objective = DenoisingScoreMatching((4.0, 2.0, 1.0), reference=reference)
    model = model_of(Gaussian, 2, objective=objective)
    start = np.zeros((5, 2))
    got = ends(AnnealedLangevin(), model, start, 9)
    levels = (4.0, 2.0, reference or 1.0)
    np.testing.assert_allclose(got, ends(AnnealedLangevin(levels), model, start, 9), rtol=1e-6)


def test_a_learned_ladder_is_followed_as_it_is_learned():
    objective = DenoisingScoreMatching(4.0, smallest=1.0, levels=3, learned=True)
    model = model_of(Gaussian, 2, objective=objective)
    objective.log_sigma.assign(np.log(0.25))
    start = np.zeros((5, 2))
    got = ends(AnnealedLangevin(), model, start, 9)
    expected = ends(AnnealedLangevin((4.0, 1.0, 0.25)), model, start, 9)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("objective", [None, DenoisingScoreMatching(0.3)])
def test_without_several_levels_there_is_nothing_to_anneal(objective):
    model = model_of(Gaussian, 2, objective=objective)
    with pytest.raises(ValueError, match=r"not trained at several noise levels.*levels=\(4.0"):
        ends(AnnealedLangevin(), model, np.zeros((5, 2)), 9)


def test_settings_survive_saving():
    for sampler in (AnnealedLangevin(), AnnealedLangevin([3, 1.5], 0.1)):
        saved = keras.saving.serialize_keras_object(sampler)
        loaded = keras.saving.deserialize_keras_object(saved)
        assert loaded.get_config() == sampler.get_config()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"levels": (1.0,)}, ValueError, r"levels must hold 2 or more numbers, got \[1.0\]"),
        ({"levels": (1.0, 2.0)}, ValueError, "levels must go down from the largest"),
        ({"levels": (2.0, 2.0, 1.0)}, ValueError, "levels must go down from the largest"),
        ({"levels": (2.0, 0.0)}, ValueError, "each of levels must be a positive number, got 0.0"),
        ({"levels": (float("nan"), 1.0)}, ValueError, "each of levels must be a positive number"),
        ({"levels": 2.0}, TypeError, "levels must be a sequence of numbers, got 2.0"),
        ({"levels": "cold"}, TypeError, "levels must be a sequence of numbers, got 'cold'"),
        ({"levels": np.eye(2)}, TypeError, "levels must be a flat sequence of numbers"),
        ({"step_size": 0}, ValueError, "step_size must be a positive number, got 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        AnnealedLangevin(**arguments)
