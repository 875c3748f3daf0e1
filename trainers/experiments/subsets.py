"""Parts of a data set, drawn by label and seed."""

import dataclasses
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from delvm_tf.datasets.dataset import Dataset


def subset(data: Dataset, train_size: int, test_size: int, seed: int) -> Dataset:
    """A data set with fewer rows, in which the labels keep their shares.

    Where an anomaly protocol has labelled training rows, it is those that are drawn, and the
    normal ones among them are trained on.

    Args:
        data: rows and labels.
        train_size: (labelled) training rows to keep; 0 for all.
        test_size: test rows to keep; 0 for all.
        seed: of the draw.

    Raises:
        ValueError: if a size is too small for all labels, or larger than what there is.
    """
    changes: dict[str, Any] = {}
    if data.x_calibration is not None and data.y_calibration is not None:
        rows = _draw(data.y_calibration, train_size, seed, "training")
        x, y = data.x_calibration[rows], data.y_calibration[rows]
        changes.update(x_calibration=x, y_calibration=y)
        changes.update(x_train=x[y == 0], y_train=y[y == 0])
    else:
        rows = _draw(data.y_train, train_size, seed, "training")
        changes.update(x_train=data.x_train[rows], y_train=data.y_train[rows])
    rows = _draw(data.y_test, test_size, seed, "test")
    changes.update(x_test=data.x_test[rows], y_test=data.y_test[rows])
    return dataclasses.replace(data, **changes)


def _draw(y: np.ndarray, size: int, seed: int, part: str) -> Any:
    """Indices of `size` rows by label; all rows, in order, for 0 or their number."""
    n, labels = len(y), len(np.unique(y))
    if size in (0, n):
        return slice(None)
    if not 2 * labels <= size <= n - labels:
        raise ValueError(
            f"the size of the {part} part must lie between {2 * labels} and {n - labels}, or be 0 "
            f"for all {n} rows, got {size}"
        )
    rows, _ = train_test_split(np.arange(n), train_size=size, random_state=seed, stratify=y)
    return rows
