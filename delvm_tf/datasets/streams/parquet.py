"""Rows of a Parquet file: a column x of lists, or one column per value."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import Chunk
from delvm_tf.datasets.streams.table import LABELS

_ROWS = 1024


def chunks(path: Path, labels: bool) -> Iterator[Chunk]:
    """The rows; labels are the column called y, label, class or target, which is no value.

    Raises:
        ImportError: if pyarrow is missing.
        ContentsError: if there are other columns than numbers, missing values or no labels.
    """
    try:
        from pyarrow import parquet, types
    except ImportError as error:
        raise ImportError("Parquet needs pyarrow: pip install 'delvm_tf[parquet]'") from error
    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        label = next((name for name in schema.names if name.lower() in LABELS), None)
        if labels and label is None:
            raise ContentsError(f"{path}: no column is called {', '.join(LABELS)}")
        values = [name for name in schema.names if name != label]
        lists = values == ["x"] and _is_list_of_numbers(types, schema.field("x").type)
        for name in [] if lists else values:
            if not _is_number(types, schema.field(name).type):
                raise ContentsError(
                    f"{path}: column {name} holds {schema.field(name).type}, not numbers; keep "
                    f"the columns of values, or one column x of lists, and a label"
                )
        for batch in file.iter_batches(_ROWS):
            for name in batch.schema.names:
                if batch.column(name).null_count:
                    raise ContentsError(f"{path}: column {name} has missing values; fill them")
            x = _lists(batch, path) if lists else _columns(batch, values)
            yield Chunk(x, batch.column(label).to_numpy(False) if labels and label else None)


def _is_list_of_numbers(types: Any, kind: Any) -> bool:
    some = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(some and _is_number(types, kind.value_type))


def _is_number(types: Any, kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind))


def _columns(batch: Any, names: list[str]) -> np.ndarray:
    columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in names]
    return np.stack(columns, axis=1).astype("float32")


def _lists(batch: Any, path: Path) -> np.ndarray:
    from pyarrow import compute

    column = batch.column("x")
    lengths = np.unique(compute.list_value_length(column).to_numpy(zero_copy_only=False))
    values = column.flatten()
    if len(lengths) != 1 or values.null_count:
        raise ContentsError(
            f"{path}: the lists of x must be all of one length and without missing values; their "
            f"lengths are {lengths[:5].tolist()}"
        )
    return values.to_numpy(zero_copy_only=False).astype("float32").reshape(len(column), -1)
