"""The rows of table files as numbers: those that a detector trains on, and those it keeps."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from delvm_tf.datasets.tables import TableFiles
from delvm_tf.detection.labels import read_labels
from delvm_tf.inputs.draws import draws
from delvm_tf.schema import Number, Schema
from delvm_tf.schema.learning import Learner
from delvm_tf.training.array_batches import array_batches

SMALL = 2**22  # cells of a table that is read as a whole
IN_MEMORY = 400_000_000  # bytes of rows that are kept as float32
_BATCH = 4096
_BUFFER = 2**14  # rows of files from which a batch is drawn


def read_if_small(table: TableFiles, y: Any) -> tuple[pa.Table | TableFiles, np.ndarray | None]:
    """A table of few cells and its labels, +1 and −1; a larger one as it is.

    Raises:
        ValueError: for labels beside those in the files, and those that are neither 0 and 1 nor +1
            and −1.
    """
    if y is not None:
        raise ValueError("labels of files are a column of them: open_table(pattern, label='name')")
    parts, cells = [], 0
    for chunk in table.batches():
        parts.append(chunk)
        cells += chunk.table.num_rows * chunk.table.num_columns
        if cells > SMALL:
            return table, None
    rows, labels = table.joined(parts)
    return rows, None if labels is None else np.where(abnormal_rows(labels), -1, 1)


def abnormal_rows(labels: np.ndarray) -> np.ndarray:
    """Which rows are abnormal by the labels of files, (rows,) bool: 0 and 1, or +1 and −1."""
    if (labels == 1).all():
        raise ValueError(
            "all labels are 1, which is abnormal among 0 and 1, and normal among +1 and -1; leave "
            "label= out if all rows are normal"
        )
    return read_labels(labels, len(labels)).abnormal


def numbers_alone(names: Any) -> Schema:
    """The schema of columns of numbers, none of which may be missing."""
    return Schema(tuple(Number(name, 0.0) for name in names), 0)


class TableRows:
    """The rows of table files as numbers, (width,) each: some to train on, some to decide by.

    A random number of each row, by the seed and its place among all rows, says what it is for. Its
    codes, one a column, are kept as float32 if they take no more than 400 MB, those of numbers as
    differences from what is usual, taken and undone in float64, so that great offsets keep their
    digits. Else every pass reads the files again, in constant memory.

    Attributes:
        schema: of the rows to train on.
        trained: number of rows to train on.
        abnormal: which of the rows to decide by are, or None.
        weight: normal rows for each one to decide by.
    """

    def __init__(
        self, table: TableFiles, holdout: float, seed: int, learner: Learner | None, most: float
    ):
        """Learn the schema, and read the rows.

        Args:
            table: the files.
            holdout: share of the normal rows to decide by; with 0 all rows are for both.
            seed: of the choice.
            learner: learns the schema; None where nothing is trained, and all are numbers.
            most: number of rows to train on, at most; of more a random part is taken.
        """
        self._table, self._holdout, self._seed = table, holdout, seed
        self._share = 1.0
        labels = table.labels()
        self._abnormal = None if labels is None else abnormal_rows(labels)
        first = normal = training = held = 0
        for chunk in table:
            rows = len(chunk)
            chosen, known = self._parts(first, rows)
            if learner is not None:
                learner.see(chunk, chosen)
            training += int(chosen.sum())
            held += int(known.sum())
            normal += rows
            first += rows
        abnormal = 0 if self._abnormal is None else int(self._abnormal.sum())
        if not training or held <= (abnormal if holdout else 0):
            raise ValueError(
                f"{normal - abnormal} normal rows are too few to hold out a share of {holdout:g}; "
                f"give more, or holdout=0"
            )
        schema = numbers_alone(table.names) if learner is None else learner.schema()
        self.schema = schema
        self._usual = np.array([getattr(column, "fill", 0.0) for column in schema.columns])
        self._share = min(1.0, most / max(1, training))
        self.abnormal = self._abnormal
        if self._abnormal is not None and holdout:
            known = np.concatenate([
                self._parts(start, min(_BATCH, first - start))[1]
                for start in range(0, first, _BATCH)
            ])  # fmt: skip
            self.abnormal = self._abnormal[known]
        self.weight = (normal - abnormal) / (held - abnormal)
        kept = training * self._share + held
        self._kept = self._read() if 4 * kept * len(self._usual) <= IN_MEMORY else None
        self.trained = len(self._kept[0]) if self._kept else round(training * self._share)

    @property
    def shape(self) -> tuple[int]:
        """Of one row."""
        return (len(self.schema.outputs),)

    @property
    def plain(self) -> bool:
        """Whether the rows are those of the table, and their columns have its names."""
        units = [column for column in self.schema.columns if getattr(column, "unit", "")]
        return self.schema.plain and not units

    @property
    def feature_names_in_(self) -> tuple[str, ...] | None:
        """Names of the columns, if the rows are plain."""
        return self.schema.names if self.plain else None

    @property
    def rows(self) -> tf.data.Dataset:
        """Batches of the rows to train on, once."""
        return self._named(self._batches(0))

    @property
    def known(self) -> tf.data.Dataset:
        """Batches of the rows to decide by, once."""
        return self._named(self._batches(1))

    def training(self, batch_size: int, rows: float) -> tf.data.Dataset:
        """Batches for so many rows in all, those of each pass in another order."""
        steps = math.ceil(rows / batch_size)
        if self._kept is not None:
            epochs = range(math.ceil(rows / self.trained))
            batches = self._decoded(array_batches((self._kept[0],), _BATCH, True, epochs))
            batches = batches.rebatch(batch_size)
        else:
            batches = self._streamed(0).unbatch().shuffle(_BUFFER, self._seed)
            batches = batches.batch(batch_size).repeat()
        batches = batches.take(steps).apply(tf.data.experimental.assert_cardinality(steps))
        return self._named(batches.prefetch(tf.data.AUTOTUNE))

    def _batches(self, part: int) -> tf.data.Dataset:
        if self._kept is None:
            return self._streamed(part)
        return self._decoded(array_batches((self._kept[part],), _BATCH))

    def _decoded(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        columns = self.schema.columns

        def decode(kept: tf.Tensor) -> tf.Tensor:
            cells = tf.unstack(tf.cast(kept, tf.float64) + self._usual, axis=1)
            codes = {
                column.name: each if isinstance(column, Number) else tf.cast(each, tf.int64)
                for column, each in zip(columns, cells, strict=True)
            }
            return self.schema.numbers(codes)

        return batches.map(decode)

    def _streamed(self, part: int) -> tf.data.Dataset:
        def chunks() -> Iterator[np.ndarray]:
            for chunk, parts in self._chunks():
                yield self.schema.encode(chunk)[parts[part]]

        form = tf.TensorSpec((None, *self.shape), tf.float64)
        return tf.data.Dataset.from_generator(chunks, output_signature=form).filter(
            lambda x: tf.shape(x)[0] > 0
        )

    def _named(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        batches.feature_names_in_ = self.feature_names_in_
        return batches

    def _read(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The codes of the rows of both parts."""
        found: tuple[list[np.ndarray], list[np.ndarray]] = [], []
        for chunk, parts in self._chunks():
            codes = self.schema.codes(self.schema.cells(chunk))
            self.schema.check_missing(codes)
            with np.errstate(over="ignore"):  # what is infinite is refused later
                kept = np.stack([
                    (np.asarray(codes[column.name]) - usual).astype(np.float32)
                    for column, usual in zip(self.schema.columns, self._usual, strict=True)
                ], axis=1)  # fmt: skip
            for rows, part in zip(found, parts, strict=True):
                rows.append(kept[part])
        training, known = found
        with tf.device("CPU"):
            return tf.constant(_emptied(training)), tf.constant(_emptied(known))

    def _chunks(self) -> Iterator[tuple[pa.Table, tuple[np.ndarray, np.ndarray]]]:
        """The rows, and which of them are in each part."""
        first = 0
        for chunk in self._table:
            chosen, known = self._parts(first, len(chunk))
            if self._share < 1:
                chosen &= draws(first, len(chunk), self._seed + 1) < self._share
            yield chunk, (chosen, known)
            first += len(chunk)

    def _parts(self, first: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Which rows to train on, and which to decide by."""
        normal = np.ones(rows, bool)
        if self._abnormal is not None:
            normal = ~self._abnormal[first : first + rows]
        if not self._holdout:
            return normal, np.ones(rows, bool)
        held = draws(first, rows, self._seed) < self._holdout
        return normal & ~held, held | ~normal


def _emptied(parts: list[np.ndarray]) -> np.ndarray:
    """The parts as one array, each released when it was copied."""
    rows = sum(map(len, parts))
    whole = np.empty((rows, parts[0].shape[1]), np.float32)
    while parts:
        part = parts.pop()
        rows -= len(part)
        whole[rows : rows + len(part)] = part
    return whole
