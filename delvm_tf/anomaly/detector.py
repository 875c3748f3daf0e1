"""A scikit-learn outlier detector around any model that scores."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from delvm_tf.anomaly.thresholds import THRESHOLDS
from delvm_tf.models.inputs import shape_of_one

SCORES = ("reconstruction_error", "energy", "score_samples")


class AnomalyDetector(OutlierMixin, BaseEstimator):
    """Calls an example abnormal when its anomaly score exceeds a threshold.

    The anomaly score is the model's reconstruction error or energy. Signs follow scikit-learn's
    outlier detectors (`IsolationForest`, `OneClassSVM`): `score_samples` and `decision_function`
    are higher for more normal examples, and `predict` is +1 for normal and −1 for abnormal.
    `anomaly_score` and `is_anomaly` say the same the other way round.

    Args:
        model: anything with `reconstruction_error(x)` or `energy(x)`, or a scikit-learn outlier
            detector with `score_samples(x)`.
        threshold: `"mean_std"`, mean plus one standard deviation of the normal scores;
            `"quantile"`; or `"best_f1"`, the best F1 on the labelled data given to `fit`.
        score: `"reconstruction_error"`, `"energy"` or `"score_samples"`; the first the model has,
            by default.
        quantile: fraction of normal examples below the threshold `"quantile"`.
        epochs: how long `fit` trains the model before it sets the threshold. With 0, for models
            that are trained already, it sets the threshold only.
        batch_size: examples per training step.

    Attributes:
        threshold_: the threshold, in units of the anomaly score, once fitted.
        offset_: minus the threshold, as scikit-learn has it.
        normal_scores_: anomaly scores of the normal examples given to `fit`, (n,).
        n_features_in_: number of values per example.

    Example:
        >>> detector = dv.AnomalyDetector(model, threshold="mean_std").fit(x_normal)
        >>> sklearn.metrics.roc_auc_score(y, detector.anomaly_score(x))
    """

    def __init__(
        self,
        model: Any,
        threshold: str = "mean_std",
        score: str | None = None,
        quantile: float = 0.95,
        epochs: int = 0,
        batch_size: int = 100,
    ):
        self.model = model
        self.threshold = threshold
        self.score = score
        self.quantile = quantile
        self.epochs = epochs
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> "AnomalyDetector":
        """Set the threshold on X, after training the model on its normal rows if `epochs` > 0.

        Args:
            X: examples, (n, ...) in raw units; all normal unless labels say otherwise. Without
                labels a batched `tf.data.Dataset` too, if the model takes one.
            y: labels, 0 for normal and 1 for abnormal; needed by `"best_f1"` only.

        Raises:
            ValueError: for an unknown threshold or score, labels of the wrong length or other than
                0 and 1, too few examples, or scores that are not finite.
        """
        if self.threshold not in THRESHOLDS:
            raise ValueError(
                f"unknown threshold {self.threshold!r}; expected one of {', '.join(THRESHOLDS)}"
            )
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile must lie between 0 and 1, got {self.quantile!r}")
        self._scoring_method()
        labels = None if y is None else _checked_labels(y, len(X))
        if self.epochs:
            self._train(X if labels is None else X[labels == 0])
        scores = self._scores(X)
        self.n_features_in_ = int(np.prod(shape_of_one(X) or ()))
        self.threshold_ = THRESHOLDS[self.threshold](scores, labels, self.quantile)
        self.offset_ = -self.threshold_
        self.normal_scores_ = scores if labels is None else scores[labels == 0]
        return self

    def anomaly_score(self, X: Any) -> np.ndarray:
        """Anomaly score of each example, (n,); higher is more abnormal."""
        return self._scores(X)

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the anomaly score, (n,); higher is more normal, as in scikit-learn."""
        return -self._scores(X)

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` − `offset_`, (n,); negative for abnormal examples."""
        check_is_fitted(self, "threshold_")
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """+1 for normal and −1 for abnormal examples, (n,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def is_anomaly(self, X: Any) -> np.ndarray:
        """True for abnormal examples, (n,)."""
        return self.decision_function(X) < 0

    @property
    def score_name(self) -> str:
        """Which of the model's scores is used."""
        return self.score or next((s for s in SCORES if hasattr(self.model, s)), SCORES[0])

    def _scoring_method(self) -> Any:
        if self.score is not None and self.score not in SCORES:
            raise ValueError(f"unknown score {self.score!r}; expected one of {', '.join(SCORES)}")
        method = getattr(self.model, self.score_name, None)
        if method is None:
            raise ValueError(
                f"{type(self.model).__name__} has no method {self.score_name}; the model must have "
                f"one of {', '.join(SCORES)}"
            )
        return method

    def _scores(self, X: Any) -> np.ndarray:
        values = np.asarray(self._scoring_method()(X), dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError(
                f"{np.sum(~np.isfinite(values))} of {len(values)} anomaly scores are NaN or "
                f"infinite; check the model's training and the inputs' range"
            )
        return -values if self.score_name == "score_samples" else values

    def _train(self, X: Any) -> None:
        if self.score_name == "score_samples":
            self.model.fit(X)
            return
        if hasattr(self.model, "adapt"):
            self.model.adapt(X)
        if not self.model.compiled:
            self.model.compile()
        self.model.fit(X, epochs=self.epochs, batch_size=self.batch_size, verbose=0)


def _checked_labels(y: Any, n: int) -> np.ndarray:
    labels = np.asarray(y)
    if labels.shape != (n,):
        raise ValueError(f"expected {n} labels y, one per example, got shape {labels.shape}")
    values = np.unique(labels)
    if not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"labels must be 0 (normal) or 1 (abnormal), got values {values[:10].tolist()}"
        )
    return labels.astype(int)
