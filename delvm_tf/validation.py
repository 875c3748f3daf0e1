"""Checking the data of estimators as scikit-learn does: shape, names of columns, finiteness."""

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import validate_data

from delvm_tf.columns import names_of


def checked(estimator: Any, X: Any, reset: bool, flat: bool = False, rows: int = 1) -> np.ndarray:
    """X as an array of finite numbers, (n, d) or, unless `flat`, (n, ...).

    With `reset` the estimator remembers `n_features_in_`, the values of one example, and, where
    the columns have names, `feature_names_in_`; without it X is compared with them. The type is
    kept, but objects become float64.

    Args:
        estimator: whose data they are.
        X: an array, a data frame, or lists.
        reset: whether the estimator is being fitted.
        flat: whether examples must be vectors.
        rows: the fewest examples allowed.

    Raises:
        TypeError: for sparse matrices.
        ValueError: for another number of columns, or other names or another order of them; for NaN,
            infinite, masked or complex values, text, single examples and too few.
    """
    if np.ma.is_masked(X):  # scikit-learn would take what lies below the mask for data
        raise ValueError(
            f"X is a masked array with {np.ma.count_masked(X)} masked values; leave out their rows "
            f"(np.ma.compress_rows) or fill them (X.filled)"
        )
    vectors = flat or _dimensions(X) < 3
    array = validate_data(
        estimator, X, reset=reset, ensure_2d=vectors, allow_nd=not flat, ensure_min_samples=rows
    )
    shape = tuple(array.shape[1:])
    if reset:
        estimator.n_features_in_ = int(np.prod(shape))
        estimator._shape_in = shape
    elif shape != getattr(estimator, "_shape_in", shape):
        raise ValueError(
            f"X has examples of shape {shape}, but {type(estimator).__name__} was fitted on "
            f"examples of shape {estimator._shape_in}"
        )
    return array


def as_known_to(owner: Any, X: Any, array: np.ndarray) -> Any:
    """X itself for who knows its columns by name and so compares them; else the checked array."""
    known = getattr(owner, "feature_names_in_", None)
    return array if known is None else X


def with_names(X: Any, array: np.ndarray) -> Any:
    """X itself if its columns have names, for who is to learn them; else the checked array."""
    return array if names_of(X) is None else X


def rows_of(X: Any, rows: np.ndarray) -> Any:
    """Some rows of an array or a data frame, by position and not by the labels of its index."""
    return _safe_indexing(X, rows)


def _dimensions(X: Any) -> int:
    shape = getattr(X, "shape", None)
    try:
        return len(np.asarray(X).shape if shape is None else shape)
    except ValueError:  # lists of different lengths, which the check will name
        return 2
