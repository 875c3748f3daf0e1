"""Rows of Parquet and Feather (Arrow) files: one column of lists, or one column per value.

Folders called `name=value` above a file are columns too, as pyarrow and pandas read them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import compute, types
from pyarrow import dataset as arrow_dataset

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import EXACT, INEXACT, Chunk
from delvm_tf.datasets.streams.reading import Reading, select

_ROWS = 2**13
_PARQUET = arrow_dataset.ParquetFileFormat(
    default_fragment_scan_options=arrow_dataset.ParquetFragmentScanOptions(
        use_buffered_stream=True, pre_buffer=False
    )
)


def chunks(path: Path, reading: Reading) -> Iterator[Chunk]:
    """The rows as float64. Memory: of a row group of Parquet, or a batch of Feather.

    Raises:
        ContentsError: for columns and values that are not numbers or missing, and integers that
            float64 cannot represent, with column and row.
    """
    data = dataset_of(path)
    schema = data.schema
    pandas = schema.pandas_metadata or {}
    index = [name for name in pandas.get("index_columns", ()) if isinstance(name, str)]
    selected = select(schema.names, len(schema.names), reading, path, index)
    features = [schema.field(k) for k in selected.features]
    label = [] if selected.label is None else [schema.field(selected.label)]
    lists = len(features) == 1 and _is_list_of_numbers(features[0].type)
    for field in [*([] if lists else features), *label]:
        if not _is_number(field.type):
            raise ContentsError(
                f"{path}: column {field.name!r} holds {field.type}, not numbers; "
                f"{_hint(field.type)}"
            )
    start = 0
    wanted = [field.name for field in (*features, *label)]
    for batch in data.to_batches(
        columns=wanted, batch_size=_ROWS, batch_readahead=1, fragment_readahead=1
    ):
        if not len(batch):
            continue
        values = [_present(batch, name, start, path) for name in wanted]
        y = _labels(values.pop()) if label else None
        if lists:
            x, names = _lists(values[0], wanted[0], start, path), None
        else:
            of = zip(values, wanted, strict=False)
            x = np.stack([_floats(v, name, start, path) for v, name in of], axis=1)
            names = selected.names
        yield Chunk(x, y, names, selected.left_out)
        start += len(batch)


def dataset_of(path: Path, partitioning: str | None = "hive") -> arrow_dataset.Dataset:
    """A file as a data set of pyarrow, whose columns are folders too unless they shall not be."""
    kind = _PARQUET if path.suffix.lower() == ".parquet" else "feather"
    return arrow_dataset.dataset(str(path), format=kind, partitioning=partitioning)


def _is_list_of_numbers(kind: Any) -> bool:
    some = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(some and _is_number(kind.value_type))


def _is_number(kind: Any) -> bool:
    return bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
        or types.is_decimal(kind)
    )  # fmt: skip


def _hint(kind: Any) -> str:
    if types.is_temporal(kind):
        return "convert times to numbers, such as seconds since a start, or pass drop="
    if types.is_dictionary(kind) or types.is_string(kind) or types.is_large_string(kind):
        return "encode categories as numbers, or pass drop="
    return "leave it out with drop=, or name the numeric columns with columns="


def _present(batch: pyarrow.RecordBatch, name: str, start: int, path: Path) -> Any:
    column = batch.column(name)
    if column.null_count:
        row = start + column.is_null().to_pylist().index(True)
        raise ContentsError(
            f"{path}: row {row}, column {name!r}, is missing; fill it or remove the row"
        )
    return column


def _floats(column: Any, name: str, start: int, path: Path) -> np.ndarray:
    exact = _exact(column)
    values = exact.astype("float64")
    if not types.is_floating(column.type):
        for k in np.flatnonzero(np.abs(values) >= EXACT):
            if int(exact[k]) != int(values[k]):
                raise ContentsError(
                    f"{path}: row {start + k}, column {name!r}, is {exact[k]}, {INEXACT}"
                )
    return values


def _labels(column: Any) -> np.ndarray:
    labels = _exact(column)
    return labels.astype("float64") if types.is_decimal(column.type) else labels


def _exact(column: Any) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False)


def _lists(column: Any, name: str, start: int, path: Path) -> np.ndarray:
    lengths = np.unique(compute.list_value_length(column).to_numpy(zero_copy_only=False))
    values = column.flatten()
    if len(lengths) != 1 or values.null_count:
        raise ContentsError(
            f"{path}: the lists of {name!r} must be all of one length, without missing values; "
            f"after row {start} their lengths are {lengths[:5].tolist()}"
        )
    return _floats(values, name, start, path).reshape(len(column), int(lengths[0]))
