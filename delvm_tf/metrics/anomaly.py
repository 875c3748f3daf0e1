"""Figures of merit of anomaly scores."""

from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import (
    average_precision_score,
    precision_recall_fscore_support,
    roc_auc_score,
)


def anomaly_metrics(y: Any, scores: Any, threshold: float) -> dict[str, float]:
    """Quality of anomaly scores against labels; the abnormal class is the positive one.

    Args:
        y: labels, (n,), 1 = abnormal.
        scores: anomaly scores, (n,), higher = more abnormal; they may be infinite.
        threshold: scores above it are called abnormal.

    Returns:
        `auroc`, `average_precision`, `f1`, `precision` and `recall`, each in [0, 1].

    Raises:
        ValueError: if the lengths differ, the labels are not both 0 and 1, or scores are NaN.
    """
    y, scores = np.asarray(y), np.asarray(scores)
    if y.shape != scores.shape:
        raise ValueError(f"{y.shape} labels do not match {scores.shape} scores")
    if not np.array_equal(np.unique(y), [0, 1]):
        raise ValueError("the labels must include both classes, 0 (normal) and 1 (abnormal)")
    ranks = _ranks(scores)
    precision, recall, f1, _ = precision_recall_fscore_support(
        y, scores > threshold, average="binary", zero_division=0.0
    )
    return {
        "auroc": float(roc_auc_score(y, ranks)),
        "average_precision": float(average_precision_score(y, ranks)),
        "f1": float(f1),
        "precision": float(precision),
        "recall": float(recall),
    }


def auroc(y: Any, scores: Any) -> float:
    """Area under the ROC curve, of labels 1 = abnormal and scores that may be infinite."""
    return float(roc_auc_score(y, _ranks(scores)))


def _ranks(scores: Any) -> np.ndarray:
    """Ranks instead of scores: they give the same curves, and are finite for infinite scores."""
    scores = np.asarray(scores)
    if np.isnan(scores).any():
        raise ValueError(f"{np.isnan(scores).sum()} of {len(scores)} scores are NaN")
    return rankdata(scores)
