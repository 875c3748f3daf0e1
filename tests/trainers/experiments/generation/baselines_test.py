import numpy as np
import pytest
from sklearn.decomposition import PCA

from trainers.experiments.generation.baselines import (
    BASELINES,
    ParzenWindow,
    PrincipalGaussian,
    PrincipalMixture,
    Subspace,
)


@pytest.fixture
def plane(rng):
    """Images of 4×3 pixels with two strong directions and noise of deviation 0.3."""
    directions = np.linalg.qr(rng.normal(size=(12, 2)))[0] * [5.0, 3.0]
    x = rng.normal(size=(3000, 2)) @ directions.T + 0.3 * rng.normal(size=(3000, 12)) + 7
    return x.reshape(-1, 4, 3, 1)


def moments(x):
    flat = x.reshape(len(x), -1)
    return flat.mean(axis=0), np.cov(flat, rowvar=False)


@pytest.mark.parametrize("components", [1, 2, 6, 11])
def test_likelihoods_are_those_of_probabilistic_principal_components(plane, components):
    flat = plane.reshape(len(plane), -1)
    reference = PCA(components, svd_solver="full").fit(flat[:2000])
    found = Subspace(flat[:2000]).log_likelihood(flat[2000:], components)
    assert found == pytest.approx(reference.score(flat[2000:]), rel=1e-9)


def test_the_gaussian_finds_its_components_and_has_the_moments_of_the_images(plane):
    assert PrincipalGaussian().fit(plane[:40], 0).components in (2, 3, 4)
    gaussian = PrincipalGaussian().fit(plane, 0)
    drawn = gaussian.draw(20_000, 1)
    assert drawn.shape == (20_000, 4, 3, 1)
    mean, covariance = moments(plane)
    drawn_mean, drawn_covariance = moments(drawn)
    np.testing.assert_allclose(drawn_mean, mean, atol=4 * 5 / np.sqrt(20_000))
    np.testing.assert_allclose(drawn_covariance, covariance, atol=0.6)
    assert np.linalg.eigvalsh(drawn_covariance)[:8] == pytest.approx(0.09, rel=0.15)


def test_the_mixture_draws_both_of_two_clusters(plane, rng):
    x = plane + 10.0 * rng.integers(0, 2, (len(plane), 1, 1, 1))
    mixture = PrincipalMixture((1, 2)).fit(x, 0)
    assert mixture.about == f"2 Gaussians of {len(mixture.mixture.means_[0])} components"
    drawn = mixture.draw(4000, 0)
    level = drawn.mean(axis=(1, 2, 3))
    assert np.mean((level > 11.5) & (level < 12.5)) < 0.01
    assert np.mean(level > 12) == pytest.approx(np.mean(x.mean(axis=(1, 2, 3)) > 12), abs=0.04)
    order = level[:100] > 12
    assert np.sum(order[1:] != order[:-1]) > 20  # not sorted by cluster
    mean, covariance = moments(x[x.mean(axis=(1, 2, 3)) < 12])
    drawn_mean, drawn_covariance = moments(drawn[level < 12])
    np.testing.assert_allclose(drawn_mean, mean, atol=0.5)
    np.testing.assert_allclose(drawn_covariance, covariance, atol=1.2)


def test_a_parzen_window_draws_training_images_and_noise_of_its_width(plane):
    window = ParzenWindow().fit(plane, 0)
    assert window.width == pytest.approx(0.02 * np.sqrt(plane.var(axis=0).mean()))
    drawn = window.draw(500, 3).reshape(500, -1)
    distances = np.linalg.norm(drawn[:, None] - plane.reshape(1, -1, 12), axis=2).min(axis=1)
    assert np.mean(distances**2) == pytest.approx(12 * window.width**2, rel=0.1)


def test_independent_pixels_have_the_values_of_each_pixel_and_no_correlation(plane):
    x = np.rint(plane)
    drawn = BASELINES["independent-pixels"]().fit(x, 0).draw(5000, 0)
    for own, found in zip(x.reshape(-1, 12).T, drawn.reshape(-1, 12).T, strict=True):
        assert set(found) <= set(own)
        assert found.std() == pytest.approx(own.std(), rel=0.1)
    off = np.corrcoef(drawn.reshape(-1, 12), rowvar=False) - np.eye(12)
    assert np.abs(off).max() < 0.06


@pytest.mark.parametrize("name", BASELINES)
def test_draws_follow_from_the_seed_and_are_finite_with_dead_pixels(name, plane):
    x = np.uint8(np.clip(np.rint(plane[:60]), 0, 255))
    x[:, 0] = 0
    fitted = BASELINES[name]().fit(x, 0)
    drawn = fitted.draw(7, 5)
    assert drawn.shape == (7, 4, 3, 1)
    assert np.isfinite(drawn).all()
    np.testing.assert_array_equal(drawn, fitted.draw(7, 5))
    assert not np.array_equal(drawn, fitted.draw(7, 6))
    assert isinstance(fitted.title + fitted.about, str)
