"""One anomaly score from several, put on one scale by normal examples alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from delvm_tf.detection import validation
from delvm_tf.detection.detector import CRITERIA


def standardized_sum(
    scores: Any, reference: Any, weights: Sequence[float] | None = None
) -> np.ndarray:
    """Σⱼ wⱼ (sⱼ − mean sⱼ) / std sⱼ, (n,), with the moments of a reference.

    Args:
        scores: (n, scores); rows in which one is NaN or infinite, of either sign, get −∞.
        reference: (m, scores), of normal examples; scores without spread there are left out.
        weights: w, one for each score; all 1 by default.

    Raises:
        ValueError: for shapes that do not match, a reference of fewer than two rows or with NaN or
            infinity, or no score with spread.
    """
    scores, reference = np.asarray(scores, np.float64), np.asarray(reference, np.float64)
    if scores.ndim != 2 or reference.ndim != 2 or scores.shape[1] != reference.shape[1]:
        raise ValueError(
            f"expected scores (n, k) and a reference (m, k), got {scores.shape} and "
            f"{reference.shape}"
        )
    if len(reference) < 2:
        raise ValueError(f"the reference needs two or more rows, got {len(reference)}")
    if not np.isfinite(reference).all():
        bad = np.sum(~np.isfinite(reference).all(axis=1))
        raise ValueError(
            f"{bad} of {len(reference)} reference rows have scores that are NaN or infinite; check "
            f"the detectors and the inputs' range"
        )
    spread = reference.std(axis=0)
    used = spread > 1e-12 * np.maximum(np.abs(reference).max(axis=0), 1e-300)
    if not used.any():
        raise ValueError("no score varies over the reference, so none can be put on a scale")
    factors = np.ones(len(spread)) if weights is None else np.asarray(weights, np.float64)
    if factors.shape != spread.shape or not np.isfinite(factors).all():
        raise ValueError(
            f"expected {len(spread)} finite weights, one for each score, got {weights!r}"
        )
    finite = np.isfinite(scores).all(axis=1)
    total = np.full(len(scores), -np.inf)
    centred = (scores[finite] - reference.mean(axis=0))[:, used]
    total[finite] = centred @ (factors[used] / spread[used])
    return total


class ScoreCombination(BaseEstimator):
    """Scores by the (weighted) sum of the standardised scores of several detectors.

    Mean and spread of each score are those of normal examples that no detector was fitted on, for
    some (neighbours, trees) rate what they have seen too well. No labels are needed.

    Args:
        detectors: estimators with `fit(X)` and `score_samples(X)`, which are cloned; or, with
            `prefit`, anything that scores, as `AnomalyDetector` takes it: a trained model's own
            score can be one of them by `AnomalyDetector(model, criterion="energy")`.
        prefit: whether the detectors are fitted already; all of X then sets the scale, and should
            be examples that they have not seen.
        holdout: share of X that is held out to set the scale.
        seed: of what is held out.
        weights: of the standardised scores; all 1 by default.

    Attributes:
        detectors_: the fitted detectors.
        reference_: scores of the examples that set the scale, (m, detectors).
        n_features_in_: number of values per example.
        feature_names_in_: names of the columns, where they have any.

    Example:
        >>> both = ScoreCombination([PCAResidual(16), NeighbourDistance()]).fit(x_normal)
        >>> AnomalyDetector(both).fit(x_normal)
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
            ValueError: for no detectors, ones that do not score, a share outside (0, 1), or too
                few examples.
        """
        if not isinstance(self.detectors, Sequence) or not len(self.detectors):
            raise ValueError(f"expected a list of one detector or more, got {self.detectors!r}")
        for each in self.detectors:
            if not hasattr(each, "score_samples"):
                raise ValueError(
                    f"{type(each).__name__} has no score_samples; wrap a model in AnomalyDetector "
                    f"with one of the criteria {', '.join(CRITERIA[:2])}"
                )
        if self.weights is not None and len(self.weights) != len(self.detectors):
            raise ValueError(f"got {len(self.weights)} weights for {len(self.detectors)} detectors")
        array = validation.checked(self, X, reset=True, rows=2)
        if self.prefit:
            self.detectors_ = list(self.detectors)
            self.reference_ = self._scores(X, array)
            standardized_sum(self.reference_[:0], self.reference_, self.weights)
            return self
        if not 0 < self.holdout < 1:
            raise ValueError(f"holdout must lie strictly between 0 and 1, got {self.holdout!r}")
        held = round(self.holdout * len(array))
        if held < 2 or len(array) - held < 2:
            raise ValueError(
                f"a share of {self.holdout!r} of {len(array)} examples is {held}, and both parts "
                f"need two or more"
            )
        order = np.random.default_rng(self.seed).permutation(len(array))
        named = validation.with_names(X, array)
        rows, rest = np.sort(order[held:]), np.sort(order[:held])
        training = validation.rows_of(named, rows)
        self.detectors_ = [clone(each).fit(training) for each in self.detectors]
        self.reference_ = self._scores(validation.rows_of(named, rest), array[rest])
        standardized_sum(self.reference_[:0], self.reference_, self.weights)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """The sum of standardised scores, (n,); higher is more normal, −∞ where one overflows."""
        check_is_fitted(self, "reference_")
        array = validation.checked(self, X, reset=False)
        return standardized_sum(self._scores(X, array), self.reference_, self.weights)

    def _scores(self, X: Any, array: np.ndarray) -> np.ndarray:
        scores = [
            each.score_samples(validation.as_known_to(each, X, array)) for each in self.detectors_
        ]
        return np.stack(scores, axis=1)
