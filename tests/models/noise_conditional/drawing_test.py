"""Draws given noisy or partly known data, against densities whose posteriors are known."""

import numpy as np
import pytest
import tensorflow as tf
from exact_levels import ExactMixture, energy_distance_test, gaussian, mixture

import delvm_tf as dv


def assert_normal(x, mean, covariance, z=4.5, slack=0.0):
    """Moments within z standard errors, and a share of the spread for what steps leave."""
    n, variance = len(x), np.diag(covariance)
    bound = z * np.sqrt(variance / n) + slack * np.sqrt(variance)
    np.testing.assert_array_less(np.abs(x.mean(axis=0) - mean), bound)
    outer = np.outer(variance, variance)
    bound = z * np.sqrt((outer + covariance**2) / n) + slack * np.sqrt(outer)
    np.testing.assert_array_less(np.abs(np.cov(x.T) - covariance), bound)


def test_the_mean_given_noisy_data_is_the_reconstruction():
    model = gaussian()
    x = model.draw(5, 0.5)
    (covariance,), (mean,) = model.covariances, model.means
    gain = covariance @ np.linalg.inv(covariance + 0.25 * np.eye(3))
    expected = mean + (x - mean) @ gain.T
    np.testing.assert_allclose(model.denoise(x, 0.5), expected, rtol=1e-8)
    np.testing.assert_array_equal(model.denoise(x, 0.5), model.reconstruct(x, sigma=0.5))
    np.testing.assert_array_equal(model.denoise(x), model.reconstruct(x))


def test_draws_given_noisy_data_have_the_posterior_of_a_normal_density():
    """Mean m + C(C+σ²I)⁻¹(x−m), covariance C − C(C+σ²I)⁻¹C; up to the smallest level's own."""
    model, sigma = gaussian(smallest_noise=0.01), 0.6
    x = model.draw(2, sigma)
    (covariance,), (mean,) = model.covariances, model.means
    gain = covariance @ np.linalg.inv(covariance + sigma**2 * np.eye(3))
    draws = model.denoise(x, sigma, draws=4000, steps=200, seed=0).numpy()
    assert draws.shape == (4000, 2, 3)
    for row in range(2):
        expected = mean + gain @ (x[row] - mean)
        assert_normal(draws[:, row], expected, covariance - gain @ covariance, slack=0.03)


def test_draws_given_noisy_data_choose_among_modes_as_often_as_they_should():
    model, sigma = mixture(smallest_noise=0.02), 0.9
    x = np.mean(model.means[:2], axis=0, keepdims=True)
    odds = model.responsibilities(x, sigma)[0]
    assert np.sort(odds)[-2] > 0.1
    draws = model.denoise(x, sigma, draws=3000, steps=200, seed=0).numpy()[:, 0]
    shares = model.responsibilities(draws).mean(axis=0)
    assert np.all(np.abs(shares - odds) < 4 * np.sqrt(odds * (1 - odds) / 3000) + 0.01)


MASK = np.array([True, False, True, False])


def conditional(mean, covariance, x, known):
    """Mean and covariance of the other values given those known."""
    a, b = np.flatnonzero(~known), np.flatnonzero(known)
    gain = covariance[np.ix_(a, b)] @ np.linalg.inv(covariance[np.ix_(b, b)])
    left = covariance[np.ix_(a, a)] - gain @ covariance[np.ix_(b, a)]
    return mean[a] + gain @ (x[b] - mean[b]), left


def test_inpainting_draws_from_the_conditional_of_a_normal_density():
    model = gaussian(4, smallest_noise=0.01)
    x = model.draw(2)
    draws = model.inpaint(x, MASK, draws=2000, steps=80, correctors=4, seed=0).numpy()
    assert draws.shape == (2000, 2, 4)
    np.testing.assert_array_equal(draws[..., MASK], np.broadcast_to(x[:, MASK], (2000, 2, 2)))
    for row in range(2):
        mean, covariance = conditional(model.means[0], model.covariances[0], x[row], MASK)
        assert_normal(draws[:, row][:, ~MASK], mean, covariance, slack=0.03)


def test_inpainting_chooses_among_modes_as_often_as_it_should():
    means = np.array([[0.3, -1.0], [-0.3, 1.0]])
    covariances = [np.diag([0.5, 0.05]), np.diag([0.5, 0.05])]
    model = ExactMixture([0.7, 0.3], means, covariances, smallest_noise=0.02, largest_noise=10.0)
    x = np.array([[0.5, np.nan], [-0.8, np.nan]])
    settings = {"draws": 2000, "steps": 60, "particles": 16, "seed": 0}
    draws = model.inpaint(x, [True, False], **settings).numpy()
    for row in range(2):
        known = np.square(x[row, 0] - means[:, 0]) / 0.5
        odds = np.array([0.7, 0.3]) * np.exp(-0.5 * known)
        odds /= odds.sum()
        share = (draws[:, row, 1] < 0).mean()  # of one particle 0.07 too much
        assert abs(share - odds[0]) < 4 * np.sqrt(odds[0] * odds[1] / 2000) + 0.02
        side = draws[draws[:, row, 1] < 0, row, 1]
        assert abs(side.mean() + 1) < 0.03
        assert abs(side.var() / 0.05 - 1) < 0.15


