"""Labels of detectors: +1 and −1 as in scikit-learn, or 0 and 1 as in this library's data."""

import warnings
from typing import Any

import numpy as np

CONVENTIONS = "+1 (normal) and -1 (abnormal), or 0 (normal) and 1 (abnormal)"


def training_labels(y: Any, n: int, needed: bool) -> np.ndarray | None:
    """Which of n examples are abnormal, (n,) bool, or None if y says nothing of it.

    Warns of labels 0 and 1, for who ranks by `decision_function`, as scikit-learn's scorers do
    (`scoring="roc_auc"`), takes the greater label for the more normal one; and of numbers of
    another kind, such as classes or targets, which play no part, as in scikit-learn's outlier
    detectors.

    Args:
        y: labels, (n,), or None.
        n: number of examples.
        needed: whether the threshold needs labels.

    Raises:
        ValueError: see `abnormal_rows`; labels of another kind are refused where they are needed.
    """
    if y is None:
        return None
    labels = _checked(y, n)
    values = np.unique(labels)
    if not needed and not np.isin(values, (-1, 0, 1)).all():
        warnings.warn(
            f"the values {values[:10].tolist()} of y do not say what is abnormal, and are ignored: "
            f"all rows count as normal. Labels are {CONVENTIONS}.",
            UserWarning, stacklevel=3,
        )  # fmt: skip
        return None
    abnormal = abnormal_rows(labels, n)
    if 0 in values:
        warnings.warn(
            "y is read as 0 = normal and 1 = abnormal, but scikit-learn's scorers, such as "
            "scoring='roc_auc', expect the greater label for normal rows and would give 1 - AUROC; "
            "pass np.where(y == 1, -1, 1), or leave `scoring` out",
            UserWarning, stacklevel=3,
        )  # fmt: skip
    return abnormal


def abnormal_rows(y: Any, n: int) -> np.ndarray:
    """Which of n examples are abnormal, (n,) bool.

    Raises:
        ValueError: for another number of labels, for labels that are neither +1 and −1 nor 0 and 1,
            and for nothing but 1, which may mean either.
    """
    labels = _checked(y, n)
    values = np.unique(labels)
    if np.array_equal(values, [1]):
        raise ValueError(
            f"all {n} labels are 1, which is normal beside -1 and abnormal beside 0; leave y out "
            f"if all examples are normal"
        )
    if np.isin(values, (-1, 1)).all():
        return labels < 0
    if np.isin(values, (0, 1)).all():
        return labels > 0
    raise ValueError(f"labels must be {CONVENTIONS}, got values {values[:10].tolist()}")


def _checked(y: Any, n: int) -> np.ndarray:
    labels = np.asarray(y)
    if labels.shape != (n,):
        raise ValueError(f"expected {n} labels y, one per example, got shape {labels.shape}")
    try:
        numbers = labels.astype(np.float64) if labels.dtype.kind in "biufO" else None
    except (TypeError, ValueError):
        numbers = None
    if numbers is None or not np.isfinite(numbers).all():
        some = list(dict.fromkeys(labels.tolist()))[:10]
        raise ValueError(f"labels must be {CONVENTIONS}, got values {some}")
    return numbers
