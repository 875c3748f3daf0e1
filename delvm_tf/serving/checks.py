"""Checking rows and images before they are computed or sent."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from delvm_tf.detection.criterion import decided
from delvm_tf.inputs import batches as inputs
from delvm_tf.schema import Schema, arrow


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


def checked_count(inputs: Mapping[str, Any]) -> int:
    """How many rows the inputs of a signature have; ValueError if there are none."""
    count = len(next(iter(inputs.values())))
    if not count:
        raise ValueError("the table has no rows; pass one or more")
    return count


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


def table_of(row: Any, schema: Schema) -> Any:
    """A mapping, named tuple or pandas Series as a table of one row of the columns of a schema.

    Raises:
        TypeError: if it has no names, or a cell holds something else than in training.
        ValueError: if columns are missing, a value is infinite, or too many cells are missing.
    """
    import pyarrow as pa

    row = _with_names(row)
    if row is None:
        raise TypeError(f"expected a row with names of columns: {', '.join(schema.names[:20])}")
    _check_names_of(row, schema.names)
    cells = {}
    for column in schema.columns:
        try:
            cell = pa.array([row[column.name]], from_pandas=True)
        except pa.ArrowException as error:
            raise TypeError(f"the column {column.name!r} cannot be read: {error}") from error
        cell = arrow.in_microseconds(cell)  # rows of one batch may have several types of dates
        kind = schema.kinds[column.name]
        if kind == "number" and arrow.kind_of(cell) in ("number", "nothing"):
            cell = cell.cast("uint8") if pa.types.is_boolean(cell.type) else cell
            cell = cell.cast("float64")
        elif kind == "text" and arrow.kind_of(cell) == "nothing":
            cell = cell.cast("string")
        cells[column.name] = cell
    table = pa.table(cells)
    schema.cells(table)
    if (missing := int(arrow.missing_cells(table)[0])) > schema.most_missing:
        raise ValueError(
            f"the row lacks {missing} of the {len(cells)} cells, and the model takes rows that "
            f"lack {schema.most_missing}"
        )
    return table


def in_order(row: Any, columns: Sequence[str] | None) -> Any:
    """The values of a mapping, named tuple or pandas Series in the order of the model's columns.

    Rows without names are returned as they are.

    Raises:
        ValueError: if a column is missing, or the model has no names of columns.
    """
    named = _with_names(row)
    if named is None:
        return row
    if columns is None:
        raise ValueError(
            f"the row has names, {list(named.keys())[:20]}, but the model has none; give an array "
            f"in the order of the training data"
        )
    _check_names_of(named, columns)
    return np.array([named[name] for name in columns])


def _with_names(row: Any) -> Any:
    row = row._asdict() if hasattr(row, "_asdict") else row
    return row if hasattr(row, "keys") else None


def _check_names_of(row: Any, columns: Sequence[str]) -> None:
    names = list(row.keys())
    if missing := [name for name in columns if name not in names]:
        raise ValueError(f"the row has no {', '.join(missing[:20])}; it has {names[:20]}")
