"""Checking rows and images before they are computed or sent."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from delvm_tf.detection.criterion import decided
from delvm_tf.inputs import batches as inputs
from delvm_tf.schema import arrow, input_name


def checked_rows(x: Any, shape: Any) -> np.ndarray:
    """Rows as float32, (n, *shape), or an error that says what is wrong."""
    with np.errstate(over="ignore"):
        array = np.asarray(inputs.check_array(x, shape, "the model"), np.float32)
    if not np.isfinite(array).all():
        raise ValueError("x has values beyond the range of float32; check the units")
    return array


def checked_images(images: Any) -> np.ndarray:
    """Encoded images as an array of bytes, (n,)."""
    if isinstance(images, bytes | str) or not all(isinstance(i, bytes) for i in images):
        raise TypeError("expected a list of image files as bytes, [path.read_bytes(), ...]")
    if not len(images):
        raise ValueError("got an empty list of images")
    array = np.empty(len(images), object)
    array[:] = list(images)
    return array


def checked_cells(table: Any, dtypes: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The cells of a table by the inputs of a signature, (rows,) each.

    Args:
        table: of pandas, polars or pyarrow; columns that the model has not are left out.
        dtypes: `float64` or `string`, by the name of the input.

    Raises:
        TypeError: for what is no table, or a column of text where numbers are expected.
        ValueError: if columns are missing or two have one name, or values are infinite.
    """
    table = arrow.as_table(table)
    places: dict[str, str] = {}
    for column in table.column_names:
        other = places.setdefault(input_name(column), column)
        if other != column and input_name(column) in dtypes:
            raise ValueError(
                f"a server cannot tell the columns {other!r} and {column!r} apart, both are "
                f"{input_name(column)!r} to it; rename one"
            )
    if missing := [name for name in dtypes if name not in places]:
        raise ValueError(
            f"the table lacks the columns {', '.join(missing[:20])}; it has "
            f"{', '.join(table.column_names[:20])}"
        )
    return {name: _cells(table.column(places[name]), name, dtypes[name]) for name in dtypes}


def _cells(column: Any, name: str, dtype: str) -> np.ndarray:
    found = arrow.kind_of(column)
    if found == "nothing":
        return np.full(len(column), "" if dtype == "string" else np.nan, _OF[dtype])
    if found not in ({"text"} if dtype == "string" else {"number", "date"}):
        raise TypeError(f"the column {name!r} holds {found}, and the model takes {dtype}")
    return arrow.texts(column) if dtype == "string" else arrow.numbers(column, name)


_OF: dict[str, Any] = {"string": object, "float64": np.float64}


def checked_threshold(threshold: float, outputs: Any, signature: str) -> np.float32:
    """A threshold as the number that a served model compares with.

    Raises:
        ValueError: if it is not finite, or the outputs of the signature have no decisions.
    """
    with np.errstate(over="ignore"):
        value = np.float32(threshold if isinstance(threshold, numbers.Real) else np.nan)
    if not np.isfinite(value):
        raise ValueError(f"the threshold must be a finite number of float32, got {threshold!r}")
    if "is_anomaly" not in outputs:
        raise ValueError(
            f"a threshold decides on anomaly scores of a detector, and {signature!r} has none"
        )
    return value


def by_threshold(outputs: dict[str, np.ndarray], threshold: float) -> dict[str, np.ndarray]:
    """The outputs of a detector with decisions by another threshold, as `decide` serves them."""
    scores = outputs["anomaly_score"]
    return {**outputs, **decided(scores, np.full_like(scores, np.float32(threshold)))}


def with_text(value: np.ndarray) -> np.ndarray:
    """Bytes of text as text; other values as they are."""
    if value.dtype != object:
        return value
    texts = [v.decode() if isinstance(v, bytes) else v for v in value.ravel()]
    return np.array(texts, object).reshape(value.shape)


def in_order(row: Any, columns: Sequence[str] | None) -> Any:
    """The values of a mapping, named tuple or pandas Series in the order of the model's columns.

    Rows without names are returned as they are.

    Raises:
        ValueError: if a column is missing, or the model has no names of columns.
    """
    row = row._asdict() if hasattr(row, "_asdict") else row
    if not hasattr(row, "keys"):
        return row
    names = list(row.keys())
    if columns is None:
        raise ValueError(
            f"the row has names, {names[:20]}, but the model has none; give an array in the order "
            f"of the training data"
        )
    if missing := [name for name in columns if name not in names]:
        raise ValueError(f"the row has no {', '.join(missing[:20])}; it has {names[:20]}")
    return np.array([row[name] for name in columns])
