"""How good a detector is on the rows that were put aside."""

from typing import Any

import numpy as np

import delvm_tf as dv
from delvm.comparison import compared
from delvm.images import Images
from delvm.protocol import Parts
from delvm.reading import Given
from delvm_tf.inputs.ahead import computed_ahead
from delvm_tf.schema import arrow

MOST_ROWS = 20_000  # that simple methods learn from


def scores_of(detector: dv.AnomalyDetector, given: Given | Images) -> np.ndarray:
    """Anomaly scores of all rows; NaN where too many cells are missing."""
    if isinstance(given, Images):
        return detector.anomaly_score(given.x)
    most = 0 if detector.schema_ is None else detector.schema_.most_missing

    def scored(table: Any) -> np.ndarray:
        known = np.sum([arrow.missing(column) for column in table.columns], axis=0) <= most
        scores = np.full(len(table), np.nan)
        if known.any():
            scores[known] = detector.anomaly_score(table.filter(known))
        return scores

    return np.concatenate([*computed_ahead(scored, given.tables())])


def judged(
    detector: dv.AnomalyDetector,
    given: Given | Images,
    parts: Parts,
    scores: np.ndarray,
    method: str,
) -> list[dict[str, Any]]:
    """Figures of merit of the detector and of simple methods; none without rows of both kinds."""
    if not parts.tested or given.abnormal is None:
        return []
    fit, test = parts.fit, parts.test
    if len(fit) > MOST_ROWS:
        fit = fit[np.random.default_rng(detector.random_state).permutation(len(fit))[:MOST_ROWS]]
    labels = np.where(given.abnormal[fit], -1, 1)
    # Both in one pass over the files.
    both = np.concatenate([fit, test])
    if isinstance(given, Images):
        numbers = given.pixels(both)
    else:
        numbers = _numbers(detector, given.take(both))
    return [
        *compared(
            detector, numbers[: len(fit)], labels, numbers[len(fit) :],
            given.abnormal[test].astype(int), scores[test], method,
        )
    ]  # fmt: skip


def scores_by_kind(
    detector: dv.AnomalyDetector, parts: Parts, scores: np.ndarray
) -> dict[str, np.ndarray]:
    """Scores of rows that were not trained on, by what is known of these."""
    kinds = {"normal, they set the threshold": detector.normal_scores_}
    if parts.tested and parts.abnormal is not None:
        abnormal = parts.abnormal[parts.test]
        kinds["normal, test part"] = scores[parts.test][~abnormal]
        kinds["abnormal, test part"] = scores[parts.test][abnormal]
    return kinds


def _numbers(detector: dv.AnomalyDetector, table: Any) -> np.ndarray:
    """The numbers that a model sees of a table."""
    if detector.schema_ is not None:
        return detector.schema_.encode(table)
    return np.column_stack([np.asarray(column, np.float64) for column in table.columns])
