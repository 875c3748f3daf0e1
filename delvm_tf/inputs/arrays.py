"""What users hand in as numbers, read as one array: the only place that does."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

WIDE = ("float64", "int32", "int64", "uint32", "uint64")  # types that float32 cannot hold
TABLES = ("pandas", "polars", "pyarrow")


def is_wide(dtype: Any) -> bool:
    """Whether values of a type may lose digits in float32."""
    return tf.as_dtype(dtype).name in WIDE


def is_array(x: Any) -> bool:
    """Whether x is in memory: an array, an eager tensor, a table, or a list of numbers."""
    if isinstance(x, list | tuple):
        return len(x) == 0 or not isinstance(x[0], str | bytes)
    return hasattr(x, "__array__") and not isinstance(x, keras.KerasTensor)


def as_array(x: Any, what: str = "x") -> Any:
    """The numbers of an array, tensor, table or nested list; copied only where that must be.

    Columns of a table that are boolean become zeros and ones, and missing values NaN. Where the
    columns have several types, the array has the one that holds them all.

    Args:
        x: a NumPy array or anything with `__array__`, an eager tensor, a table of pandas, polars
            or pyarrow, or a nested list of numbers.
        what: x in messages.

    Returns:
        A NumPy array in the machine's byte order, or the tensor itself.

    Raises:
        TypeError: if x is sparse, ragged or no array, or a column of a table holds no numbers.
        ValueError: if a value is masked, or the rows of a list differ in length.
    """
    if isinstance(x, tf.Tensor):
        return x
    if isinstance(x, tf.Variable | keras.Variable):
        return tf.convert_to_tensor(x)
    if isinstance(x, tf.RaggedTensor) or (isinstance(x, tf.SparseTensor) or _is_scipy_sparse(x)):
        kind = "ragged" if isinstance(x, tf.RaggedTensor) else "sparse"
        dense = {tf.RaggedTensor: "x.to_tensor()", tf.SparseTensor: "tf.sparse.to_dense(x)"}
        raise TypeError(
            f"{what} is {kind} ({type(x).__name__}), but must be dense: "
            f"{dense.get(type(x), 'x.toarray()')}"
        )
    if isinstance(x, list | tuple):
        return _native(_stacked(x, what))
    if not hasattr(x, "__array__"):
        hint = "; collect it first: x.collect()" if hasattr(x, "collect") else ""
        hint = f"; make a table of it: pandas.DataFrame({what})" if hasattr(x, "keys") else hint
        raise TypeError(f"{what} must be an array of numbers, got {type(x).__name__}{hint}")
    if type(x).__module__.split(".")[0] in TABLES and hasattr(x, "columns"):
        return _table(x, what)
    refuse_masked(x, what)
    return _native(np.asarray(x))


def as_values(values: Any, what: str) -> Any:
    """Labels or weights: a list or column as an array, and anything else as it is.

    Raises:
        ValueError: if a value is masked.
    """
    if isinstance(values, list | tuple):
        return _stacked(values, what)
    if isinstance(values, tf.Tensor) or not hasattr(values, "__array__"):
        return values
    refuse_masked(values, what)
    return np.asarray(values)


def _native(x: np.ndarray) -> np.ndarray:
    """The array in the machine's byte order, and in no type wider than float64."""
    if x.dtype.kind == "f" and x.dtype.itemsize > 8:
        return x.astype(np.float64)
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def _is_scipy_sparse(x: Any) -> bool:
    return type(x).__module__.split(".")[:2] == ["scipy", "sparse"]


def refuse_masked(x: Any, what: str) -> None:
    """Refuse a masked array, or a list with one: `np.asarray` gives what lies below the mask.

    Raises:
        ValueError: if a value is masked.
    """
    if isinstance(x, list | tuple):
        for part in _parts(x):
            refuse_masked(part, what)
    if not isinstance(x, np.ma.MaskedArray):
        return
    mask = np.ascontiguousarray(np.ma.getmaskarray(x)).view(bool)  # a record has one of each field
    if count := np.count_nonzero(mask):
        raise ValueError(
            f"{what} has {count} masked values, and what lies below the mask would be taken for "
            f"data; fill them (numpy.ma.filled) or leave out their rows"
        )


