"""Checking the data of estimators as scikit-learn does: shape, names of columns, finiteness."""

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_n_features, check_array, validate_data

from delvm_tf.inputs.arrays import as_array
from delvm_tf.inputs.batches import CheckedRows
from delvm_tf.inputs.columns import check_names, names_of
from delvm_tf.models.reconstruction_model import ReconstructionModel


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
        TypeError: for what is no dense array, see `as_array`.
        ValueError: for another number of columns, or other names or another order of them; for NaN,
            infinite, masked or complex values, text, single examples and too few.
    """
    validate_data(estimator, X, reset=reset, skip_check_array=True, ensure_2d=False)  # the names
    array = as_array(X, "X")
    array = check_array(
        array,
        estimator=estimator,
        input_name="X",
        ensure_2d=flat or array.ndim < 3,
        allow_nd=not flat,
        ensure_min_samples=rows,
    )
    shape = tuple(array.shape[1:])
    if array.ndim == 2:
        _check_n_features(estimator, array, reset=reset)
    if reset:
        estimator.n_features_in_ = int(np.prod(shape))
        estimator._shape_in = shape
    elif shape != getattr(estimator, "_shape_in", shape):
        raise ValueError(
            f"X has examples of shape {shape}, but {type(estimator).__name__} was fitted on "
            f"examples of shape {estimator._shape_in}"
        )
    return array


def check_agreement(fitted: Any, X: Any, array: np.ndarray) -> None:
    """Compare rows with those an estimator was fitted on, whose function of rows looks at no names.

    Args:
        fitted: the estimator; what it knows of its columns is compared.
        X: the rows, with their names if they have any.
        array: their values.

    Raises:
        ValueError: for other columns, another order of them, or rows of another shape.
    """
    owner = type(fitted).__name__
    names = getattr(fitted, "feature_names_in_", None)
    if names is not None:
        check_names(names_of(X), [*names], owner)
    shape = array.shape[1:]
    known = getattr(fitted, "_shape_in", shape)
    size = getattr(fitted, "n_features_in_", np.prod(shape))
    if shape != known or np.prod(shape) != size:
        raise ValueError(
            f"X has examples of shape {shape}, but {owner} was fitted on {size} values per example"
            + (f" of shape {known}" if shape != known else "")
        )


def with_names(X: Any, array: np.ndarray, learner: Any = None) -> Any:
    """The checked rows for a model that learns; else X itself, if its columns have names."""
    if isinstance(learner, ReconstructionModel):
        return CheckedRows(array, names_of(X))
    return array if names_of(X) is None else X


def rows_of(X: Any, rows: np.ndarray) -> Any:
    """Some rows of an array or a data frame, by position and not by the labels of its index."""
    if isinstance(X, CheckedRows):
        return X[rows]
    return _safe_indexing(X, rows)
