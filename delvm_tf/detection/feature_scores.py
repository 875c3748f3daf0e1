"""Anomaly scores from features: a function of examples, and a density or distance behind it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import check_is_fitted

from delvm_tf.detection import validation


class FeatureDetector(BaseEstimator):
    """An outlier detector of features of the examples.

    Args:
        features: examples (n, ...) to features (n, d): `model.features`, `PatchFeatures`,
            `LayerScores`, `NoiseScores`, or any other function.
        detector: a scikit-learn estimator with `fit(X)` and `score_samples(X)`, such as
            `make_pipeline(StandardScaler(), NeighbourDistance())`, or an `AnomalyDetector` around a
            model, which `epochs` > 0 lets train on the features. It is cloned, not changed.

    Attributes:
        detector_: the fitted detector.
        n_features_in_: number of values per example.
        feature_names_in_: names of the columns, where they have any.

    Example:
        >>> detector = FeatureDetector(model.features, PrincipalGaussian(64)).fit(x_normal)
        >>> AnomalyDetector(detector, threshold="quantile").fit(x_normal)
    """

    def __init__(self, features: Callable[[Any], Any], detector: Any):
        self.features = features
        self.detector = detector

    def fit(self, X: Any, y: Any = None) -> "FeatureDetector":
        """Fit the detector on the features of X, (n, ...), all normal.

        Raises:
            ValueError: for features of another shape, or ones that are NaN or infinite.
        """
        table = self._table(X, reset=True)
        if not np.isfinite(table).all():
            raise ValueError("some features are NaN or infinite; check the model's training")
        self.detector_ = clone(self.detector).fit(table)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """What the detector says of the features, (n,); higher is more normal.

        −∞ where features are NaN or infinite.
        """
        check_is_fitted(self)
        table = self._table(X, reset=False)
        finite = np.isfinite(table).all(axis=1)
        scores = np.full(len(table), -np.inf)
        if finite.any():
            scores[finite] = self.detector_.score_samples(table[finite])
        return scores

    def _table(self, X: Any, reset: bool) -> np.ndarray:
        array = validation.checked(self, X, reset)
        owner = getattr(self.features, "__self__", self.features)
        owner = getattr(owner, "model", owner)
        table = np.asarray(self.features(validation.as_known_to(owner, X, array)))
        if table.ndim != 2 or len(table) != len(array):
            raise ValueError(
                f"features of {len(array)} examples must have shape ({len(array)}, d), got "
                f"{table.shape}"
            )
        return table


class PrincipalGaussian(BaseEstimator):
    """Scores by the log-density of a Gaussian with a few free directions.

    −½[Σₖ zₖ²/λₖ + ‖r‖²/ν + Σₖ log λₖ + (d−K) log ν + d log 2π], with z the first K principal
    components, λ their variances, r what they leave and ν its mean variance per direction: the
    Mahalanobis distance under probabilistic PCA. Source: Tipping and Bishop (1999).

    Args:
        n_components: K, less than d and than the number of examples; reduced to that if greater.
        seed: of the randomised decomposition.
    """

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

    def score_samples(self, X: Any) -> np.ndarray:
        """The log-density, (n,)."""
        check_is_fitted(self)
        X = validation.checked(self, X, reset=False, flat=True).astype(np.float64)
        z = self.pca_.transform(X)
        rest = np.square(X - self.pca_.mean_).sum(axis=1) - np.square(z).sum(axis=1)
        if z.shape[1] == X.shape[1]:
            rest = np.zeros(len(X))
        inside = np.square(z) @ (1 / self.variances_)
        return -0.5 * (inside + np.maximum(rest, 0) / self.noise_ + self.constant_)


class NeighbourDistance(BaseEstimator):
    """Scores by minus the mean distance to the nearest normal examples.

    On the examples it was fitted on it is too good by one: each is its own neighbour.

    Args:
        n_neighbors: how many; reduced to the number of examples if greater.
        n_components: principal components to measure distances in, for speed; all of X if None.
        seed: of the randomised decomposition.
    """

    def __init__(self, n_neighbors: int = 5, n_components: int | None = None, seed: int = 0):
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> "NeighbourDistance":
        """Keep X, (n, d), or its principal components.

        Raises:
            ValueError: if there are to be no neighbours or components.
        """
        X = validation.checked(self, X, reset=True, flat=True)
        if self.n_neighbors < 1 or (self.n_components is not None and self.n_components < 1):
            raise ValueError(
                f"n_neighbors and n_components must be positive, got {self.n_neighbors!r} and "
                f"{self.n_components!r}"
            )
        self.pca_ = None
        if self.n_components is not None and self.n_components < min(X.shape):
            self.pca_ = PCA(
                self.n_components, svd_solver="randomized", random_state=self.seed
            ).fit(X)  # fmt: skip
        self.neighbours_ = NearestNeighbors(
            n_neighbors=min(self.n_neighbors, len(X)), algorithm="brute"
        ).fit(self._project(X))
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the mean distance, (n,)."""
        check_is_fitted(self, "neighbours_")
        X = validation.checked(self, X, reset=False, flat=True)
        distances, _ = self.neighbours_.kneighbors(self._project(X))
        return -distances.mean(axis=1)

    def _project(self, X: np.ndarray) -> np.ndarray:
        return X if self.pca_ is None else self.pca_.transform(X)
