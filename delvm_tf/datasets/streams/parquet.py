"""Rows of a Parquet file: one column of lists, or one column per value."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import EXACT, Chunk
from delvm_tf.datasets.streams.reading import Reading, select

_ROWS = 1024


def chunks(path: Path, reading: Reading) -> Iterator[Chunk]:
    """The rows as float64.

    Raises:
        ImportError: if pyarrow is missing.
        ContentsError: for columns and values that are not numbers or missing, and integers that
            float64 cannot represent, with column and row.
    """
    try:
        from pyarrow import parquet, types
    except ImportError as error:
        raise ImportError("Parquet needs pyarrow: pip install 'delvm_tf[parquet]'") from error
    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        pandas = schema.pandas_metadata or {}
        index = [name for name in pandas.get("index_columns", ()) if isinstance(name, str)]
        selected = select(schema.names, len(schema.names), reading, path, index)
        features = [schema.field(k) for k in selected.features]
        lists = len(features) == 1 and _is_list_of_numbers(types, features[0].type)
        label = None if selected.label is None else schema.field(selected.label)
        for field in [*([] if lists else features), *([] if label is None else [label])]:
            if not _is_number(types, field.type):
                raise ContentsError(
                    f"{path}: column {field.name!r} holds {field.type}, not numbers; "
                    f"{_hint(types, field.type)}"
                )
        start = 0
        wanted = [field.name for field in (*features, *([] if label is None else [label]))]
        for batch in file.iter_batches(_ROWS, columns=wanted):
            values = [_present(batch, name, start, path) for name in wanted]
            if lists:
                x, names = _lists(values[0], features[0].name, start, path), None
            else:
                of = zip(values, features, strict=False)
                x = np.stack([_floats(v, f.name, start, path) for v, f in of], axis=1)
                names = selected.names
            y = None if label is None else _labels(values[-1])
            yield Chunk(x, y, names, selected.left_out)
            start += len(batch)


def _is_list_of_numbers(types: Any, kind: Any) -> bool:
    some = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(some and _is_number(types, kind.value_type))


def _is_number(types: Any, kind: Any) -> bool:
    return bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
        or types.is_decimal(kind)
    )  # fmt: skip


def _hint(types: Any, kind: Any) -> str:
    if types.is_temporal(kind):
        return "convert times to numbers, such as seconds since a start, or pass drop="
    if types.is_dictionary(kind) or types.is_string(kind) or types.is_large_string(kind):
        return "encode categories as numbers, or pass drop="
    return "leave it out with drop=, or name the numeric columns with columns="


def _present(batch: Any, name: str, start: int, path: Path) -> Any:
    column = batch.column(name)
    if column.null_count:
        row = start + column.is_null().to_pylist().index(True)
        raise ContentsError(
            f"{path}: row {row}, column {name!r}, is missing; fill it or remove the row"
        )
    return column


def _floats(column: Any, name: str, start: int, path: Path) -> np.ndarray:
    from pyarrow import types

    if types.is_decimal(column.type):
        exact: Any = column.to_pylist()
        values = np.array([float(value) for value in exact], "float64")
    else:
        exact = column.to_numpy(zero_copy_only=False)
        values = exact.astype("float64")
    if not types.is_floating(column.type):
        for k in np.flatnonzero(np.abs(values) >= EXACT):
            if int(exact[k]) != int(values[k]):
                raise ContentsError(
                    f"{path}: row {start + k}, column {name!r}, is {exact[k]}, an integer that "
                    f"float64 cannot represent; leave the column out with drop= if it numbers the "
                    f"rows"
                )
    return values


def _labels(column: Any) -> np.ndarray:
    from pyarrow import types

    if types.is_decimal(column.type):
        return np.array([float(value) for value in column.to_pylist()])
    return column.to_numpy(zero_copy_only=False)


def _lists(column: Any, name: str, start: int, path: Path) -> np.ndarray:
    from pyarrow import compute

    lengths = np.unique(compute.list_value_length(column).to_numpy(zero_copy_only=False))
    values = column.flatten()
    if len(lengths) != 1 or values.null_count:
        raise ContentsError(
            f"{path}: the lists of {name!r} must be all of one length, without missing values; "
            f"after row {start} their lengths are {lengths[:5].tolist()}"
        )
    length = int(lengths[0])
    return _floats(values, name, start, path).reshape(len(column), length)
