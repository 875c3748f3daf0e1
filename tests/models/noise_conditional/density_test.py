"""Densities in nats at all noise levels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import multivariate_normal

import delvm_tf as dv

COVARIANCE = np.array([[1.6, -0.5, 0.2], [-0.5, 0.4, 0.1], [0.2, 0.1, 1.0]])


def made(units=(5, 4), activation="tanh", shape=(3,), random=0.3, **kwargs):
    network = dv.networks.level_ffnn(units, activation, dtype="float64", seed=1)
    model = dv.DensityDELVM(network, normalization="none", dtype="float64", **kwargs)
    model.build((None, *shape))
    draws = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(weight + draws.normal(0, random, size=weight.shape))
    return model


def normal(covariance=COVARIANCE, sigma=0.3):
    """A model whose density at one level is that of normal data, by a linear a(u)."""
    d, t = len(covariance), sigma**2
    model = made((d,), "linear", (d,), random=0)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors @ np.diag(np.sqrt(values / (values + t))) @ vectors.T
    linear = (np.sqrt(1 + t) * root - np.eye(d)) * np.sqrt(1 + t) / sigma
    model.network.chain[1].kernel.assign(np.eye(d))
    model.head.kernel.assign(linear)
    constant = 0.5 * np.log((values + t) / (1 + t)).sum() * (1 + t) / d
    model.constant[1].bias.assign([constant])
    return model


def test_normal_densities_of_any_covariance_are_within_reach(rng):
    """FᵀF = C(C + tI)⁻¹ and c = ½ log det(C+tI)/(1+t), where C has values below 1 and above."""
    x, sigma = rng.normal(size=(5, 3)), 0.3
    assert np.linalg.eigvalsh(COVARIANCE)[0] < 0.2
    expected = multivariate_normal(cov=COVARIANCE + sigma**2 * np.eye(3)).logpdf(x)
    np.testing.assert_allclose(normal(sigma=sigma).log_density(x, sigma=sigma), expected)
    # With ½‖y‖²/(1+t) for the quadratic part, FᵀF = I − (1+t)(C+tI)⁻¹ would be needed.
    needed = np.eye(3) - (1 + sigma**2) * np.linalg.inv(COVARIANCE + sigma**2 * np.eye(3))
    assert np.linalg.eigvalsh(needed)[0] < -1


def test_every_noisy_density_is_below_the_quadratic_part():
    """−log p_t(y) ≤ ½‖y‖²/t + (d/2) log 2πt + E‖x‖²/(2t), if x has mean 0 (Jensen).

    So that ½‖f‖² ≥ 0 can make up for the rest. With ½‖y‖²/(1+t) + c(t) none narrower than
    N(0, 1+t) is below: the excess of two points grows without bound.
    """
    points, y = np.array([-1.0, 1.0]), np.linspace(-100, 100, 2001)
    for t in (0.01, 0.3, 5.0):
        exponents = -0.5 * (y[:, None] - points) ** 2 / t
        largest = exponents.max(axis=1)
        mean = np.exp(exponents - largest[:, None]).mean(axis=1)
        energy = 0.5 * np.log(2 * np.pi * t) - largest - np.log(mean)
        assert np.all(energy <= 0.5 * y**2 / t + 0.5 * np.log(2 * np.pi * t) + 0.5 / t + 1e-9)
        excess = energy - 0.5 * y**2 / (1 + t)
        assert excess[-1] > excess[-101] + 1 > excess[-201] + 2


@pytest.mark.parametrize("mode", ["none", "center", "zscore", "minmax", "zca"])
def test_untrained_it_is_the_normal_density_in_raw_units(mode, rng):
    """Against NumPy's determinant of ∂z/∂x: with a slope of z for each value of x."""
    x = (rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3)) + 5).astype("float32")
    model = dv.DensityDELVM(dv.networks.level_ffnn((4,), "silu"), normalization=mode, scale=1.5)
    model.adapt(x)
    z = np.asarray(model.normalization(tf.constant(x, tf.float64)), np.float64)
    shifted = [model.normalization(tf.constant(x[:1] + unit, tf.float64)) for unit in np.eye(3)]
    jacobian = np.array([np.asarray(s)[0] - z[0] for s in shifted])
    expected = -0.5 * np.square(z).sum(axis=1) / 1.01 - 1.5 * np.log(2 * np.pi * 1.01)
    expected += np.log(abs(np.linalg.det(jacobian)))
    got = model.log_density(x, sigma=0.1)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)
    bits = model.bits_per_dimension(x, sigma=0.1)
    np.testing.assert_allclose(bits, -expected / 3 / np.log(2), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("sigma", [0.05, 0.9, 20.0])
def test_both_forms_of_the_energy_agree(sigma, rng):
    """½‖z/σ‖² − ½(1 + 1/σ²)‖f‖² + constants, with f what `hidden` gives."""
    model, z = made(), rng.normal(size=(6, 3))
    level = tf.fill([6], tf.constant(np.log(sigma), tf.float64))
    f = model.hidden(z, sigma=sigma).numpy()
    energy = 0.5 * np.square(z / sigma).sum(axis=1)
    energy -= 0.5 * (1 + sigma**-2) * np.square(f).sum(axis=1)
    energy += model.normalized_constant(level).numpy()
    np.testing.assert_allclose(model.energy(z, sigma=sigma), energy, rtol=1e-9)


def test_derivatives_are_those_of_finite_differences(rng):
    """In every value and in log t, in double precision; t ∂U/∂t at fixed z, not fixed u."""
    model, z, step = made(), rng.normal(size=(4, 3)), 1e-5
    levels = np.log([0.02, 0.3, 1.0, 10.0])

    def energy(z, levels):
        return model.normalized_energy(tf.constant(z), tf.constant(levels)).numpy()

    value, gradient, slope = model.normalized_energy_and_derivatives(
        tf.constant(z), tf.constant(levels)
    )
    np.testing.assert_allclose(value, energy(z, levels))
    for j, unit in enumerate(np.eye(3)):
        found = (energy(z + step * unit, levels) - energy(z - step * unit, levels)) / (2 * step)
        np.testing.assert_allclose(gradient[:, j], found, rtol=1e-5, atol=1e-7)
    # log t = 2 log σ.
    found = (energy(z, levels + step / 2) - energy(z, levels - step / 2)) / (2 * step)
    np.testing.assert_allclose(slope, found, rtol=1e-6, atol=1e-7)


def test_single_precision_keeps_the_smallest_levels(rng):
    """A few hundredths of a nat at σ = 0.01, where ½‖x/σ‖² is in the thousands."""
    exact, x = made(), rng.normal(size=(50, 3))
    single = dv.DensityDELVM(dv.networks.level_ffnn((5, 4), "tanh"), normalization="none")
    single.build((None, 3))
    single.set_weights(exact.get_weights())
    difference = single.energy(x, sigma=0.01) - exact.energy(x, sigma=0.01).numpy().astype(
        "float32"
    )
    assert np.abs(difference).max() < 0.02


def test_far_levels_are_normal_whatever_the_weights(rng):
    """U − ½‖z‖²/(1+t) − (d/2) log 2π(1+t) falls as 1/t, which fixes the constant of all levels."""
    model, u = made(largest_noise=1e4), rng.normal(size=(5, 3))
    gaps = []
    for sigma in (1e2, 1e4):
        z = u * np.sqrt(1 + sigma**2)
        usual = 0.5 * np.square(u).sum(axis=1) + 1.5 * np.log(2 * np.pi * (1 + sigma**2))
        gaps.append(np.abs(model.energy(z, sigma=sigma).numpy() - usual).max())
    assert gaps[0] < 0.01
    assert gaps[1] < 1e-6


def test_images_and_flat_outputs(rng):
    images = rng.normal(size=(3, 5, 5, 2)).astype("float32")
    for network in (
        dv.networks.level_cnn((4,), 3, activation="silu"),
        dv.networks.level_cnn((4,), 3, 2, (6,), activation="silu"),
        dv.networks.level_ffnn((6,), "silu"),
    ):
        model = dv.DensityDELVM(network)
        model.adapt(images)
        assert model.log_density(images).shape == (3,)
        assert model.hidden(images).shape == images.shape
    strided = dv.DensityDELVM(dv.networks.level_cnn((4,), 3, 2))
    with pytest.raises(ValueError, match=r"gives \(3, 3\) positions, and the data have \(5, 5\)"):
        strided.adapt(images)


def test_it_is_saved_served_and_copied(rng, tmp_path):
    x = rng.normal(3, 2, size=(60, 3)).astype("float32")
    model = dv.DensityDELVM(dv.networks.level_ffnn((6,), "silu"), normalization="zscore")
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(x, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.log_density(x), model.log_density(x))
    assert again.default_sigma == model.noise_levels[-1] == pytest.approx(0.01)
    served = tf.saved_model.load(str(dv.export_saved_model(model, tmp_path / "served")))
    got = served.signatures["log_density"](x=tf.constant(x))["log_density"]
    np.testing.assert_allclose(got, model.log_density(x), rtol=1e-4)


def test_data_that_are_large_beside_the_largest_level_are_refused():
    """There the density would not be N(0, 1+σ²), and the constants of all levels wrong."""
    with pytest.raises(ValueError, match=r"five times the spread of the data, scale=2, got 5"):
        dv.DensityDELVM(dv.networks.level_ffnn(), scale=2.0, largest_noise=5.0)
    with pytest.warns(UserWarning, match="takes inputs as they are"):
        dv.DensityDELVM(dv.networks.level_ffnn(), normalization="none")


# Densities that are known: log-likelihoods within 0.02 nats a value of the truth.


def gaussian(d, rng):
    """Half as many factors as values, and noise of variance 0.1."""
    factors = rng.choice([-1.0, 1.0], size=(d, d // 2))
    truth = multivariate_normal(mean=np.arange(d), cov=factors @ factors.T + 0.1 * np.eye(d))
    return lambda n: truth.rvs(n, random_state=rng), truth.logpdf


def mixture(rng):
    means, widths = np.array([[-2, 0], [2, 1], [0, 3]]), np.array([0.3, 0.6, 0.2])
    weights = np.array([0.5, 0.3, 0.2])

    def draw(n):
        which = rng.choice(3, size=n, p=weights)
        return means[which] + widths[which, None] * rng.normal(size=(n, 2))

    def log_density(x):
        squares = np.square((x[:, None] - means) / widths[:, None]).sum(axis=2)
        return np.log(np.exp(-0.5 * squares) @ (weights / (2 * np.pi * widths**2)))

    return draw, log_density


def ring(rng):
    """A circle of radius 2 with normal noise of 0.15, whose density is Rice's over 2πr."""
    from scipy.special import ive

    def draw(n):
        angle = rng.uniform(0, 2 * np.pi, n)
        circle = 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return circle + 0.15 * rng.normal(size=(n, 2))

    def log_density(x):
        r, s = np.hypot(*x.T), 0.15**2
        return -np.log(2 * np.pi * s) - (r - 2) ** 2 / (2 * s) + np.log(ive(0, 2 * r / s))

    return draw, log_density


def heavy_tails(rng):
    """Five independent values with Student's distribution of 5 degrees of freedom."""
    from scipy.stats import t

    return (
        lambda n: t.rvs(5, size=(n, 5), random_state=rng),
        lambda x: t.logpdf(x, 5).sum(axis=1),
    )


KNOWN = {
    "Gaussian, 2 values": lambda rng: gaussian(2, rng),
    "Gaussian, 10 values": lambda rng: gaussian(10, rng),
    "mixture": mixture,
    "ring": ring,
    "heavy tails": heavy_tails,
}


def trained(draw, steps, units=(128, 128, 128)):
    x = draw(100_000).astype("float32")
    network = dv.networks.level_ffnn(units, "silu", "he_normal", seed=0)
    objective = dv.DualScoreMatching(seed=0)
    model = dv.DensityDELVM(network, objective, "zscore", smallest_noise=0.02)
    model.adapt(x)
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(schedule, clipnorm=1.0), steps_per_execution=100)
    batches = tf.data.Dataset.from_tensor_slices(x).repeat().batch(256)
    model.fit(batches, steps_per_epoch=steps, verbose=0)
    return model


def test_a_normal_density_is_learned(rng):
    """A short run: within a tenth of a nat, where the untrained model is off by far more."""
    draw, log_density = gaussian(2, rng)
    model, x = trained(draw, 400, (32, 32)), draw(2000).astype("float32")
    truth = log_density(x).mean()
    assert abs(model.log_density(x).numpy().mean() - truth) < 0.1 * 2


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
def test_log_likelihoods_are_those_of_known_densities(name, rng):
    """Within 0.02 nats a value; and the total probability of those in the plane is 1."""
    draw, log_density = KNOWN[name](rng)
    model, x = trained(draw, 6000), draw(20_000)
    d = x.shape[1]
    found = model.log_density(x.astype("float32")).numpy()
    assert abs(found.mean() - log_density(x).mean()) < 0.02 * d
    untrained = multivariate_normal(x.mean(axis=0), np.diag(x.var(axis=0))).logpdf(x)
    assert log_density(x).mean() - untrained.mean() > 0.03 * d
    if d == 2:
        side = np.linspace(-8, 8, 801)
        grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2) + x.mean(axis=0)
        total = np.exp(model.log_density(grid.astype("float32"))).sum() * (side[1] - side[0]) ** 2
        assert abs(np.log(total)) < 0.06