def _stacked(x: Sequence[Any], what: str) -> np.ndarray:
    if isinstance(x, tuple) and any(np.ndim(part) > 1 for part in x if hasattr(part, "__array__")):
        raise TypeError(
            f"{what} is a tuple of arrays, which may mean inputs, labels and weights; pass one "
            f"array of all examples, such as np.stack({what})"
        )
    if len(x) and (names := _names_of_row(x[0])):
        raise TypeError(
            f"{what} is a list of rows with names, {', '.join(names[:5])}, which a list does not "
            f"keep; make a table of it, such as pandas.DataFrame({what})"
        )
    refuse_masked(x, what)
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(
            f"{what} is a list whose rows differ in length, or hold no numbers: {error}"
        ) from error


def _names_of_row(row: Any) -> list[str]:
    """Names of the values of a dict, a named tuple or a Series; none for an array."""
    keys = getattr(row, "keys", None)
    names = keys() if callable(keys) else getattr(row, "_fields", ())
    return [name for name in names if isinstance(name, str)]


def _parts(x: Sequence[Any]) -> Iterator[Any]:
    for part in x:
        if isinstance(part, list | tuple):
            yield from _parts(part)
        elif hasattr(part, "__array__"):
            yield part


def _table(x: Any, what: str) -> np.ndarray:
    """A table of pandas, polars or pyarrow, (rows, columns)."""
    package = type(x).__module__.split(".")[0]
    if package == "pandas" and x.ndim == 2 and len(set(x.dtypes)) == 1:
        (dtype,) = set(x.dtypes)
        if isinstance(dtype, np.dtype) and dtype.kind in "fiu":
            return _native(x.to_numpy())  # shares the memory
    names, columns = {"pandas": _pandas, "polars": _polars, "pyarrow": _pyarrow}[package](x)
    strange = [
        f"{name!r} ({kind})" for name, (kind, column) in zip(names, columns, strict=True)
        if column is None
    ]  # fmt: skip
    if strange:
        shown = ", ".join(strange[:5]) + (", ..." if len(strange) > 5 else "")
        raise TypeError(
            f"{what} must hold real numbers, but the columns {shown} do not; leave them out or "
            f"turn them into numbers"
        )
    values = [column for _, column in columns]
    rows = np.empty((len(x), len(values)), np.result_type(*values) if values else np.float64)
    for place, column in enumerate(values):
        rows[:, place] = column
    return rows


# Each gives the names of the columns, and of each its type and its numbers, None if it has none.
Columns = tuple[list[Any], list[tuple[str, np.ndarray | None]]]


def _pandas(x: Any) -> Columns:
    columns: list[tuple[str, np.ndarray | None]] = []
    x = x.infer_objects()  # numbers in columns of objects; texts are not read as numbers
    for place, dtype in enumerate(x.dtypes):
        column = x.iloc[:, place]
        if getattr(dtype, "kind", "O") not in "fiub":
            columns.append((str(dtype), None))
        elif column.isna().any():
            columns.append((str(dtype), column.to_numpy(dtype=np.float64, na_value=np.nan)))
        else:
            plain = dtype if isinstance(dtype, np.dtype) else getattr(dtype, "numpy_dtype", None)
            columns.append((str(dtype), _unsigned(column.to_numpy(dtype=plain or np.float64))))
    return list(x.columns), columns


def _polars(x: Any) -> Columns:
    columns: list[tuple[str, np.ndarray | None]] = []
    for column in x.get_columns():
        kind = str(column.dtype)
        if column.null_count() and (column.dtype.is_numeric() or kind == "Boolean"):
            column = column.cast(float)
        values = column.to_numpy()
        columns.append((kind, _unsigned(values) if values.dtype.kind in "fiub" else None))
    return list(x.columns), columns


def _pyarrow(x: Any) -> Columns:
    from pyarrow import types

    columns: list[tuple[str, np.ndarray | None]] = []
    for column in x.columns:
        kind = str(column.type)
        boolean = types.is_boolean(column.type)
        number = boolean or types.is_integer(column.type) or types.is_floating(column.type)
        if boolean:
            column = column.cast("uint8")
        values = None
        if number:  # an array of its own has no zero-copy promise to give up
            chunked = hasattr(column, "chunks")
            values = column.to_numpy() if chunked else column.to_numpy(zero_copy_only=False)
        columns.append((kind, values))
    return list(x.schema.names), columns


def _unsigned(column: np.ndarray) -> np.ndarray:
    """Truth values as zeros and ones."""
    return column.astype(np.uint8) if column.dtype.kind == "b" else column
