"""Labels of detectors: +1 and −1 as in scikit-learn, or 0 and 1 as in this library's data."""

from typing import Any, NamedTuple

import numpy as np

from delvm_tf.inputs.arrays import as_values
from delvm_tf.inputs.notices import warn

CONVENTIONS = "+1 (normal) and -1 (abnormal), or 0 (normal) and 1 (abnormal)"
NO_CLASSES = (
    "an AnomalyDetector ranks and decides by +1 (normal) and -1 (abnormal), so scikit-learn's "
    "scorers would read labels of 0 (normal) and 1 (abnormal) the wrong way round; pass "
    "np.where(y == 1, -1, 1) as y, or leave `scoring` out"
)


class Labels(NamedTuple):
    """What labels say.

    Args:
        abnormal: which rows are, (n,) bool.
        zero_one: whether it is said by 0 and 1.
        only_ones: whether all are 1, which are then read as +1, normal.
    """

    abnormal: np.ndarray
    zero_one: bool
    only_ones: bool


def training_labels(y: Any, n: int, needed: bool) -> Labels | None:
    """The labels of n training examples, or None if y says nothing of what is abnormal.

    Nothing but 1 is +1, all normal, as in folds that train on normal rows alone. Warns of labels 0
    and 1, which scikit-learn's scorers read the other way round; and of other numbers,
    such as classes or targets, which play no part, as in scikit-learn's outlier detectors.

    Args:
        y: labels, (n,), or None.
        n: number of examples.
        needed: whether the threshold needs labels.

    Raises:
        ValueError: see `read_labels`; other numbers are refused where labels are needed.
    """
    if y is None:
        return None
    numbers = _checked(y, n)
    values = np.unique(numbers)
    if not needed and not np.isin(values, (-1, 0, 1)).all():
        warn(
            f"the values {values[:10].tolist()} of y do not say what is abnormal, and are ignored: "
            f"all rows count as normal. Labels are {CONVENTIONS}."
        )
        return None
    labels = read_labels(y, n)
    if labels.zero_one:
        warn(
            "y is read as 0 = normal and 1 = abnormal, but predict and decision_function are "
            "greater for normal rows, so that scikit-learn's scorers (scoring='roc_auc') are "
            "refused; pass np.where(y == 1, -1, 1) for them"
        )
    return labels


def read_labels(y: Any, n: int) -> Labels:
    """The labels of n examples, (n,).

    Raises:
        ValueError: for another number of labels, masked ones, and labels that are neither +1 and −1
            nor 0 and 1.
    """
    numbers = _checked(y, n)
    values = np.unique(numbers)
    boolean = np.asarray(y).dtype.kind == "b"  # these are 0 and 1 also where all are true
    if np.isin(values, (-1, 1)).all() and not boolean:
        return Labels(numbers < 0, zero_one=False, only_ones=len(values) == 1 and values[0] == 1)
    if np.isin(values, (0, 1)).all():
        return Labels(numbers > 0, zero_one=True, only_ones=False)
    raise ValueError(f"labels must be {CONVENTIONS}, got values {values[:10].tolist()}")


def _checked(y: Any, n: int) -> np.ndarray:
    labels = np.asarray(as_values(y, "labels y"))
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
