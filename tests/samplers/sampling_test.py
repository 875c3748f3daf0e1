"""Samplers against densities whose moments are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import delvm_tf as dv
from delvm_tf import samplers


class Gaussian(dv.EnergyModel):
    """Two independent normal values of variance 4 and ¼, the mean at 1."""

    def normalized_energy(self, z):
        return 0.5 * tf.reduce_sum(tf.square(z - 1.0) * [0.25, 4.0], axis=1)


class Mixture(dv.EnergyModel):
    """Two modes at ±1.5 along the first of two axes, weights ¾ and ¼."""

    def normalized_energy(self, z):
        x, y = z[:, 0], z[:, 1]
        modes = tf.stack(
            [np.log(0.75) - 0.5 * tf.square(x - 1.5), np.log(0.25) - 0.5 * tf.square(x + 1.5)]
        )
        return 0.5 * tf.square(y) - tf.reduce_logsumexp(modes, axis=0)


def built(model_class):
    model = model_class(normalization="none")
    model.build((None, 2))
    return model


def linear_delvm():
    """E = ½xᵀ(I − WWᵀ)x, of known covariance."""
    kernel = np.array([[0.6, 0.2], [0.0, 0.5]], "float32")
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    model = dv.DELVM(network, normalization="none")
    model.build((None, 2))
    network.layers[0].kernel.assign(kernel)
    return model, np.linalg.inv(np.eye(2) - kernel @ kernel.T)


def assert_moments(x, mean, covariance, z=4.5):
    """Mean and covariance within z standard errors of independent normal samples."""
    n, variance = len(x), np.diag(covariance)
    np.testing.assert_array_less(np.abs(x.mean(0) - mean), z * np.sqrt(variance / n))
    spread = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
    np.testing.assert_array_less(np.abs(np.cov(x.T) - covariance), z * spread)


def test_mala_samples_a_gaussian_exactly():
    run = built(Gaussian).sample(
        4000, samplers.MALA(0.15), steps=300, seed=0, details=True, record_every=100
    )
    assert_moments(run.samples.numpy(), [1.0, 1.0], np.diag([4.0, 0.25]))
    assert 0.5 < run.acceptance_rate < 0.95
    assert run.trajectory.shape == (4, 4000, 2)
    np.testing.assert_array_equal(run.steps, [0, 100, 200, 300])
    np.testing.assert_array_equal(run.trajectory[-1], run.samples)
    assert abs(run.energy[-1] - 1.0) < 4 / np.sqrt(4000)  # d/2, with a variance of d/2


def test_langevin_has_the_bias_of_its_step_size():
    """The stationary variance of x′ = x − εx/s + √(2ε)·noise is s/(1 − ε/(2s))."""
    epsilon = 0.1
    x = built(Gaussian).sample(4000, samplers.Langevin(epsilon), steps=200, seed=1).numpy()
    s = np.array([4.0, 0.25])
    assert_moments(x, [1.0, 1.0], np.diag(s / (1 - epsilon / (2 * s))))


def test_noise_level_sets_the_temperature():
    """A factor T on the squared noise is a temperature T, for small steps."""
    cold = samplers.Langevin(0.02, noise_level=np.sqrt(2 * 0.02 * 0.5).item())
    x = built(Gaussian).sample(3000, cold, steps=900, seed=2).numpy()
    s = np.array([4.0, 0.25])
    assert_moments(x, [1.0, 1.0], np.diag(0.5 * s / (1 - 0.02 / (2 * s))))


def test_gibbs_samples_a_linear_model_exactly():
    model, covariance = linear_delvm()
    x = model.sample(4000, "gibbs", steps=50, seed=0).numpy()
    assert_moments(x, [0.0, 0.0], covariance)


@pytest.mark.parametrize(
    "sampler",
    [pytest.param(samplers.MALA(0.4), marks=pytest.mark.slow), samplers.Langevin(0.03)],
    ids=["mala", "langevin"],
)
def test_a_mixture_comes_out_with_its_weights(sampler):
    """Two-sample test against exact draws, and the share of each mode."""
    x = built(Mixture).sample(3000, sampler, steps=1200, seed=0).numpy()
    rng = np.random.default_rng(5)
    exact = rng.normal(np.where(rng.random(3000) < 0.75, 1.5, -1.5))
    assert stats.ks_2samp(x[:, 0], exact).pvalue > 0.01
    assert stats.kstest(x[:, 1], "norm").pvalue > 0.01
    share = stats.norm.cdf(1.5) * 0.75 + stats.norm.cdf(-1.5) * 0.25
    assert abs((x[:, 0] > 0).mean() - share) < 4 * np.sqrt(share * (1 - share) / 3000)


def test_samples_are_in_raw_units():
    model = built(Gaussian)
    scaled = Gaussian(normalization=dv.normalization.InputNormalization("zscore"))
    scaled.adapt(np.random.default_rng(0).normal([10.0, -5.0], [3.0, 0.1], size=(5000, 2)))
    z = model.sample(2000, "mala", steps=200, seed=3).numpy()
    x = scaled.sample(2000, "mala", steps=200, seed=3).numpy()
    np.testing.assert_allclose(x, scaled.normalization.invert(z), rtol=1e-4, atol=1e-3)


def test_a_seed_gives_the_same_samples_and_none_gives_others():
    model = built(Gaussian)
    first, again, other = (
        model.sample(5, "langevin", steps=20, seed=seed).numpy() for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_recording_does_not_change_the_chains():
    model = built(Gaussian)
    plain = model.sample(5, "mala", steps=30, seed=0).numpy()
    recorded = model.sample(5, "mala", steps=30, seed=0, record_every=7, details=True)
    np.testing.assert_allclose(plain, recorded.samples, rtol=1e-6)
    np.testing.assert_array_equal(recorded.steps, [0, 7, 14, 21, 28, 30])


def test_chains_start_at_the_initial_examples():
    model = built(Gaussian)
    start = np.array([[5.0, 1.0], [-5.0, 1.0]], "float32")
    run = model.sample(2, "langevin", steps=1, initial=start, details=True)
    np.testing.assert_allclose(run.trajectory[0], start)
    with pytest.raises(ValueError, match="initial has 2 examples, but n = 3"):
        model.sample(3, "langevin", steps=1, initial=start)
    with pytest.raises(ValueError, match=r"expects x of shape \(batch, 2\), got \(2, 3\)"):
        model.sample(2, "langevin", steps=1, initial=np.zeros((2, 3)))


def test_the_default_samples_the_density_and_not_the_papers_chains():
    """x′ = Jᵀh, by which contrastive divergence trains this model, has another covariance."""
    model, covariance = linear_delvm()
    assert_moments(model.sample(4000, steps=300, seed=0).numpy(), np.zeros(2), covariance)
    paper = model.sample(4000, model.chain_sampler, steps=300, seed=0).numpy()
    assert np.var(paper[:, 0]) < 0.8 * covariance[0, 0]


def test_the_default_of_a_boltzmann_machine_is_block_gibbs_with_noise():
    model = dv.GaussianRBM(1, normalization="none", kernel_initializer="ones")
    model.build((None, 1))
    run = model.sample(4000, steps=50, seed=0, details=True)
    gibbs = model.sample(4000, samplers.Gibbs(1.0), steps=50, seed=0)
    np.testing.assert_array_equal(run.samples, gibbs)
    on = np.exp(0.5) / (1 + np.exp(0.5))  # P(h=1), for x given h ~ N(h, 1)
    assert_moments(run.samples.numpy(), [on], np.array([[1 + on * (1 - on)]]))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: dv.DELVM(dv.networks.ffnn((3,))), samplers.MALA),
        (lambda: dv.DEM(dv.networks.ffnn((3,))), samplers.MALA),
        (lambda: dv.CEBM(dv.networks.ffnn((3,)), latents=2), samplers.MALA),
        (Gaussian, samplers.MALA),
        (lambda: dv.GaussianRBM(3), samplers.Gibbs),
        (lambda: dv.ConvRBM(3, 3), samplers.Gibbs),
        (lambda: dv.BernoulliRBM(3), samplers.Gibbs),
        (lambda: dv.DBN((3, 2)), samplers.Gibbs),
        (lambda: dv.DBM((3, 2)), samplers.Gibbs),
    ],
)
def test_every_model_has_a_sampler_of_its_density(make, kind):
    sampler = make().density_sampler
    assert type(sampler) is kind
    assert getattr(sampler, "visible_noise", 1.0) == 1.0


def test_chains_that_do_not_move_warn():
    with pytest.warns(UserWarning, match=r"accepted 0.0% of its steps.*lower the step size"):
        built(Gaussian).sample(10, samplers.MALA(1e4), steps=20, seed=0)


def test_divergence_is_caught():
    with pytest.raises(
        samplers.SamplingDiverged, match=r"diverged within \d+ steps.*Lower the step"
    ):
        built(Gaussian).sample(10, samplers.Langevin(1.0), steps=100)  # above 2/λ = ½


def test_an_energy_without_a_gibbs_sampler_says_so():
    with pytest.raises(TypeError, match=r"no Gibbs sampler.*Langevin"):
        built(Gaussian).sample(10, "gibbs")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.sample(0), ValueError, "n must be a positive integer, got 0"),
        (lambda m: m.sample(3, steps=0), ValueError, "steps must be a positive integer"),
        (lambda m: m.sample(3, record_every=-1), ValueError, "record_every must be a positive"),
        (lambda m: m.sample(3, "hmc"), ValueError, "unknown sampler 'hmc'; expected one of gibbs"),
        (lambda m: m.sample(3, 7), TypeError, "expected a sampler such as"),
        (lambda m: samplers.Langevin(0.0), ValueError, "step_size must be a positive number"),
        (lambda m: samplers.Langevin(0.1, -1.0), ValueError, "noise_level must be a positive"),
        (lambda m: samplers.MALA("fast"), ValueError, "step_size must be a positive number"),
        (lambda m: samplers.Gibbs(-0.5), ValueError, "visible_noise must be a positive"),
    ],
)
def test_bad_settings_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(built(Gaussian))


def test_a_model_without_a_shape_cannot_be_sampled():
    with pytest.raises(ValueError, match="not built"):
        Gaussian(normalization="none").sample(3)
    model = Gaussian()
    model.build((None, 2))
    with pytest.raises(ValueError, match="not adapted"):
        model.sample(3)


@pytest.mark.parametrize(
    "sampler",
    [samplers.Gibbs(0.5), samplers.Langevin(0.1, 0.0, clip=1.0), samplers.MALA(0.3)],
    ids=["gibbs", "langevin", "mala"],
)
def test_samplers_are_saved_by_their_settings(sampler):
    config = keras.saving.serialize_keras_object(sampler)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(sampler)
    assert again.get_config() == sampler.get_config()


def test_clipping_bounds_each_component_of_the_gradient():
    model = built(Gaussian)
    far = np.array([[1e4, 1e4]], "float32")
    x = model.sample(1, samplers.Langevin(0.1, 0.0, clip=2.0), steps=1, initial=far).numpy()
    np.testing.assert_allclose(x, far - 0.2)
