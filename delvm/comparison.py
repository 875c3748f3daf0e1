"""Simple methods on the same numbers, with the same rows to learn from and the same threshold."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from delvm_tf.detection import AnomalyDetector, DistanceToMean, NeighbourDistance, PCAResidual
from delvm_tf.metrics.anomaly import anomaly_metrics


def simple_methods(width: int, seed: int) -> dict[str, Any]:
    """Estimators of rows with `width` standardised numbers or components, by name."""
    methods: dict[str, Any] = {
        "isolation forest": IsolationForest(n_estimators=200, random_state=seed),
        "nearest neighbours (5)": NeighbourDistance(5),
        "distance to the mean": DistanceToMean(),
    }
    if width > 1:
        kept = max(1, width // 2)
        methods[f"PCA residual ({kept})"] = PCAResidual(kept)
    return methods


def compared(
    detector: AnomalyDetector, x: np.ndarray, y: np.ndarray, test: np.ndarray, abnormal: np.ndarray,
    scores: np.ndarray, name: str,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Figures of merit on the test rows: of a detector, then of simple methods.

    These learn from z-scores of the numbers that the detector was given. They hold out the same
    share of the normal rows and set their thresholds on them by the same rule.

    Args:
        detector: fitted.
        x: numbers of rows it was fitted on, (n, d).
        y: their labels, +1 for normal and −1 for abnormal, (n,).
        test: numbers of the test rows, (m, d).
        abnormal: which of them are, (m,).
        scores: the detector's of the test rows, (m,).
        name: of the detector.
    """
    yield {"method": name, **anomaly_metrics(abnormal, scores, detector.threshold_)}
    # Of more numbers than rows there are no more components than rows.
    width = min(x.shape[1], int(np.sum(y > 0)) // 2)
    for method, estimator in simple_methods(width, detector.random_state or 0).items():
        simple = AnomalyDetector(
            make_pipeline(StandardScaler(), estimator), threshold=detector.threshold_rule_,
            contamination=detector.contamination, epochs=1, holdout=detector.holdout,
            random_state=detector.random_state,
        ).fit(x, y)  # fmt: skip
        found = anomaly_metrics(abnormal, simple.anomaly_score(test), simple.threshold_)
        yield {"method": method, **found}
