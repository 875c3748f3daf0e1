"""Samplers over noise levels, against mixtures whose energies are known at every level."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from exact_levels import energy_distance_test, gaussian, mixture

import delvm_tf as dv
from delvm_tf import samplers
from delvm_tf.samplers import LevelLangevin, LevelMALA, ProbabilityFlow, ReverseDiffusion, run_chain
from delvm_tf.samplers.levels.schedule import schedule

ALL = [ProbabilityFlow, ReverseDiffusion, LevelLangevin, LevelMALA]


def short_with(*quick):
    """All samplers, those that are not named in the long run alone."""
    long = [pytest.param(kind, marks=pytest.mark.slow) for kind in ALL if kind not in quick]
    return [*quick, *long]


SEED = tf.constant([3, 7])


def test_schedules_are_those_of_the_formula_and_end_at_the_levels():
    for rho in (1.0, 3.0, 7.0):
        roots = np.linspace(20 ** (1 / rho), 0.05 ** (1 / rho), 6)
        np.testing.assert_allclose(schedule(5, 20.0, 0.05, rho), roots**rho)
    np.testing.assert_allclose(schedule(5, 20.0, 0.05, math.inf), np.geomspace(20, 0.05, 6))
    np.testing.assert_allclose(schedule(5, 20.0, 0.05, 1e6), np.geomspace(20, 0.05, 6), rtol=1e-3)
    model = gaussian()
    levels = ProbabilityFlow(largest=10.0, smallest=0.1).levels(model, 7)
    np.testing.assert_allclose(levels, schedule(7, 10.0, 0.1, 7.0))
    assert len(ReverseDiffusion().levels(model)) == 201


def langevin(mean, variance, values, sigma, c):
    factor = 1 - c * sigma**2 / (values + sigma**2)
    return factor * mean, factor**2 * variance + 2 * c * sigma**2


def expected_moments(sampler, model, steps):
    """Means and variances in the basis of the covariance, of chains of a normal density.

    Each step is affine in x with normal noise, so that the discretised chain is known exactly.
    """
    ((values, vectors),) = model.eigen
    centre = model.means[0] @ vectors
    levels = sampler.levels(model, steps)
    mean, variance = -centre, np.full(len(values), 1 + levels[0] ** 2)
    for sigma, then in itertools.pairwise(levels):
        if isinstance(sampler, ProbabilityFlow):
            change, slope, later = (
                then - sigma,
                sigma / (values + sigma**2),
                then / (values + then**2),
            )
            factor = 1 + change * slope
            if sampler.solver == "heun":
                factor = 1 + change * 0.5 * (slope + later * factor)
            mean, variance = factor * mean, factor**2 * variance
        elif isinstance(sampler, ReverseDiffusion):
            factor = 1 - (sigma**2 - then**2) / (values + sigma**2)
            mean = factor * mean
            variance = factor**2 * variance + then**2 * (1 - then**2 / sigma**2)
        for _ in range(getattr(sampler, "steps_per_level", getattr(sampler, "correctors", 0))):
            mean, variance = langevin(mean, variance, values, then, sampler.step_factor)
    if sampler.denoise:
        factor = values / (values + levels[-1] ** 2)
        mean, variance = factor * mean, factor**2 * variance
    return centre + mean, variance


def assert_moments(x, model, mean, variance, z=4.5):
    """Within z standard errors of normal samples, in the basis of the covariance."""
    along = x @ model.eigen[0][1]
    assert np.all(np.abs(along.mean(axis=0) - mean) < z * np.sqrt(variance / len(x)))
    spread = np.sqrt(np.outer(variance, variance) / len(x)) * (1 + np.eye(len(mean)) * 0.42)
    assert np.all(np.abs(np.cov(along.T) - np.diag(variance)) < z * spread)


@pytest.mark.parametrize(
    "sampler",
    [
        ProbabilityFlow(denoise=False),
        ProbabilityFlow("euler", rho=3.0),
        ReverseDiffusion(denoise=False),
        ReverseDiffusion(2, 0.3, rho=math.inf, largest=10.0, smallest=0.1),
        LevelLangevin(3, 0.4, denoise=False),
        LevelLangevin(5, 0.1, rho=7.0),
    ],
    ids=["heun", "euler", "reverse", "corrected", "langevin", "langevin_mean"],
)
def test_chains_of_a_normal_density_have_the_moments_of_the_formula(sampler):
    """At few steps, where each sampler has errors of its own that a wrong factor would change."""
    model = gaussian()
    x = model.sample(20000, sampler, steps=8, seed=1).numpy()
    assert_moments(x, model, *expected_moments(sampler, model, 8))


@pytest.mark.parametrize(
    ("sampler", "steps", "tolerance"),
    [
        (ProbabilityFlow(denoise=False), 50, 0.03),
        (ReverseDiffusion(denoise=False), 400, 0.05),
        (ReverseDiffusion(2, denoise=False), 200, 0.05),
        (LevelLangevin(100, 0.05, denoise=False), 50, 0.05),
    ],
    ids=["heun", "reverse", "corrected", "langevin"],
)
def test_many_steps_tend_to_the_density_of_the_smallest_level(sampler, steps, tolerance):
    model = gaussian()
    mean, variance = expected_moments(sampler, model, steps)
    ((values, vectors),) = model.eigen
    truth = values + 0.05**2
    np.testing.assert_allclose(variance, truth, rtol=tolerance)
    centre = model.means[0] @ vectors  # where chains do not start, σ₁ = 20
    bound = (tolerance + np.abs(centre) / 20) * np.sqrt(truth)
    assert np.all(np.abs(mean - centre) < bound)


def test_metropolis_steps_end_at_the_density_of_the_smallest_level():
    model = gaussian()
    sampler = LevelMALA(20, denoise=False)
    run = model.sample(5000, sampler, steps=40, seed=0, record_every=1, details=True)
    ((values, vectors),) = model.eigen
    assert_moments(run.samples.numpy(), model, model.means[0] @ vectors, values + 0.05**2)
    assert run.acceptance.shape == (41,)
    assert np.isnan(run.acceptance[0])
    np.testing.assert_allclose(run.acceptance[1:].mean(), run.acceptance_rate, rtol=1e-6)
    np.testing.assert_allclose(run.energy[-1], np.mean(model.energy(run.samples, sigma=0.05)))
    middle = sampler.levels(model, 40)[20]
    expected = np.mean(model.energy(run.trajectory[20], sigma=middle))
    np.testing.assert_allclose(run.energy[20], expected)


@pytest.mark.parametrize("factor", [None, 2.0])
def test_metropolis_steps_leave_a_level_as_it_is_and_accept_what_they_should(factor):
    """Against the acceptance of the textbook's formula in NumPy, at one level of the mixture."""
    model, sigma, n = mixture(3), 0.4, 20000
    sampler = LevelMALA(1, factor)
    c = 1.36 / 3 ** (1 / 3) if factor is None else factor
    epsilon = c * sigma**2
    rng, x = np.random.default_rng(1), model.draw(n, sigma, seed=2)

    def energy(x):
        return model.energy(x, sigma=sigma).numpy()

    def slope(x):
        return -model.score(x, sigma=sigma).numpy()

    def log_proposal(to, at):
        return -np.square(to - at + epsilon * slope(at)).sum(axis=1) / (4 * epsilon)

    new = x - epsilon * slope(x) + np.sqrt(2 * epsilon) * rng.normal(size=x.shape)
    ratio = energy(x) - energy(new) + log_proposal(x, new) - log_proposal(new, x)
    accepted = np.minimum(1, np.exp(ratio))
    level = tf.constant(np.log(sigma), tf.float64)
    moved = sampler.move(model, tf.constant(model.draw(n, sigma, seed=3)), level, level, SEED)
    error = np.sqrt(accepted.var() / n + 0.25 / n)
    assert abs(np.mean(moved.accepted) - accepted.mean()) < 4.5 * error
    p_value = energy_distance_test(moved.state.numpy()[:800], model.draw(800, sigma, seed=4))
    assert p_value > 0.01


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_the_flow_converges_with_the_order_of_its_solver(solver, order):
    """To x(σ) = m + √((λ+σ²)/(λ+σ₁²)) (x₁ − m) along each direction of a normal density."""
    model = gaussian(largest_noise=5.0)
    ((values, vectors),) = model.eigen
    start = np.random.default_rng(0).normal(0, 5, size=(50, 3))
    shrink = np.sqrt((values + 0.05**2) / (values + 5.0**2))
    truth = model.means[0] + ((start - model.means[0]) @ vectors * shrink) @ vectors.T
    sampler = ProbabilityFlow(solver, denoise=False)
    errors = [
        np.abs(model.sample(50, sampler, steps=n, initial=start) - truth).max()
        for n in (40, 80, 160)
    ]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders, order, atol=0.15)


