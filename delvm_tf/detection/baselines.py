"""Simple anomaly detectors with scikit-learn's interface, hard to beat on easy data."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.svm import OneClassSVM

from delvm_tf.detection import validation
from delvm_tf.detection.criterion import Criterion, by_batches, centred
from delvm_tf.detection.principal import PCAResidual
from delvm_tf.detection.scikit_learn import Flatten


class DistanceToMean(Criterion):
    """Anomaly score ‖x − mean‖², with the mean of the training data.

    Examples:
        >>> centre = dv.detection.DistanceToMean().fit(np.array([[0.0, 0.0], [2.0, 2.0]]))
        >>> -centre.score_samples(np.array([[4.0, 5.0]]))  # from (1, 1)
        array([25.])
    """

    def fit(self, X: Any, y: Any = None) -> "DistanceToMean":
        """Take the mean of X, (n, ...)."""
        array = validation.checked(self, X, reset=True)
        self.mean_ = array.mean(axis=0, dtype=np.float64)
        return self

    def anomaly(self, x: Any) -> tf.Tensor:
        """The squared distance, (batch,) float64."""
        axes = list(range(1, self.mean_.ndim + 1))
        return by_batches(
            lambda rows: tf.reduce_sum(tf.square(centred(rows, self.mean_)), axis=axes), x
        )


def one_class_svm() -> Any:
    """scikit-learn's one-class SVM with its defaults."""
    return make_pipeline(Flatten(), OneClassSVM(gamma="scale", nu=0.1))


def isolation_forest(seed: int) -> Any:
    """scikit-learn's isolation forest."""
    return make_pipeline(Flatten(), IsolationForest(n_estimators=200, random_state=seed))


BASELINES: dict[str, Callable[[int], Any]] = {
    "distance to mean": lambda seed: DistanceToMean(),
    "PCA residual (4)": lambda seed: PCAResidual(4),
    "PCA residual (16)": lambda seed: PCAResidual(16),
    "one-class SVM": lambda seed: one_class_svm(),
    "isolation forest": isolation_forest,
}
"""Simple methods to compare with: a seed gives an unfitted estimator with `fit` and
`score_samples`.

Examples:
    >>> [*dv.detection.BASELINES][:3]
    ['distance to mean', 'PCA residual (4)', 'PCA residual (16)']
    >>> forest = dv.detection.BASELINES["isolation forest"](0).fit(x)
    >>> forest.score_samples(x).shape
    (64,)
"""
