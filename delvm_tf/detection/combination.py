"""One anomaly score from several, put on one scale by normal examples alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.base import clone

from delvm_tf.detection import validation
from delvm_tf.detection.criterion import Criterion, anomaly_function, bounded, scores_of


class ScoreCombination(Criterion):
    """Anomaly score Σⱼ wⱼ (sⱼ − mean sⱼ) / std sⱼ of the anomaly scores s of several detectors.

    Mean and spread of each score are those of normal examples that no detector was fitted on, for
    some (neighbours, trees) rate what they have seen too well. A score without spread there is left
    out. No labels are needed.

    Args:
        detectors: estimators with `fit(X)` and `score_samples(X)`, which are cloned; or, with
            `prefit`, anything that scores, as `AnomalyDetector` takes it: a trained model's own
            score can be one of them by `AnomalyDetector(model, criterion="energy")`.
        prefit: whether the detectors are fitted already; all of X then sets the scale, and should
            be examples that they have not seen.
        holdout: share of X that is held out to set the scale.
        seed: of what is held out.
        weights: w, one for each detector; all 1 by default.

    Attributes:
        detectors_: the fitted detectors.
        mean_: of the scores of the examples that set the scale, (detectors,).
        factors_: w / std of each score, 0 for one that is left out.
        n_features_in_: number of values per example.
        feature_names_in_: names of the columns, where they have any.

    Examples:
        >>> single = [dv.detection.PCAResidual(2), dv.detection.NeighbourDistance()]
        >>> both = dv.detection.ScoreCombination(single).fit(x)
        >>> detector = dv.AnomalyDetector(both, contamination=0.1).fit(x)
    """

    def __init__(
        self,
        detectors: Sequence[Any],
        prefit: bool = False,
        holdout: float = 0.1,
        seed: int = 0,
        weights: Sequence[float] | None = None,
    ):
        self.detectors = detectors
        self.prefit = prefit
        self.holdout = holdout
        self.seed = seed
        self.weights = weights

    def fit(self, X: Any, y: Any = None) -> "ScoreCombination":
        """Fit the detectors on a part of X, (n, ...), and set the scale by the rest.

        Raises:
            ValueError: for no detectors, ones that do not score, a share outside (0, 1), too few
                examples, weights that are not one finite number each, or scores of which some are
                not finite or none varies.
        """
        if not isinstance(self.detectors, Sequence) or not len(self.detectors):
            raise ValueError(f"expected a list of one detector or more, got {self.detectors!r}")
        for each in self.detectors:
            if not hasattr(each, "score_samples"):
                raise ValueError(
                    f"{type(each).__name__} has no score_samples; wrap a model in AnomalyDetector "
                    f"with the criterion reconstruction_error or energy"
                )
        count = len(self.detectors)
        weights = np.asarray(np.ones(count) if self.weights is None else self.weights, np.float64)
        if weights.shape != (count,) or not np.isfinite(weights).all():
            raise ValueError(
                f"expected {count} finite weights, one for each detector, got {self.weights!r}"
            )
        array = validation.checked(self, X, reset=True, rows=2)
        named = validation.with_names(X, array)
        if self.prefit:
            self.detectors_, scale = list(self.detectors), named
            for each in self.detectors_:
                validation.check_agreement(each, named, array)
        else:
            training, scale = self._divided(named, len(array))
            self.detectors_ = [clone(each).fit(training) for each in self.detectors]
        reference = np.asarray(self._table(scale))
        if not np.isfinite(reference).all():
            bad = np.sum(~np.isfinite(reference).all(axis=1))
            raise ValueError(
                f"{bad} of {len(reference)} rows that set the scale have scores that are NaN or "
                f"infinite; check the detectors and the inputs' range"
            )
        spread = reference.std(axis=0)
        used = spread > 1e-12 * np.maximum(np.abs(reference).max(axis=0), 1e-300)
        if not used.any():
            raise ValueError("no score varies over the normal rows, so none can be put on a scale")
        self.mean_ = reference.mean(axis=0)
        self.factors_ = np.where(used, weights / np.where(used, spread, 1.0), 0.0)
        return self

    def anomaly(self, x: Any) -> tf.Tensor:
        """The sum of standardised scores, (batch,) float64; +∞ where one overflows."""
        table = self._table(x)
        finite = tf.reduce_all(tf.math.is_finite(table), axis=1)
        total = tf.reduce_sum((table - self.mean_) * self.factors_, axis=1)
        return tf.where(finite, total, tf.constant(np.inf, tf.float64))

    def _divided(self, X: Any, n: int) -> tuple[Any, Any]:
        if not 0 < self.holdout < 1:
            raise ValueError(f"holdout must lie strictly between 0 and 1, got {self.holdout!r}")
        held = round(self.holdout * n)
        if held < 2 or n - held < 2:
            raise ValueError(
                f"a share of {self.holdout!r} of {n} examples is {held}, and both parts need two "
                f"or more"
            )
        order = np.random.default_rng(self.seed).permutation(n)
        training, rest = (np.sort(rows) for rows in (order[held:], order[:held]))
        return validation.rows_of(X, training), validation.rows_of(X, rest)

    def _table(self, x: Any) -> tf.Tensor:
        """Anomaly scores, (batch, detectors) float64."""
        scores = [bounded(scores_of(anomaly_function(each), x)) for each in self.detectors_]
        return tf.stack([tf.cast(each, tf.float64) for each in scores], axis=1)
