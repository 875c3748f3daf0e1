"""Densities that are known, and how far a model's are from them."""

from typing import Any

import numpy as np

CHUNK = 2**17  # pairs of a point and a component held at a time


class GaussianMixtureDensity:
    """p(x) = Σₖ wₖ N(x; mₖ, Σₖ), with its exact score.

    Args:
        weights: w, (K,), positive, of sum 1.
        means: m, (K, d).
        covariances: Σ, (K, d, d), symmetric and positive definite.

    Raises:
        ValueError: for shapes that do not fit, or numbers that make no density.
    """

    def __init__(self, weights: Any, means: Any, covariances: Any):
        self.weights = np.array(weights, np.float64)
        self.means = np.array(means, np.float64)
        self.covariances = np.array(covariances, np.float64)
        k, d = self.means.shape if self.means.ndim == 2 else (0, 0)
        if k == 0 or self.weights.shape != (k,) or self.covariances.shape != (k, d, d):
            raise ValueError(
                f"K Gaussians in d dimensions take weights (K,), means (K, d) and covariances "
                f"(K, d, d), got {self.weights.shape}, {self.means.shape} and "
                f"{self.covariances.shape}"
            )
        if not (self.weights > 0).all() or not np.isclose(self.weights.sum(), 1.0, atol=1e-6):
            raise ValueError(f"weights must be positive and sum to 1, got {self.weights}")
        if not np.isfinite(self.means).all() or not np.allclose(
            self.covariances, self.covariances.swapaxes(1, 2)
        ):
            raise ValueError("means must be finite and covariances symmetric")
        try:
            self._roots = np.linalg.cholesky(self.covariances)
        except np.linalg.LinAlgError as error:
            raise ValueError("a covariance is not positive definite") from error
        self._inverse_roots = np.linalg.inv(self._roots)
        self._white_means = np.einsum("kij,kj->ki", self._inverse_roots, self.means)
        log_det = np.log(np.diagonal(self._roots, axis1=1, axis2=2)).sum(axis=1)
        self._log_factors = np.log(self.weights) - log_det - 0.5 * d * np.log(2 * np.pi)

    def log_density(self, x: Any) -> np.ndarray:
        """Log p(x) in nats, (n, d) to (n,)."""
        parts = [_log_sum_exp(self._terms(rows)[0]) for rows in self._chunks(x)]
        return np.concatenate(parts)

    def score(self, x: Any) -> np.ndarray:
        """∇ log p(x) = −Σₖ P(k|x) Σₖ⁻¹(x − mₖ), shape of x."""
        parts = []
        for rows in self._chunks(x):
            log_terms, white = self._terms(rows)
            shares = np.exp(log_terms - _log_sum_exp(log_terms)[:, np.newaxis])
            weighted = (shares[:, :, np.newaxis] * white).reshape(len(rows), -1)
            parts.append(-weighted @ self._inverse_roots.reshape(weighted.shape[1], -1))
        return np.concatenate(parts)

    def responsibilities(self, x: Any) -> np.ndarray:
        """P(k|x), the probability of each component, (n, d) to (n, K)."""
        parts = []
        for rows in self._chunks(x):
            log_terms = self._terms(rows)[0]
            parts.append(np.exp(log_terms - _log_sum_exp(log_terms)[:, np.newaxis]))
        return np.concatenate(parts)

    def sample(self, n: int, seed: Any = None) -> np.ndarray:
        """Draws that are independent, (n, d).

        Args:
            n: how many.
            seed: as `numpy.random.default_rng` takes it.
        """
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ValueError(f"n must be a positive integer, got {n!r}")
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


def _log_sum_exp(terms: np.ndarray) -> np.ndarray:
    """Log of the sum of exponentials over the last axis."""
    largest = terms.max(axis=-1)
    return largest + np.log(np.exp(terms - largest[..., np.newaxis]).sum(axis=-1))


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
    if not 0 < bandwidth < np.inf:
        raise ValueError(f"the bandwidth must be a positive number, got {bandwidth!r}")
    rows = np.asarray(points, np.float64)
    n, d = rows.shape
    return GaussianMixtureDensity(
        np.full(n, 1.0 / n), rows, np.tile(bandwidth**2 * np.eye(d), (n, 1, 1))
    )


def fisher_divergence(true_score: Any, model_score: Any) -> float:
    """½ E‖∇log p − ∇log q‖², over points drawn from p at which both scores are given, (n, d).

    Zero only where both agree; blind to the weights of parts that stand apart.

    Raises:
        ValueError: if the shapes differ.
    """
    true_score, model_score = np.asarray(true_score), np.asarray(model_score)
    if true_score.shape != model_score.shape or true_score.ndim != 2:
        raise ValueError(
            f"expected two scores of one shape (n, d), got {true_score.shape} and "
            f"{model_score.shape}"
        )
    apart = true_score.astype(np.float64) - model_score
    return float(0.5 * np.square(apart).sum(axis=1).mean())