@pytest.mark.parametrize(
    ("sampler", "steps", "d"),
    [
        (ProbabilityFlow(denoise=False), 50, 8),
        (ReverseDiffusion(denoise=False), 300, 8),
        (LevelMALA(40, denoise=False), 60, 2),
        pytest.param(ProbabilityFlow(denoise=False), 50, 2, marks=pytest.mark.slow),
        pytest.param(ReverseDiffusion(denoise=False), 300, 2, marks=pytest.mark.slow),
        pytest.param(ReverseDiffusion(1, denoise=False), 200, 2, marks=pytest.mark.slow),
        pytest.param(ReverseDiffusion(1, denoise=False), 200, 8, marks=pytest.mark.slow),
        pytest.param(LevelLangevin(40, 0.1, denoise=False), 60, 2, marks=pytest.mark.slow),
        pytest.param(LevelLangevin(40, 0.1, denoise=False), 60, 8, marks=pytest.mark.slow),
        pytest.param(LevelMALA(40, denoise=False), 60, 8, marks=pytest.mark.slow),
    ],
)
def test_a_mixture_comes_out_with_its_weights_and_shapes(sampler, steps, d):
    model, n = mixture(d), 1500
    x = model.sample(n, sampler, steps=steps, seed=2).numpy()
    shares = model.responsibilities(x, 0.05).mean(axis=0)
    weights = model.weights_of_parts
    assert np.all(np.abs(shares - weights) < 4 * np.sqrt(weights * (1 - weights) / n))
    assert energy_distance_test(x[:800], model.draw(800, 0.05, seed=5)) > 0.01


