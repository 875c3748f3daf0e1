"""Simple anomaly detectors with scikit-learn's interface, hard to beat on easy data."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import OneClassSVM
from sklearn.utils.validation import check_is_fitted

from delvm_tf.detection import validation


def flatten(X: Any) -> np.ndarray:
    """Examples as rows of float64, (n, d)."""
    return np.asarray(X, dtype=np.float64).reshape(len(X), -1)


class DistanceToMean(BaseEstimator):
    """Scores by −‖x − mean‖², with the mean of the training data."""

    def fit(self, X: Any, y: Any = None) -> "DistanceToMean":
        """Take the mean of X, (n, ...)."""
        self.mean_ = flatten(validation.checked(self, X, reset=True)).mean(axis=0)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Higher is more normal, (n,)."""
        check_is_fitted(self)
        rows = flatten(validation.checked(self, X, reset=False))
        return -np.square(rows - self.mean_).sum(axis=1)


class PCAResidual(BaseEstimator):
    """Scores by minus the squared distance to the subspace of the first principal components.

    Args:
        n_components: dimension of the subspace.
    """

    def __init__(self, n_components: int = 4):
        self.n_components = n_components

    def fit(self, X: Any, y: Any = None) -> "PCAResidual":
        """Find the subspace of X, (n, ...).

        Raises:
            ValueError: for no components, more than values or examples, or a single example.
        """
        if self.n_components in (0, None):
            raise ValueError(f"n_components must be positive, got {self.n_components!r}")
        rows = flatten(validation.checked(self, X, reset=True, rows=2))
        self.pca_ = PCA(self.n_components, random_state=0).fit(rows)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Higher is more normal, (n,)."""
        check_is_fitted(self)
        rows = flatten(validation.checked(self, X, reset=False))
        rebuilt = self.pca_.inverse_transform(self.pca_.transform(rows))
        return -np.square(rows - rebuilt).sum(axis=1)


def one_class_svm() -> Any:
    """scikit-learn's one-class SVM with its defaults."""
    return make_pipeline(FunctionTransformer(flatten), OneClassSVM(gamma="scale", nu=0.1))


def isolation_forest(seed: int) -> Any:
    """scikit-learn's isolation forest."""
    return make_pipeline(
        FunctionTransformer(flatten), IsolationForest(n_estimators=200, random_state=seed)
    )


# Each maps a seed to an unfitted estimator with `fit(X)` and `score_samples(X)`.
BASELINES: dict[str, Callable[[int], Any]] = {
    "distance to mean": lambda seed: DistanceToMean(),
    "PCA residual (4)": lambda seed: PCAResidual(4),
    "PCA residual (16)": lambda seed: PCAResidual(16),
    "one-class SVM": lambda seed: one_class_svm(),
    "isolation forest": isolation_forest,
}
