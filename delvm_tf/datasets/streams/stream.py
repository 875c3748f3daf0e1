"""One function for all sources."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.datasets.streams import images, npz, parquet, table, tfrecord
from delvm_tf.datasets.streams.chunk import (
    Chunk,
    Form,
    Reader,
    checked,
    form_of,
    rows_in_chunk,
)
from delvm_tf.paths import matching

READERS: dict[str, Reader] = {
    ".npz": npz.chunks,
    ".csv": table.chunks,
    ".parquet": parquet.chunks,
    ".tfrecord": tfrecord.chunks,
    **dict.fromkeys(images.SUFFIXES, images.chunks),
}
_FILES_AT_ONCE = 4


def stream(
    source: str | Path | Callable[[], Any],
    batch_size: int = 100,
    labels: bool = False,
    shuffle: int = 0,
    seed: int = 0,
    reshuffle: bool = True,
    shard: tuple[int, int] | None = None,
) -> tf.data.Dataset:
    """Batches of x, or (x, y), read while they are used, in constant memory.

    The form of a row is that of the first one, which is read at once; whatever differs from it
    ends the run with the name of the file and the row. The same seed gives the same order.

    Args:
        source: a pattern such as `"data/*.npz"` or `"photos/**/*.png"` for files of one kind
            (.npz with arrays x and y, .csv, .parquet, .tfrecord of `write_tfrecords`, .png, .jpg,
            .bmp); `"tfds:name/split"` for TensorFlow Datasets; or a function that makes a generator
            of rows x or (x, y).
        batch_size: rows of a batch, over all replicas.
        labels: give (x, y); y of an image is the number of its folder.
        shuffle: rows in the buffer that the next one is drawn from; 0 keeps the order. Files are
            shuffled too.
        seed: of the order.
        reshuffle: another order in each epoch; False for runs that `BackupAndRestore` resumes.
        shard: (index, number): a part of the rows, each of which is in one part exactly. Whole
            files where there are as many as parts, else every number-th row. For
            `tf.distribute.MultiWorkerMirroredStrategy` give each worker its part: TensorFlow then
            shards no further.

    Raises:
        FileNotFoundError: if no file fits the pattern.
        ContentsError: if the first rows are damaged or no numbers.
        ValueError: for files of several or unknown kinds, no rows, or numbers out of range.
        tf.errors.InvalidArgumentError: while reading, with the words of a `ContentsError`.
    """
    if batch_size < 1 or shuffle < 0:
        raise ValueError(f"batch_size must be positive, shuffle not negative: {batch_size=}")
    index, parts = shard or (0, 1)
    if not 0 <= index < parts:
        raise ValueError(f"shard must be (index, number) with 0 <= index < number, got {shard}")
    if isinstance(source, str) and source.startswith("tfds:"):
        dataset = _from_tfds(source.removeprefix("tfds:"), labels).shard(parts, index)
    elif callable(source):
        dataset = _from_generator(source, labels).shard(parts, index)
    else:
        dataset = _from_files(str(source), labels, shuffle > 0, seed, reshuffle, index, parts)
    if shuffle:
        dataset = dataset.shuffle(shuffle, seed, reshuffle_each_iteration=reshuffle)
    dataset = dataset.batch(batch_size)
    if not labels:
        dataset = dataset.map(lambda x, y: x, num_parallel_calls=tf.data.AUTOTUNE)
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy
    options.experimental_distribute.auto_shard_policy = policy.OFF if shard else policy.DATA
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)


def files_of(pattern: str) -> tuple[list[Path], Reader]:
    """The files that fit a pattern, sorted, and what reads them.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if they are of several kinds or of an unknown one.
    """
    files = matching(pattern)
    if not files:
        raise FileNotFoundError(f"no file fits {pattern}; check the folder, and quote the pattern")
    readers = {reader_of(file) for file in files}
    if len(readers) > 1:
        kinds = ", ".join(sorted({file.suffix for file in files}))
        raise ValueError(
            f"files of {pattern} end in {kinds}; expected one kind of {', '.join(READERS)}"
        )
    return files, readers.pop()


def reader_of(file: str | Path) -> Reader:
    """What reads a file, by its name.

    Raises:
        ValueError: if it is of an unknown kind.
    """
    reader = READERS.get(Path(file).suffix.lower())
    if reader is None:
        raise ValueError(f"{file} is of an unknown kind; expected one of {', '.join(READERS)}")
    return reader


def _from_files(
    pattern: str, labels: bool, shuffled: bool, seed: int, reshuffle: bool, index: int, parts: int
) -> tf.data.Dataset:
    files, reader = files_of(pattern)
    first = next(checked(reader(files[0], labels), None, labels, files[0]), None)
    if first is None:
        raise ValueError(f"{files[0]} has no rows")
    form = form_of(Chunk(*first), files[0])
    folders = images.folder_numbers(files)
    whole = len(files) >= parts
    own = files[index::parts] if whole else files

    def read(number: Any) -> Iterator[tuple[Any, Any]]:
        path = own[int(number)]
        start = 0
        for x, y in checked(reader(path, labels), form, labels, path):
            if reader is images.chunks:
                y = np.full(len(x), folders[path.parent])
            keep = slice(None) if whole else slice((index - start) % parts, None, parts)
            start += len(x)
            yield x[keep], y[keep]

    signature = (
        tf.TensorSpec((None, *form.shape), form.dtype), tf.TensorSpec((None,), tf.int64),
    )  # fmt: skip
    numbers = tf.data.Dataset.range(len(own))
    if shuffled:
        numbers = numbers.shuffle(len(own), seed, reshuffle_each_iteration=reshuffle)
    return numbers.interleave(
        lambda k: tf.data.Dataset.from_generator(read, output_signature=signature, args=(k,)),
        cycle_length=_FILES_AT_ONCE, num_parallel_calls=_FILES_AT_ONCE, deterministic=True,
    ).unbatch()  # fmt: skip


def _from_generator(source: Callable[[], Any], labels: bool) -> tf.data.Dataset:
    """Rows of a generator, which is started anew for every epoch."""
    first = next(iter(source()), None)
    if first is None:
        raise ValueError("the generator has no rows")
    if labels != isinstance(first, tuple):
        raise ValueError(f"the generator must give {'(x, y)' if labels else 'x'} with {labels=}")

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
        lambda: checked(chunks(), form, labels, origin), output_signature=signature
    ).unbatch()


def _stacked(rows: list[Any], labels: bool) -> Chunk:
    x, y = zip(*rows, strict=True) if labels else (rows, np.zeros(len(rows)))
    return Chunk(np.stack(x), np.asarray(y))


def _from_tfds(name: str, labels: bool) -> tf.data.Dataset:
    import tensorflow_datasets as tfds

    from delvm_tf.datasets import tfds_builders  # noqa: F401  so that ecg5000 is known

    name, _, split = name.partition("/")
    return tfds.load(name, split=split or "train", as_supervised=True).map(
        lambda x, y: (x, tf.cast(y, tf.int64))
    )