def images(count=3, dtype="uint8"):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, size=(50, 4, 4, 2)).astype(dtype)
    model = dv.NoiseConditionalDELVM(
        dv.networks.level_cnn((4,), 3, activation="silu", seed=0), normalization="zscore",
        preconditioned=True, noise_levels=4,
    )  # fmt: skip
    model.adapt(x)
    return model, x[:count]


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_known_values_come_back_exactly_in_raw_units(dtype):
    model, x = images(dtype=dtype)
    mask = np.random.default_rng(1).random((4, 4, 1)) < 0.5
    filled = model.inpaint(x, mask, steps=3, correctors=1, seed=0).numpy()
    known = np.broadcast_to(mask, x.shape)
    np.testing.assert_array_equal(filled[known], x[known].astype(filled.dtype))
    assert not np.any(filled[~known] == x[~known])
    assert filled.dtype == ("float64" if dtype == "float64" else "float32")
    other = np.where(known, x, 0).astype(dtype)
    np.testing.assert_array_equal(filled, model.inpaint(other, mask, steps=3, correctors=1, seed=0))


def test_masks_may_be_of_all_rows_or_of_each():
    model, x = images()
    one = np.random.default_rng(1).random((4, 4, 1)) < 0.5
    expected = model.inpaint(x, one, steps=2, seed=0)
    for mask in (np.broadcast_to(one, (4, 4, 2)), np.broadcast_to(one, (3, 4, 4, 2)), one[None]):
        np.testing.assert_array_equal(model.inpaint(x, mask, steps=2, seed=0), expected)


def test_batches_do_not_change_what_a_row_draws():
    model, x = images(5)
    mask = np.arange(4).reshape(1, 4, 1) < 2
    close = {"rtol": 1e-4, "atol": 1e-2}  # of values up to 255
    runs = [
        (
            model.denoise(x, 0.5, draws=2, steps=3, seed=seed, batch_size=size),
            model.inpaint(x, mask, draws=2, steps=3, seed=seed, batch_size=size),
        )
        for size, seed in ((2, 7), (512, 7), (512, 8))
    ]
    for small, whole, other in zip(*runs, strict=True):
        np.testing.assert_allclose(small, whole, **close)
        assert not np.allclose(whole, other, **close)
        assert not np.allclose(whole[0], whole[1], **close)
        assert not np.allclose(whole[:, 0] - x[0], whole[:, 1] - x[1], **close)


def test_streams_can_be_denoised():
    model, x = images(5)
    stream = tf.data.Dataset.from_tensor_slices(x).batch(2)
    drawn = model.denoise(stream, 0.5, draws=2, steps=3, seed=7)
    expected = model.denoise(x, 0.5, draws=2, steps=3, seed=7)
    np.testing.assert_allclose(drawn, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m, x: m.denoise(x, 9.0, draws=2), ValueError, "sigma must lie between"),
        (lambda m, x: m.denoise(x, 1.0, draws=0), ValueError, "draws must be a positive integer"),
        (lambda m, x: m.inpaint(x, np.ones((4, 4, 1))), TypeError, "mask must be boolean, True"),
        (
            lambda m, x: m.inpaint(x, np.ones((4, 4), bool)), ValueError,
            r"shape of x, \(3, 4, 4, 2\), or of one example, \(4, 4, 2\).*got \(4, 4\)",
        ),
        (lambda m, x: m.inpaint(x, x > 9, steps=0), ValueError, "steps must be a positive integer"),
        (lambda m, x: m.inpaint(x[0], x[0] > 9), ValueError, "This is a single example"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call, error, message):
    model, x = images()
    with pytest.raises(error, match=message):
        call(model, x)


def test_values_that_the_normalisation_mixes_cannot_be_known_one_by_one():
    model = gaussian(normalization="zca")
    x = model.draw(50)
    model.adapt(x)
    with pytest.raises(ValueError, match="'zca' mixes them"):
        model.inpaint(x, x > 0)


def test_columns_in_another_order_are_refused():
    pandas = pytest.importorskip("pandas")
    model = gaussian(normalization="zscore")
    table = pandas.DataFrame(model.draw(50), columns=[*"abc"])
    model.adapt(table)
    known = [True, True, False]
    filled = model.inpaint(table[:2], known, steps=2, seed=0)
    np.testing.assert_array_equal(filled[:, :2], table.to_numpy()[:2, :2])
    other = table[[*"cab"]]
    for call in (
        lambda: model.inpaint(other, known),
        lambda: model.denoise(other, 0.5, draws=2),
        lambda: model.interpolate(table, other),
    ):
        with pytest.raises(ValueError, match="in the same order"):
            call()


def test_a_posterior_of_a_mixture_looks_like_its_draws():
    """Clean points with noise, and posterior draws of them, are draws of the data again."""
    model, sigma = mixture(smallest_noise=0.02), 0.7
    noisy = model.draw(800, sigma, seed=1)
    again = model.denoise(noisy, sigma, draws=1, steps=100, seed=0).numpy()[0]
    assert energy_distance_test(again, model.draw(800, seed=2)) > 0.01
