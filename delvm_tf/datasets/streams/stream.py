"""Batches from files, generators and TensorFlow Datasets."""

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams import arrow_table, csv_table, images, npz, tfrecord
from delvm_tf.datasets.streams.chunk import (
    Chunk,
    Form,
    Reader,
    check_unmasked,
    checked,
    form_of,
    rows_in_chunk,
    whole_labels,
)
from delvm_tf.datasets.streams.reading import Reading, TableOptions
from delvm_tf.storage.paths import local_path, matching

READERS: dict[str, Reader] = {
    ".npz": npz.chunks,
    **dict.fromkeys((".csv", ".csv.gz"), csv_table.chunks),
    **dict.fromkeys((".parquet", ".feather", ".arrow"), arrow_table.chunks),
    ".tfrecord": tfrecord.chunks,
    **dict.fromkeys(images.SUFFIXES, images.chunks),
}
TABLES = (csv_table.chunks, arrow_table.chunks)
_FILES_AT_ONCE = 4


def stream(
    source: str | Path | Callable[[], Any],
    batch_size: int = 100,
    labels: bool = False,
    shuffle: int = 0,
    seed: int = 0,
    reshuffle: bool = True,
    shard: tuple[int, int] | None = None,
    **columns: Any,
) -> tf.data.Dataset:
    """Batches of x, or (x, y), read while they are used, in constant memory.

    If the columns of a table have names, the result has them as `feature_names_in_`, which
    `model.adapt` keeps (`map`, `take` and the like drop them); columns of several files are matched
    by name.

    The first row, which is read at once, sets the form of all; any other form ends the run, naming
    the file and the row. The same seed gives the same order.

    Args:
        source: a folder, or a pattern such as `"data/*.npz"` or `"photos/**/*.png"`, for files of
            one kind (.npz with arrays x and y, .csv, .csv.gz, .parquet, .feather, .arrow, .tfrecord
            of `write_tfrecords`, .png, .jpg, .bmp); `"tfds:name/split"` for TensorFlow Datasets; or
            a function that makes a generator of rows x or (x, y).
        batch_size: rows of a batch, over all replicas.
        labels: give (x, y) with integers y: the array y of .npz, the label of a record, the number
            of an image's folder. For tables give `label` instead.
        shuffle: size of the buffer from which rows are drawn; 0 keeps the order. Files are shuffled
            too.
        seed: of the order.
        reshuffle: another order in each epoch; False for runs that `BackupAndRestore` resumes.
        shard: (index, number): one of several parts; each row is in exactly one. Parts are whole
            files if there are enough, else every number-th row. For
            `tf.distribute.MultiWorkerMirroredStrategy` give each worker its part: TensorFlow then
            does not shard again.
        **columns: what the columns of tables mean: `label`, `columns`, `drop`, `index`, `header`,
            `separator` and `decimal` of `TableOptions`. A label must be an integer; gives (x, y).

    Raises:
        FileNotFoundError: if no file fits the pattern.
        ContentsError: if the first rows are damaged or not numbers, or it is not clear what the
            columns of a table mean.
        ValueError: for files of several or unknown formats, no rows, or numbers out of range.
        tf.errors.InvalidArgumentError: while reading, with the text of a `ContentsError`.

    Examples:
        >>> np.savez("rows.npz", x=x, y=np.arange(64) % 2)
        >>> batches = dv.datasets.streams.stream("*.npz", batch_size=32, shuffle=1000)
        >>> model.adapt(batches)
        >>> history = model.fit(batches)
        >>> [len(batch) for batch in batches]
        [32, 32]
    """
    if batch_size < 1 or shuffle < 0:
        raise ValueError(f"batch_size must be positive, shuffle not negative: {batch_size=}")
    number, parts = shard or (0, 1)
    if not 0 <= number < parts:
        raise ValueError(f"shard must be (index, number) with 0 <= index < number, got {shard}")
    table = TableOptions(**columns)
    names: tuple[str, ...] | None = None
    blocks: Any = None
    labels = labels or table.label is not None
    if table.given and (callable(source) or str(source).startswith("tfds:")):
        raise _only_tables(table)
    if isinstance(source, str) and source.startswith("tfds:"):
        rows = _from_tfds(source.removeprefix("tfds:"), labels).shard(parts, number)
    elif callable(source):
        rows = _from_generator(source, labels).shard(parts, number)
    else:
        reading = Reading(labels, table)
        blocks, names = _from_files(
            str(source), reading, shuffle > 0, seed, reshuffle, number, parts
        )
        rows = blocks.unbatch()
    if shuffle:
        rows = rows.shuffle(shuffle, seed, reshuffle_each_iteration=reshuffle)
    # Blocks need not be taken apart in order.
    together = None if shuffle else blocks
    dataset = rows.batch(batch_size) if together is None else together.rebatch(batch_size)
    if not labels:
        dataset = dataset.map(lambda x, y: x, num_parallel_calls=tf.data.AUTOTUNE)
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy
    options.experimental_distribute.auto_shard_policy = policy.OFF if shard else policy.DATA
    dataset = dataset.with_options(options).prefetch(tf.data.AUTOTUNE)
    dataset.feature_names_in_ = names
    return dataset


