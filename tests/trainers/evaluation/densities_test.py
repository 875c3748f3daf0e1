import numpy as np
import pytest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from trainers.evaluation import densities
from trainers.evaluation.densities import (
    GaussianMixtureDensity,
    fisher_divergence,
    five_gaussians,
    kernel_density,
    one_gaussian,
)


def test_the_log_density_is_that_of_scikit_learn(rng):
    x = five_gaussians().sample(500, 3)
    reference = GaussianMixture(3, random_state=0).fit(x)
    ours = GaussianMixtureDensity(reference.weights_, reference.means_, reference.covariances_)
    points = 5.0 * rng.normal(size=(40, 2))
    np.testing.assert_allclose(ours.log_density(points), reference.score_samples(points), rtol=1e-9)
    np.testing.assert_allclose(
        ours.responsibilities(points), reference.predict_proba(points), atol=1e-12
    )


def test_a_kernel_density_is_that_of_scikit_learn(rng):
    x, points = rng.normal(size=(60, 3)), rng.normal(size=(20, 3))
    reference = KernelDensity(bandwidth=0.4).fit(x)
    ours = kernel_density(x, 0.4)
    np.testing.assert_allclose(ours.log_density(points), reference.score_samples(points), rtol=1e-9)


def test_the_score_is_the_gradient_of_the_log_density(rng):
    truth = five_gaussians()
    points = np.concatenate([truth.sample(30, 1), 8.0 * rng.normal(size=(10, 2))])
    step = 1e-5
    differences = [
        (truth.log_density(points + e) - truth.log_density(points - e)) / (2 * step)
        for e in step * np.eye(2)
    ]
    np.testing.assert_allclose(truth.score(points), np.stack(differences, 1), rtol=1e-5, atol=1e-6)


def test_samples_have_the_moments_of_the_mixture():
    truth = five_gaussians()
    x = truth.sample(200_000, 0)
    mean = truth.weights @ truth.means
    apart = truth.means - mean
    covariance = np.einsum("k,kij->ij", truth.weights, truth.covariances)
    covariance += np.einsum("k,ki,kj->ij", truth.weights, apart, apart)
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.05)
    np.testing.assert_allclose(truth.responsibilities(x).mean(axis=0), truth.weights, atol=0.005)


def test_samples_are_reproducible_and_depend_on_the_seed():
    truth = five_gaussians()
    np.testing.assert_array_equal(truth.sample(9, [1, 2]), truth.sample(9, [1, 2]))
    assert np.abs(truth.sample(9, [1, 2]) - truth.sample(9, [1, 3])).max() > 0.1


def test_chunks_change_nothing(monkeypatch, rng):
    truth, points = five_gaussians(), rng.normal(size=(23, 2))
    functions = (truth.log_density, truth.score, truth.responsibilities)
    whole = [function(points) for function in functions]
    monkeypatch.setattr(densities, "CHUNK", 12)
    for function, expected in zip(functions, whole, strict=True):
        np.testing.assert_allclose(function(points), expected, rtol=1e-12)


def test_the_fisher_divergence_of_two_gaussians_is_known():
    """½[tr((P − S⁻¹)S(P − S⁻¹)) + ‖P(m − μ)‖²] from N(m, S) to N(μ, P⁻¹)."""
    S, Q = np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([[0.7, -0.2], [-0.2, 0.9]])
    m, mu = np.array([0.5, -1.0]), np.array([0.2, 0.3])
    p = GaussianMixtureDensity([1.0], [m], [S])
    q = GaussianMixtureDensity([1.0], [mu], [Q])
    P = np.linalg.inv(Q)
    difference = P - np.linalg.inv(S)
    expected = 0.5 * (np.trace(difference @ S @ difference) + np.sum((P @ (m - mu)) ** 2))
    x = p.sample(400_000, 0)
    assert fisher_divergence(p.score(x), q.score(x)) == pytest.approx(expected, rel=0.01)
    assert fisher_divergence(p.score(x), p.score(x)) == 0.0


def test_the_fitted_gaussian_has_the_moments_of_the_points(rng):
    x = rng.normal(size=(50, 2)) @ [[1.0, 0.5], [0.0, 2.0]] + 3.0
    fitted = one_gaussian(x)
    np.testing.assert_allclose(fitted.means[0], x.mean(axis=0))
    np.testing.assert_allclose(fitted.covariances[0], np.cov(x.T, bias=True))
    shifted = GaussianMixtureDensity([1.0], fitted.means, 1.1 * fitted.covariances)
    assert fitted.log_density(x).mean() > shifted.log_density(x).mean()


def test_a_matrix_that_cannot_be_a_covariance_is_refused():
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        GaussianMixtureDensity([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]])


@pytest.mark.parametrize("x", [np.zeros(2), np.zeros((3, 1)), np.zeros((0, 2))])
def test_points_of_another_shape_are_refused(x):
    for function in (five_gaussians().log_density, five_gaussians().score):
        with pytest.raises(ValueError, match=r"expected points \(n, 2\)"):
            function(x)
