"""TFRecord files of `tf.train.Example`: x as raw bytes, shape, dtype and, with labels, y."""

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import DTYPES, Chunk, check_unmasked, whole_labels
from delvm_tf.datasets.streams.reading import Reading
from delvm_tf.storage.ownership import made_folder, whole
from delvm_tf.storage.paths import local_path

_RECORDS = 256
_NO_LABEL = -(2**63)
_SCHEMA = {
    "x": tf.io.FixedLenFeature([], tf.string),
    "shape": tf.io.VarLenFeature(tf.int64),
    "dtype": tf.io.FixedLenFeature([], tf.string),
    "y": tf.io.FixedLenFeature([], tf.int64, default_value=_NO_LABEL),
}


def chunks(path: Path, reading: Reading) -> Iterator[Chunk]:
    """The rows of a file that `write_tfrecords` wrote."""
    for records in tf.data.TFRecordDataset(str(path)).batch(_RECORDS):
        parsed = tf.io.parse_example(records, _SCHEMA)
        dtypes = {d.decode() for d in parsed["dtype"].numpy()}
        shapes = np.unique(tf.sparse.to_dense(parsed["shape"]).numpy(), axis=0)
        if len(dtypes) > 1 or len(shapes) > 1 or not dtypes <= set(DTYPES):
            raise ContentsError(f"{path}: the rows have several shapes or types, or unknown ones")
        parts, dtype = parsed["x"].numpy(), dtypes.pop()
        row_bytes = np.dtype(dtype).itemsize * math.prod(shapes[0].tolist())
        if any(len(part) != row_bytes for part in parts):
            raise ContentsError(f"{path}: the sizes of rows do not match their shape {shapes[0]}")
        x = np.frombuffer(b"".join(parts), dtype).reshape(-1, *shapes[0])
        y = parsed["y"].numpy()
        without = y == _NO_LABEL
        if reading.labels and without.any() and not without.all():
            raise ContentsError(f"{path}: only some rows have labels")
        yield Chunk(x, y if reading.labels and not without.any() else None)


def write_tfrecords(
    batches: Iterable[Any], folder: str | os.PathLike[str], rows_per_file: int = 10_000
) -> list[Path]:
    """Write rows to `rows-00000.tfrecord`, `rows-00001.tfrecord`, ..., each whole or not at all.

    Args:
        batches: of x, or (x, y) with integer labels: a `tf.data.Dataset`, a generator, a list.
        folder: created if necessary.
        rows_per_file: workers read whole files, so let there be several for each.

    Returns:
        The files.

    Raises:
        FileExistsError: if the folder has such files.
        ValueError: for no rows, masked values, values other than real numbers, labels other than
            integers, or a folder that is an address such as `gs://`.
        OSError: if the folder cannot be written.

    Examples:
        >>> files = dv.datasets.streams.write_tfrecords([(x, np.arange(64) % 2)], "rows", 40)
        >>> [file.name for file in files]
        ['rows-00000.tfrecord', 'rows-00001.tfrecord']
        >>> batches = dv.datasets.streams.stream("rows/*.tfrecord", labels=True)
    """
    folder = local_path(folder, "the folder of the records")
    if rows_per_file < 1:
        raise ValueError(f"rows_per_file must be positive, got {rows_per_file!r}")
    with made_folder(folder):
        if any(folder.glob("rows-*.tfrecord")):
            raise FileExistsError(f"{folder} already has rows-*.tfrecord; choose another folder")
        files: list[Path] = []
        rows = _examples(batches)
        for first in rows:
            target = folder / f"rows-{len(files):05d}.tfrecord"
            with (
                whole(target, replace=False) as partial,
                tf.io.TFRecordWriter(str(partial)) as writer,
            ):
                writer.write(first)
                for _, row in zip(range(rows_per_file - 1), rows, strict=False):
                    writer.write(row)
            files.append(target)
        if not files:
            raise ValueError("there are no rows to write")
    return files


def _examples(batches: Iterable[Any]) -> Iterator[bytes]:
    for batch in batches:
        x, y = batch if isinstance(batch, tuple) else (batch, None)
        check_unmasked(x, "the batch")
        x = np.asarray(x)
        if x.dtype.name not in DTYPES or x.ndim < 2:
            raise ValueError(
                f"expected batches (rows, ...) of {', '.join(DTYPES)}, got {x.dtype} {x.shape}"
            )
        labels = [None] * len(x) if y is None else whole_labels(y, 0, "the batch").tolist()
        for row, label in zip(x, labels, strict=True):
            feature = {
                "x": tf.train.Feature(bytes_list=tf.train.BytesList(value=[row.tobytes()])),
                "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=row.shape)),
                "dtype": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[row.dtype.name.encode()])
                ),
            }
            if label is not None:
                feature["y"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            yield example.SerializeToString()
