"""Dual score matching: the densities of all levels, tied together."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import delvm_tf as dv
from delvm_tf.objectives.noise_levels import levels_around

V = 0.7  # variance of the data


class Normal:
    """The true U(y, t) = −log N(y; 0, (v + t)I), or one that differs from it."""

    noise_conditional, normalized_energy = True, None
    noise_levels = (1.5, 0.2)

    def __init__(self, size, sign=1.0, factor=1.0, more=0.0):
        self.size, self.sign, self.factor, self.more = size, sign, factor, more

    def normalized_energy_and_derivatives(self, z, log_sigma):
        t = tf.exp(2 * log_sigma)
        squares = tf.reduce_sum(tf.square(z), axis=1)
        slope = 0.5 * t * (self.size / (V + t) - squares / tf.square(V + t))
        return None, z / (V + t)[:, None], self.sign * self.factor * slope + self.more

    def normalized_constant(self, log_sigma):
        return 0.5 * self.size * tf.math.log(V + tf.exp(2 * log_sigma))

    def normalized_squared_residual(self, z):
        return z


def terms(model, n, rng):
    objective = dv.DualScoreMatching(seed=3)
    z = tf.constant(np.sqrt(V) * rng.normal(size=(n, model.size)))
    return {k: v.numpy() for k, v in objective.compute(model, z, False).terms.items()}


def mean_over_levels(function):
    log_t = np.linspace(2 * np.log(0.2), 2 * np.log(1.5), 2001)
    return np.trapezoid(function(np.exp(log_t)), dx=1 / 2000)


@pytest.mark.parametrize("size", [1, 3])
def test_at_the_truth_both_terms_are_the_variances_that_are_left(size, rng):
    """E‖σ∇U − ε‖²/d = v/(v+t), and E(t∂ₜU/d − ½(1 − ‖ε‖²/d))² = (1 − (t/(v+t))²)/(2d), times 1+t.

    Given y the targets have the means σ∇U and t∂ₜU/d; what is left of their variances 1 and 1/(2d)
    is without those of the means. A slope of the other sign, or twice as large, is far off.
    """
    n = 400_000
    found = terms(Normal(size), n, rng)
    left = mean_over_levels(lambda t: (1 + t) * (1 - (t / (V + t)) ** 2) / (2 * size))
    space = mean_over_levels(lambda t: (1 + t) * V / (V + t))
    for name, expected in {"space": space, "time": left}.items():
        error = found[name].std() / np.sqrt(n)
        assert abs(found[name].mean() - expected) < 4.5 * error
        assert error < 0.01 * expected
    for wrong in (Normal(size, sign=-1.0), Normal(size, factor=2.0), Normal(size, factor=0.5)):
        assert terms(wrong, n, rng)["time"].mean() > left + 0.012 / size


def test_no_other_slope_does_better(rng):
    """The expected loss is least at the truth among multiples and shifts of the slope."""
    for name, at in (("factor", 1.0), ("more", 0.0)):
        losses = [
            terms(Normal(2, **{name: at + step}), 100_000, np.random.default_rng(0))["time"].mean()
            for step in (-0.3, 0.0, 0.3)
        ]
        assert losses[1] < min(losses[0], losses[2])
        # Of a parabola through the three, the lowest point.
        curve = np.polyfit((-0.3, 0.0, 0.3), losses, 2)
        assert abs(-curve[1] / (2 * curve[0])) < 0.03


@pytest.mark.parametrize("t", [0.04, 4.0])
def test_the_constant_is_learned_with_less_noise_than_that_of_the_target(t, rng):
    """Its gradient is still that of the expected loss, 0 at the truth.

    With s the slope, T the target and ρ = t/(1+t) it is (1+t)(2/d)(s/d − ρ²T), where s/d = E[T|y]
    has the variance r²/(2d), r = t/(v+t), and T has 1/(2d). By differences in the weight w of a
    constant w log t, which are exact for squares.
    """
    n, step = 20_000, 0.1

    class Learned(Normal):
        noise_levels = (np.sqrt(t) * 1.000001, np.sqrt(t))

        def normalized_constant(self, log_sigma):
            return super().normalized_constant(log_sigma) + 2 * self.more * log_sigma

    z = tf.constant(np.sqrt(V) * rng.normal(size=(n, 2)))
    above, below = (
        dv.DualScoreMatching(seed=3).compute(Learned(2, more=sign * step), z, False).loss.numpy()
        for sign in (1, -1)
    )
    gradients = (above - below) / (2 * step) / (1 + t)
    assert abs(gradients.mean()) < 4.5 * gradients.std() / np.sqrt(n)
    r, rho = t / (V + t), t / (1 + t)
    variance = (r**2 - 2 * rho**2 * r**2 + rho**4) / 4
    np.testing.assert_allclose(gradients.std(), np.sqrt(variance), rtol=0.05)
    # Without, that of the residual; with the slope alone, that of the slope.
    assert variance < min((1 - r**2) / 4, 1.1 * r**2 / 4)


def test_it_is_refused_for_energies_with_a_constant_at_each_level():
    with pytest.raises(
        TypeError, match=r"constant of their own at each level; use dv.DensityDELVM"
    ):
        dv.NoiseConditionalDELVM(dv.networks.level_ffnn(), dv.DualScoreMatching())
    with pytest.raises(TypeError, match="leaves the constant of each level unlearned"):
        dv.DensityDELVM(dv.networks.level_ffnn(), dv.NoiseConditionalScoreMatching())
    with pytest.raises(ValueError, match="time_weight must be"):
        dv.DualScoreMatching(time_weight=0.0)


@pytest.mark.parametrize(("typical", "spread"), [(0.5, 1.4), (1.4, 0.3)])
def test_levels_around_a_typical_one_are_normal_between_the_ends(typical, spread):
    z = tf.zeros((500, 2), "float64")
    drawn = np.concatenate(
        [levels_around((1.5, 0.2), typical, spread, z, tf.constant([s, 0])) for s in range(40)]
    )
    ends = [(np.log(end) - np.log(typical)) / spread for end in (0.2, 1.5)]
    truth = stats.truncnorm(*ends, np.log(typical), spread)
    assert np.log(0.2) <= drawn.min()
    assert drawn.max() <= np.log(1.5)
    assert stats.kstest(drawn, truth.cdf).statistic < 1e-3  # spread evenly, so nearer than chance
    one_batch = np.sort(truth.cdf(drawn[:500]))
    np.testing.assert_array_equal(np.floor(500 * one_batch), np.arange(500))


def test_a_typical_level_weighs_levels_by_its_normal(rng):
    """The mean of the term in space, (1+t) v/(v+t), over levels drawn so."""
    n = 200_000
    objective = dv.DualScoreMatching(typical_noise=0.4, noise_spread=0.5, seed=3)
    z = tf.constant(np.sqrt(V) * rng.normal(size=(n, 2)))
    found = objective.compute(Normal(2), z, False).terms["space"].numpy()
    ends = [(np.log(end) - np.log(0.4)) / 0.5 for end in (0.2, 1.5)]
    truth = stats.truncnorm(*ends, np.log(0.4), 0.5)
    expected = truth.expect(lambda level: (1 + np.exp(2 * level)) * V / (V + np.exp(2 * level)))
    assert abs(found.mean() - expected) < 4.5 * found.std() / np.sqrt(n)
    assert abs(terms(Normal(2), n, rng)["space"].mean() - expected) > 0.02  # uniform ones differ


@pytest.mark.parametrize("typical", [0.2, 2.0])
def test_a_typical_level_that_the_model_does_not_learn_is_refused(typical):
    objective = dv.DualScoreMatching(typical_noise=typical)
    with pytest.raises(ValueError, match=r"typical_noise must lie between .* 0.2 and 1.5"):
        objective.compute(Normal(1), tf.zeros((2, 1), "float64"), True)


def test_settings_out_of_range_are_refused_and_kept():
    for name in ("time_weight", "typical_noise", "noise_spread"):
        with pytest.raises(ValueError, match=name):
            dv.DualScoreMatching(**{name: -1.0})
    settings = {"time_weight": 0.5, "typical_noise": 0.3, "noise_spread": 1.0, "seed": 1}
    config = dv.DualScoreMatching(**settings).get_config()
    assert config.items() >= settings.items()