def files_of(pattern: str) -> tuple[list[Path], Reader]:
    """The files that match a pattern or are below a folder, sorted, and their reader.

    Files in a folder whose names, or those of their folders, begin with `.` or `_` do not count.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if their formats differ or are unknown.
    """
    folder = local_path(pattern, "the pattern")
    files = _below(folder) if folder.is_dir() else matching(pattern)
    if not files:
        problem = "there is no such file or folder"
        if folder.is_dir():
            problem = "it is a folder without files"
        elif re.search(r"[*?[]", str(pattern)):
            problem = "check the folder, and quote the pattern"
        raise FileNotFoundError(f"no file fits {pattern}; {problem}")
    readers = {reader_of(file) for file in files}
    if len(readers) > 1:
        kinds = ", ".join(sorted({file.suffix for file in files}))
        raise ValueError(f"files of {pattern} end in {kinds}; expected one of {', '.join(READERS)}")
    return files, readers.pop()


def _below(folder: Path) -> list[Path]:
    hidden = (".", "_")  # checksums, logs and temporary files of Spark, Arrow and others
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [
        p for p in found if not any(part.startswith(hidden) for part in p.relative_to(folder).parts)
    ]


def reader_of(file: str | Path) -> Reader:
    """The reader of a file, by its suffix; ValueError if that is unknown."""
    suffixes = [suffix.lower() for suffix in Path(file).suffixes]
    reader = READERS.get("".join(suffixes[-2:])) or READERS.get("".join(suffixes[-1:]))
    if reader is None and suffixes[-1:] in ([".gz"], [".bz2"], [".xz"], [".zip"], [".zst"]):
        raise ValueError(f"{file} is compressed; unpack it first (only .csv.gz is read as it is)")
    if reader is None:
        raise ValueError(f"{file}: unknown kind of file; expected one of {', '.join(READERS)}")
    return reader


def is_of_images(reader: Reader) -> bool:
    """Whether a reader gives images."""
    return reader is images.chunks


def check_options(reader: Reader, table: TableOptions) -> None:
    """Refuse options of tables for other files."""
    if table.given and reader not in TABLES:
        raise _only_tables(table)


def _only_tables(table: TableOptions) -> ValueError:
    return ValueError(
        f"{', '.join(table.given)}: only tables (CSV, Parquet, Feather) have these options; leave "
        f"them out, and pass labels=True for labels"
    )


