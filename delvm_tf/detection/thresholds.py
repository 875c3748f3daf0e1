"""Thresholds on anomaly scores, of which higher is more abnormal; y is 1 for abnormal rows."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve

from delvm_tf.detection.conformal import score_of_rate
from delvm_tf.detection.criterion import InPython, Scores


def mean_std(scores: np.ndarray, y: np.ndarray | None, rate: float) -> float:
    """Mean plus one standard deviation of the normal scores (Guo and Kim 2023, section 3.2.1)."""
    normal = _normal(scores, y)
    if len(normal) < 2:
        raise ValueError(
            f"threshold='mean_std' needs at least 2 normal examples to measure their spread, got "
            f"{len(normal)}"
        )
    size = np.abs(normal).max()
    if normal.min() == normal.max() or size == 0:
        return float(normal[0])  # the mean may be off by a rounding, and then all were above it
    units = normal / size  # squares of great scores would overflow
    return float(units.mean() + units.std()) * float(size)


def contamination(scores: np.ndarray, y: np.ndarray | None, rate: float) -> float:
    """A score that a new normal example exceeds at most at this rate; see `score_of_rate`."""
    return score_of_rate(_normal(scores, y), rate)


def best_f1(
    scores: np.ndarray, y: np.ndarray | None, rate: float, normal_weight: float = 1.0
) -> float:
    """The midpoint between scores that gives the best F1 of the abnormal class on labelled data.

    Each normal example counts `normal_weight` times, for those that were trained on and are left
    out.
    """
    if y is None or len(np.unique(y)) < 2:
        raise ValueError(
            "threshold='best_f1' needs labelled calibration data with both classes: "
            "detector.fit(x, y) with y +1 for normal and -1 for abnormal"
        )
    weights = np.where(y, 1.0, normal_weight)
    precision, recall, candidates = precision_recall_curve(y, scores, sample_weight=weights)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    best = int(np.argmax(f1[:-1]))
    lowest = float(candidates[best])  # of the scores to be called abnormal
    below = scores[scores < lowest]
    if len(below) == 0:  # all are: one step lower, wide enough to be seen in float32
        return lowest - max(1.0, abs(lowest)) * float(np.finfo(np.float32).eps)
    highest = float(below.max())
    middle = highest + (lowest - highest) / 2
    # In float32, which models score in, the middle of neighbours may round to the upper one.
    with np.errstate(over="ignore"):
        return middle if np.float32(middle) < np.float32(lowest) else highest


def _normal(scores: np.ndarray, y: np.ndarray | None) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    normal = scores if y is None else scores[np.asarray(y) == 0]
    if len(normal) == 0:
        raise ValueError("there is no normal example to set the threshold by")
    return normal


THRESHOLDS: dict[str, Callable[[np.ndarray, np.ndarray | None, float], float]] = {
    "contamination": contamination,
    "mean_std": mean_std,
    "best_f1": best_f1,
}
"""Rules for a threshold: of scores, labels or None, and the rate of false alarms.

Scores are (n,), higher for more abnormal rows, labels 1 for abnormal and 0 for normal rows.
`contamination` is a score that a new normal row exceeds with a probability of at most the rate;
`mean_std` mean plus one standard deviation of the normal scores, of Guo and Kim (2023), section
3.2.1; `best_f1` the midpoint between scores with the best F1 of the abnormal rows. ValueError
where there are no normal rows, or too few, or for `best_f1` none of one kind.

Examples:
    >>> scores, y = np.array([1.0, 2.0, 3.0, 8.0]), np.array([0, 0, 0, 1])
    >>> dv.detection.THRESHOLDS["best_f1"](scores, y, 0.01)
    5.5
"""


def checked_threshold(value: Any) -> float:
    """A finite number.

    Raises:
        ValueError: for anything else.
    """
    number = np.asarray(value)
    if number.shape != () or number.dtype.kind not in "fiu" or not math.isfinite(number):
        raise ValueError(
            f"the threshold must be a finite number, or as an argument one of "
            f"{', '.join(THRESHOLDS)}, got {value!r}"
        )
    return float(number)


def as_served(value: float, function: Scores) -> float:
    """The threshold as the number that a served model compares with: float32, as its scores are.

    Raises:
        ValueError: if it is too large for that.
    """
    if isinstance(function, InPython):
        return value
    with np.errstate(over="ignore"):
        served = float(np.float32(value))
    if not math.isfinite(served):
        raise ValueError(f"the threshold {value!r} is beyond float32, which the scores are")
    return served
