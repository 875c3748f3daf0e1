"""Anomaly scores by principal components: what they leave, and a Gaussian with few directions."""

from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.decomposition import PCA

from delvm_tf.detection import validation
from delvm_tf.detection.criterion import Criterion, by_batches, centred


def components_and_rest(x: Any, pca: PCA) -> tuple[tf.Tensor, tf.Tensor]:
    """Principal components, (batch, K), and the squared norm of what they leave, (batch,)."""
    values = centred(x, pca.mean_)
    z = tf.matmul(values, pca.components_.T)
    return z, tf.reduce_sum(tf.square(values - tf.matmul(z, pca.components_)), axis=1)


class PCAResidual(Criterion):
    """Anomaly score ‖r‖², the squared distance to the subspace of the first principal components.

    Args:
        n_components: dimension of the subspace, or below 1 the share of the variance that it has.

    Examples:
        >>> line = dv.detection.PCAResidual(1).fit(np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]))
        >>> -line.score_samples(np.array([[5.0, 3.0]]))
        array([9.])
    """

    def __init__(self, n_components: float = 4):
        self.n_components = n_components

    def fit(self, X: Any, y: Any = None) -> "PCAResidual":
        """Find the subspace of X, (n, ...).

        Raises:
            ValueError: for no components, more than values or examples, or a single example.
        """
        if self.n_components in (0, None):
            raise ValueError(f"n_components must be positive, got {self.n_components!r}")
        array = validation.checked(self, X, reset=True, rows=2)
        rows = array.reshape(len(array), -1).astype(np.float64)
        mean = rows.mean(axis=0)  # first, for PCA may square the values before it subtracts
        self.pca_ = PCA(self.n_components, random_state=0).fit(rows - mean)
        self.pca_.mean_ = self.pca_.mean_ + mean
        return self

    def anomaly(self, x: Any) -> tf.Tensor:
        """The squared distance, (batch,) float64."""
        return by_batches(
            lambda rows: components_and_rest(tf.reshape(rows, (tf.shape(rows)[0], -1)), self.pca_)[
                1
            ],
            x,
        )


class PrincipalGaussian(Criterion):
    """Anomaly score −log p under a Gaussian with a few free directions.

    ½[Σₖ zₖ²/λₖ + ‖r‖²/ν + Σₖ log λₖ + (d−K) log ν + d log 2π], with z the first K principal
    components, λ their variances, r what they leave and ν its mean variance per direction: the
    Mahalanobis distance under probabilistic PCA. Source: Tipping and Bishop (1999).

    Args:
        n_components: K, less than d and than the number of examples; reduced to that if greater.
        seed: of the randomised decomposition.

    Examples:
        >>> gaussian = dv.detection.PrincipalGaussian(2).fit(x)
        >>> log_p = gaussian.score_samples(x)
        >>> log_p.shape
        (64,)
    """

    flat = True

    def __init__(self, n_components: int = 64, seed: int = 0):
        self.n_components = n_components
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> "PrincipalGaussian":
        """Find the directions of X, (n, d).

        Raises:
            ValueError: for fewer than one component or two examples, or constant examples.
        """
        X = validation.checked(self, X, reset=True, flat=True, rows=2).astype(np.float64)
        if self.n_components < 1:
            raise ValueError(f"n_components must be positive, got {self.n_components!r}")
        total = X.var(axis=0, ddof=1).sum()
        if not total > 0:
            raise ValueError(f"all {len(X)} examples are the same, so they have no spread")
        count = min(self.n_components, len(X) - 1, X.shape[1])
        solver = "randomized" if count < 0.8 * min(X.shape) else "full"
        self.pca_ = PCA(count, svd_solver=solver, random_state=self.seed).fit(X)
        floor = 1e-9 * total / X.shape[1]
        self.variances_ = np.maximum(self.pca_.explained_variance_, floor)
        left = X.shape[1] - count
        self.noise_ = max((total - self.variances_.sum()) / max(left, 1), floor)
        self.constant_ = (
            np.log(self.variances_).sum()
            + left * np.log(self.noise_)
            + X.shape[1] * np.log(2 * np.pi)
        )
        return self

    def anomaly(self, x: Any) -> tf.Tensor:
        """Minus the log-density, (batch,) float64."""
        return by_batches(self._anomaly, x)

    def _anomaly(self, x: Any) -> tf.Tensor:
        z, rest = components_and_rest(x, self.pca_)
        inside = tf.reduce_sum(tf.square(z) / self.variances_, axis=1)
        beyond = rest / self.noise_ if self.pca_.n_components_ < self.n_features_in_ else 0.0
        return 0.5 * (inside + beyond + self.constant_)