def _from_files(
    pattern: str, reading: Reading, shuffled: bool, seed: int, reshuffle: bool, index: int,
    parts: int,
) -> tuple[tf.data.Dataset, tuple[str, ...] | None]:  # fmt: skip
    """Rows of files, some at a time, and the names of their columns."""
    files, reader = files_of(pattern)
    check_options(reader, reading.table)
    first = next(checked(reader(files[0], reading), None, reading.labels, files[0]), None)
    if first is None:
        raise ValueError(f"{files[0]} has no rows")
    form = form_of(first, files[0])
    reading = reading._replace(names=form.names)
    folders = images.folder_numbers(files)
    whole = len(files) >= parts
    own = files[index::parts] if whole else files

    def read(number: Any) -> Iterator[tuple[Any, Any]]:
        path = own[int(number)]
        start = 0
        for x, y, *_ in checked(reader(path, reading), form, reading.labels, path):
            if is_of_images(reader):
                y = np.full(len(x), folders[path.parent])
            assert y is not None  # as `checked` gives it
            keep = slice(None) if whole else slice((index - start) % parts, None, parts)
            start += len(x)
            yield x[keep], y[keep]

    signature = (
        tf.TensorSpec((None, *form.shape), form.dtype), tf.TensorSpec((None,), tf.int64),
    )  # fmt: skip
    numbers = tf.data.Dataset.range(len(own))
    if shuffled:
        numbers = numbers.shuffle(len(own), seed, reshuffle_each_iteration=reshuffle)
    blocks = numbers.interleave(
        lambda k: tf.data.Dataset.from_generator(read, output_signature=signature, args=(k,)),
        cycle_length=_FILES_AT_ONCE, num_parallel_calls=_FILES_AT_ONCE, deterministic=True,
    )  # fmt: skip
    return blocks, form.names


def _from_generator(source: Callable[[], Any], labels: bool) -> tf.data.Dataset:
    """Rows of a generator, which is restarted for every epoch."""
    first = next(iter(source()), None)
    if first is None:
        raise ValueError("the generator has no rows")
    pair = isinstance(first, tuple) and not hasattr(first, "_fields") and len(first) == 2
    if labels != isinstance(first, tuple) or pair != labels:
        raise ValueError(
            f"the generator must give {'(x, y)' if labels else 'x'} with {labels=}, got "
            f"{type(first).__name__}"
        )

    form: Form = form_of(_stacked([first], labels), "the generator")
    number = rows_in_chunk(int(np.asarray(first[0] if labels else first).nbytes))
    origin = f"generator {getattr(source, '__name__', '')}".strip()

    def chunks() -> Iterator[Chunk]:
        rows = iter(source())
        while some := list(itertools.islice(rows, number)):
            yield _stacked(some, labels)

    signature = (
        tf.TensorSpec((None, *form.shape), form.dtype), tf.TensorSpec((None,), tf.int64),
    )  # fmt: skip
    return tf.data.Dataset.from_generator(
        lambda: (chunk[:2] for chunk in checked(chunks(), form, labels, origin)),
        output_signature=signature,
    ).unbatch()


def _stacked(rows: list[Any], labels: bool) -> Chunk:
    x, y = zip(*rows, strict=True) if labels else (rows, np.zeros(len(rows)))
    for row in x:
        check_unmasked(row, "a row of the generator")
        if any(hasattr(row, names) for names in ("keys", "columns", "column_names")):
            raise ContentsError(
                f"the generator gives rows of type {type(row).__name__}, whose names would be "
                f"lost; give arrays, for instance row.to_numpy() or [row[name] for name in names]"
            )
    return Chunk(np.stack(x), np.asarray(y))


def _from_tfds(name: str, labels: bool) -> tf.data.Dataset:
    import tensorflow_datasets as tfds

    from delvm_tf.datasets import tfds_builders  # noqa: F401  so that ecg5000 is known

    name, _, split = name.partition("/")
    rows = tfds.load(name, split=split or "train", as_supervised=True)
    if not labels:
        return rows.map(lambda x, y: (x, tf.zeros((), tf.int64)))

    def numbered(x: Any, y: Any) -> Any:
        return x, tf.ensure_shape(tf.numpy_function(whole, [y], tf.int64), ())

    def whole(y: Any) -> Any:
        return whole_labels(np.asarray(y)[None], 0, name)[0]

    # Integers are the usual case, and stay in the graph.
    kind = rows.element_spec[1]
    if kind.dtype.is_integer and kind.shape.rank == 0 and kind.dtype != tf.uint64:
        return rows.map(lambda x, y: (x, tf.cast(y, tf.int64)))
    return rows.map(numbered)