def test_the_mean_at_the_end_takes_the_noise_off():
    model = mixture(largest_noise=10.0)
    plain = model.sample(20, ProbabilityFlow(denoise=False), steps=9, seed=0)
    cleaned = model.sample(20, ProbabilityFlow(), steps=9, seed=0)
    np.testing.assert_allclose(cleaned, model.reconstruct(plain, sigma=0.05), rtol=1e-9)


@pytest.mark.parametrize("kind", short_with(ReverseDiffusion, LevelMALA))
def test_a_seed_gives_the_same_samples_and_parts_of_a_run_do_not_matter(kind):
    model, sampler = mixture(), kind()
    run = model.sample(6, sampler, steps=7, seed=4, details=True)
    again = model.sample(6, sampler, steps=7, seed=4, record_every=3, details=True)
    np.testing.assert_allclose(run.samples, again.samples, rtol=1e-12)
    np.testing.assert_array_equal(again.steps, [0, 3, 6, 7])
    assert not np.allclose(run.samples, model.sample(6, sampler, steps=7, seed=5))
    state = tf.constant(run.trajectory[0])
    whole = run_chain(sampler, model, state, 5, SEED)
    first = run_chain(sampler, model, state, 2, SEED, first=0, total=5)
    second = run_chain(sampler, model, first.state, 3, SEED, first=2, total=5)
    np.testing.assert_allclose(whole.state, second.state, rtol=1e-12)


def test_chains_start_at_the_variance_of_data_and_noise_and_samples_are_in_raw_units():
    model = gaussian(normalization="zscore", scale=1.5, largest_noise=2.0, smallest_noise=0.01)
    data = np.random.default_rng(0).normal([10.0, -5.0, 0.0], [3.0, 0.1, 1.0], size=(500, 3))
    model.adapt(data)
    run = model.sample(20000, ProbabilityFlow(denoise=False), steps=20, seed=0, details=True)
    start = model.normalization(run.trajectory[0]).numpy()
    np.testing.assert_allclose(start.var(axis=0), 1.5**2 + 2.0**2, rtol=4.5 * np.sqrt(2 / 20000))
    plain = gaussian(largest_noise=2.0, smallest_noise=0.01)
    z = plain.sample(20000, ProbabilityFlow(denoise=False), steps=20, initial=start)
    np.testing.assert_allclose(run.samples, model.normalization.invert(z), rtol=1e-6)


def test_models_with_noise_levels_sample_by_the_flow():
    model = mixture()
    assert type(model.density_sampler) is ProbabilityFlow
    run = model.sample(10, seed=0, details=True)
    assert run.steps[-1] == 50
    np.testing.assert_array_equal(run.samples, model.sample(10, "flow", steps=50, seed=0))
    assert model.sample(5, "mala", seed=0, details=True).steps[-1] == 1000


def test_chains_at_one_level_are_at_the_default():
    model, sampler = mixture(default_sigma=0.5), samplers.MALA(0.1)
    x = model.draw(3000, 0.5, seed=1)
    moved = model.sample(3000, sampler, steps=30, initial=x, seed=0).numpy()
    assert energy_distance_test(moved[:800], model.draw(800, 0.5, seed=9)) > 0.01


