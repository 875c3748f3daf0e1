"""Densities that are known, and how far a model's are from them."""

from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

CHUNK = 2**17  # pairs of a point and a component held at a time


class GaussianMixtureDensity:
    """p(x) = Σₖ wₖ N(x; mₖ, Σₖ), with its exact score.

    Args:
        weights: w, (K,), positive, of sum 1.
        means: m, (K, d).
        covariances: Σ, (K, d, d), symmetric and positive definite.

    Raises:
        LinAlgError: if a covariance is not positive definite.
    """

    def __init__(self, weights: Any, means: Any, covariances: Any):
        self.weights = np.array(weights, np.float64)
        self.means = np.array(means, np.float64)
        self.covariances = np.array(covariances, np.float64)
        self._roots = np.linalg.cholesky(self.covariances)
        self._inverse_roots = np.linalg.inv(self._roots)
        self._white_means = np.einsum("kij,kj->ki", self._inverse_roots, self.means)
        log_det = np.log(np.diagonal(self._roots, axis1=1, axis2=2)).sum(axis=1)
        self._log_factors = np.log(self.weights) - log_det
        self._log_factors -= 0.5 * self.means.shape[1] * np.log(2 * np.pi)

    def log_density(self, x: Any) -> np.ndarray:
        """Log p(x) in nats, (n, d) to (n,)."""
        return np.concatenate([logsumexp(self._terms(r)[0], axis=1) for r in self._chunks(x)])

    def score(self, x: Any) -> np.ndarray:
        """∇ log p(x) = −Σₖ P(k|x) Σₖ⁻¹(x − mₖ), shape of x."""
        parts = []
        for rows in self._chunks(x):
            log_terms, white = self._terms(rows)
            shares = softmax(log_terms, axis=1)[:, :, np.newaxis]
            weighted = (shares * white).reshape(len(rows), -1)
            parts.append(-weighted @ self._inverse_roots.reshape(weighted.shape[1], -1))
        return np.concatenate(parts)

    def responsibilities(self, x: Any) -> np.ndarray:
        """P(k|x), the probability of each component, (n, d) to (n, K)."""
        return np.concatenate([softmax(self._terms(r)[0], axis=1) for r in self._chunks(x)])

    def sample(self, n: int, seed: Any = None) -> np.ndarray:
        """Draws that are independent, (n, d).

        Args:
            n: how many.
            seed: as `numpy.random.default_rng` takes it.
        """
        rng = np.random.default_rng(seed)
        component = rng.choice(len(self.weights), size=n, p=self.weights / self.weights.sum())
        white = rng.normal(size=(n, self.means.shape[1]))
        return self.means[component] + np.einsum("nij,nj->ni", self._roots[component], white)

    def _chunks(self, x: Any) -> Any:
        rows = np.asarray(x, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.means.shape[1] or len(rows) == 0:
            raise ValueError(f"expected points (n, {self.means.shape[1]}), got {rows.shape}")
        return np.array_split(rows, -(-len(rows) * len(self.weights) // CHUNK))

    def _terms(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log of each weighted component, (n, K), and the whitened distances, (n, K, d)."""
        k, d = self.means.shape
        white = rows @ self._inverse_roots.reshape(k * d, d).T - self._white_means.ravel()
        white = white.reshape(len(rows), k, d)
        return self._log_factors - 0.5 * np.einsum("nki,nki->nk", white, white), white


def five_gaussians() -> GaussianMixtureDensity:
    """Five unequal Gaussians in the plane.

    The first two overlap, the second is narrow and slanted, and the last, a tenth of the mass,
    stands apart from the others.
    """
    return GaussianMixtureDensity(
        weights=[0.30, 0.25, 0.20, 0.15, 0.10],
        means=[[-1.5, 1.0], [0.5, 1.2], [-1.0, -2.0], [1.8, -0.8], [4.5, 3.5]],
        covariances=[
            [[0.5, 0.0], [0.0, 0.5]],
            [[0.8, 0.55], [0.55, 0.5]],
            [[0.7, -0.2], [-0.2, 0.3]],
            [[0.25, 0.0], [0.0, 0.6]],
            [[0.2, 0.0], [0.0, 0.2]],
        ],
    )


def one_gaussian(points: Any) -> GaussianMixtureDensity:
    """The Gaussian of greatest likelihood for points (n, d)."""
    rows = np.asarray(points, np.float64)
    covariance = np.atleast_2d(np.cov(rows, rowvar=False, bias=True))
    return GaussianMixtureDensity([1.0], rows.mean(axis=0)[np.newaxis], covariance[np.newaxis])


def kernel_density(points: Any, bandwidth: float) -> GaussianMixtureDensity:
    """Parzen's window: a Gaussian of covariance bandwidth² I at each of the points (n, d)."""
    rows = np.asarray(points, np.float64)
    n, d = rows.shape
    return GaussianMixtureDensity(
        np.full(n, 1.0 / n), rows, np.tile(bandwidth**2 * np.eye(d), (n, 1, 1))
    )


def fisher_divergence(true_score: Any, model_score: Any) -> float:
    """½ E‖∇log p − ∇log q‖², over points drawn from p at which both scores are given, (n, d).

    Zero only where both agree; blind to the weights of parts that stand apart.
    """
    apart = np.asarray(true_score, np.float64) - model_score
    return float(0.5 * np.square(apart).sum(axis=1).mean())
