"""Anomaly scores of features: a function of examples, and a detector behind it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.base import clone

from delvm_tf.detection import validation
from delvm_tf.detection.criterion import Criterion, anomaly_function, rows_for, scores_of
from delvm_tf.detection.score_vectors import LayerScores, NoiseScores
from delvm_tf.models.reconstruction_model import ReconstructionModel


class FeatureDetector(Criterion):
    """An outlier detector of features of the examples.

    Args:
        features: examples (n, ...) to features (n, d): `model.features`, `PatchFeatures`,
            `LayerScores`, `NoiseScores`, or any other function. To be exported it must be made of
            TensorFlow operations.
        detector: a scikit-learn estimator with `fit(X)` and `score_samples(X)`, such as
            `make_pipeline(StandardScaler(), NeighbourDistance())`, or an `AnomalyDetector` around a
            model, which `epochs` > 0 lets train on the features. It is cloned, not changed.

    Attributes:
        detector_: the fitted detector.
        n_features_in_: number of values per example.
        feature_names_in_: names of the columns, where they have any.

    Examples:
        >>> gaussian = dv.detection.PrincipalGaussian(2)
        >>> detector = dv.detection.FeatureDetector(model.features, gaussian).fit(x)
        >>> detector.score_samples(x).shape
        (64,)
    """

    def __init__(self, features: Callable[[Any], Any], detector: Any):
        self.features = features
        self.detector = detector

    def fit(self, X: Any, y: Any = None) -> "FeatureDetector":
        """Fit the detector on the features of X, (n, ...), all normal.

        Raises:
            ValueError: for features of another shape, or ones that are NaN or infinite.
        """
        array = validation.checked(self, X, reset=True)
        table = np.asarray(self.table(validation.with_names(X, array)))
        if table.ndim != 2 or len(table) != len(array):
            raise ValueError(
                f"features of {len(array)} examples must have shape ({len(array)}, d), got "
                f"{table.shape}"
            )
        if not np.isfinite(table).all():
            raise ValueError("some features are NaN or infinite; check the model's training")
        self.detector_ = clone(self.detector).fit(table)
        return self

    def anomaly(self, x: Any) -> tf.Tensor:
        """The anomaly score of the features, (batch,); +∞ where features are NaN or infinite."""
        table = self.table(x)
        finite = tf.reduce_all(tf.math.is_finite(table), axis=1)
        known = tf.where(finite[:, tf.newaxis], table, tf.zeros_like(table))
        scores = scores_of(anomaly_function(self.detector_), known)
        return tf.where(finite, scores, tf.constant(np.inf, scores.dtype))

    def table(self, x: Any) -> tf.Tensor:
        """The features of x, (batch, d) of a float type."""
        owner = getattr(self.features, "__self__", self.features)
        direct = isinstance(owner, ReconstructionModel | LayerScores | NoiseScores)
        rows = rows_for(getattr(owner, "model", owner), x, direct)
        table = tf.convert_to_tensor(self.features(rows))
        return table if table.dtype.is_floating else tf.cast(table, tf.float64)