@pytest.mark.parametrize("kind", ALL)
def test_levels_may_be_of_each_chain(kind):
    """As draws of clean data need, given noisy data of several levels."""
    model, sampler = mixture(), kind()
    z = tf.constant(model.draw(4, 1.0))
    now, then = (
        tf.constant(np.log(levels)) for levels in ([1.0, 2.0, 0.5, 1.0], [0.5, 1.0, 0.2, 0.9])
    )
    together = sampler.move(model, z, now, then, SEED).state
    for row in range(4):
        alone = sampler.move(model, z, now[row], then[row], SEED).state
        np.testing.assert_allclose(together[row], alone[row], rtol=1e-12)


@pytest.mark.parametrize("kind", short_with(ProbabilityFlow, LevelMALA))
def test_images_of_a_trained_kind_of_model(kind):
    """Nothing depends on the shape, and a network's levels come through."""
    network = dv.networks.level_cnn((4,), 3, activation="silu", seed=0)
    model = dv.NoiseConditionalDELVM(network, normalization="none", preconditioned=True)
    model.build((None, 5, 5, 2))
    samples = model.sample(3, kind(), steps=4, seed=0)
    assert samples.shape == (3, 5, 5, 2)
    assert np.isfinite(samples).all()


def test_divergence_is_caught(monkeypatch):
    """Of an energy that is steeper at a level than its noise allows, as of one badly learned."""
    model = gaussian()
    gradient = model.normalized_gradient
    monkeypatch.setattr(model, "normalized_gradient", lambda *given: 5 * gradient(*given))
    with pytest.raises(samplers.SamplingDiverged, match="take more steps"):
        model.sample(10, ReverseDiffusion(30, 1.0), steps=20, seed=0)


@pytest.mark.parametrize("kind", ALL)
def test_a_model_of_one_energy_is_refused(kind):
    model = dv.DELVM(dv.networks.ffnn((3,)), normalization="none")
    model.build((None, 2))
    message = f"{kind.__name__} needs a model with an energy at each noise level.*DELVM has one"
    for initial in (None, np.zeros((4, 2), "float32")):
        with pytest.raises(TypeError, match=message):
            model.sample(4, kind(), steps=2, initial=initial)
    with pytest.raises(ValueError, match="samples models with noise levels"):
        dv.ContrastiveDivergence(sampler=kind())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProbabilityFlow("rk4"), "solver must be one of heun, euler, got 'rk4'"),
        (lambda: ProbabilityFlow(rho=0), "rho must be a positive number, got 0"),
        (
            lambda: ProbabilityFlow(largest=1.0, smallest=2.0),
            "smallest must be less than largest=1",
        ),
        (lambda: ProbabilityFlow(denoise=1), "denoise must be True or False, got 1"),
        (lambda: ReverseDiffusion(-1), "correctors must be a positive integer, got -1"),
        (lambda: ReverseDiffusion(1, 0.0), "step_factor must be a positive number"),
        (lambda: LevelLangevin(0), "steps_per_level must be a positive integer, got 0"),
        (lambda: LevelLangevin(1, 2.0), "step_factor must be less than 2, got 2.0"),
        (lambda: ReverseDiffusion(1, 2.5), "step_factor must be less than 2, got 2.5"),
        (lambda: LevelMALA(2.5), "steps_per_level must be a positive integer, got 2.5"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"largest": 30.0}, "largest must lie between .* 0.05 and 20, got 30"),
        ({"smallest": 0.01}, "smallest must lie between .* 0.05 and 20, got 0.01"),
        ({"largest": 0.05}, "from a larger to a smaller level, and not from 0.05 to 0.05"),
    ],
)
def test_levels_that_the_model_does_not_learn_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        gaussian().sample(3, ProbabilityFlow(**settings), steps=2)


@pytest.mark.parametrize(
    "sampler",
    [
        ProbabilityFlow("euler", 3.0, 1.0, 0.1, False), ReverseDiffusion(2, 0.2, math.inf),
        LevelLangevin(7, 0.3), LevelMALA(4, None, smallest=0.5),
    ],
    ids=["flow", "reverse", "langevin", "mala"],
)  # fmt: skip
def test_settings_survive_saving_and_names(sampler):
    saved = keras.saving.serialize_keras_object(sampler)
    loaded = keras.saving.deserialize_keras_object(saved)
    assert type(loaded) is type(sampler)
    assert loaded.get_config() == sampler.get_config()
    names = {kind: name for name, kind in samplers.named.SAMPLERS.items()}
    table = {"name": names[type(sampler)], **sampler.get_config()}
    assert samplers.get_sampler(table).get_config() == sampler.get_config()
