"""What a detector is fitted on, in two parts: rows to train on, and rows that set its threshold."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from delvm_tf.detection import validation
from delvm_tf.detection.labels import Labels, training_labels
from delvm_tf.detection.table_rows import TableRows
from delvm_tf.inputs.arrays import as_array
from delvm_tf.inputs.batches import CheckedRows, inputs_of, shape_of_one, stream_names, stream_size
from delvm_tf.inputs.columns import names_of
from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.schema import Schema, arrow
from delvm_tf.schema.learning import Learner

Dates = Literal["refuse", "numbers"]


class Parts(abc.ABC):
    """Rows to train on, and rows that set the threshold.

    Attributes:
        shape: of one example.
        known: rows that set the threshold, as a model scores them.
        abnormal: which of these are, (n,) bool; None without labels.
        weight: normal rows for each one that sets the threshold.
        labels: of all rows, where they were given beside them.
        schema: what the columns of a table are; None where they are numbers as they come.
    """

    shape: tuple[int, ...]
    known: Any
    abnormal: np.ndarray | None = None
    weight: float = 1.0
    labels: Labels | None = None
    schema: Schema | None = None

    @property
    @abc.abstractmethod
    def training(self) -> Any:
        """Rows to train on: checked ones, those of table files, or a stream."""

    @property
    def mean(self) -> np.ndarray | None:
        """Of all rows, (...); None where they were not looked at."""
        return None

    def for_learner(self, learner: Any) -> Any:
        """The rows to train on, as this estimator or model takes them."""
        return self.training


class ArrayParts(Parts):
    """Those of rows in one piece, an array or a table.

    Without a share of rows to hold out, all of them set the threshold, and none is trained on.
    """

    def __init__(
        self, estimator: Any, X: Any, y: Any, share: float | None, seed: int, needed: bool,
        least: int, dates: Dates, units: Mapping[str, str] | None,
    ):  # fmt: skip
        """Check the rows, read the labels and divide.

        Args:
            estimator: is told what it was fitted on.
            X: the rows, (n, ...).
            y: labels, (n,), or None.
            share: of the normal rows, to be held out; None where nothing is trained.
            seed: of what is held out.
            needed: whether there have to be labels.
            least: the fewest rows allowed.
            dates: see `learn_schema`.
            units: see `learn_schema`.
        """

        def normal(n: int) -> np.ndarray:
            read = training_labels(y, n, needed)
            return np.arange(n) if read is None else np.flatnonzero(~read.abnormal)

        if share is not None:
            held_out = share
            self.schema = _learned_schema(
                X, lambda n: _parted_rows(normal(n), held_out, seed)[0], dates, units
            )
            X = X if self.schema is None else self.schema.encode(X)
        self._array = validation.checked(estimator, X, reset=True, rows=least)
        self._named = validation.with_names(X, self._array)
        self.shape = self._array.shape[1:]
        self.labels = training_labels(y, len(self._array), needed)
        self.abnormal = None if self.labels is None else self.labels.abnormal
        self.known = self._named
        if share is not None:
            self._hold_out(*_parted_rows(normal(len(self._array)), share, seed))

    def _hold_out(self, trained: np.ndarray, held: np.ndarray) -> None:
        """Abnormal rows are not trained on, and all of them are there to set the threshold."""
        self._trained = trained
        rows = len(self._array) if self.abnormal is None else np.sum(~self.abnormal)
        self.weight = rows / max(len(held), 1)
        if self.abnormal is not None:
            held = np.sort([*held, *np.flatnonzero(self.abnormal)])
            self.abnormal = self.abnormal[held]
        self.known = validation.rows_of(self._named, held)

    @property
    def training(self) -> CheckedRows:
        """Rows to train on."""
        return CheckedRows(self._array[self._trained], names_of(self._named))

    @property
    def mean(self) -> np.ndarray:
        """Of all rows."""
        return self._array.mean(axis=0, dtype=np.float64)

    def for_learner(self, learner: Any) -> Any:
        """A data frame for scikit-learn's estimators, where the rows came as one."""
        if isinstance(learner, ReconstructionModel):
            return self.training
        return validation.rows_of(self._named, self._trained)

    def check_agreement(self, fitted: Any) -> None:
        """Compare the columns with those of an estimator that looks at no names itself."""
        validation.check_agreement(fitted, self._named, self._array)


class StreamParts(Parts):
    """Those of a stream, all of whose rows are normal."""

    def __init__(
        self, estimator: Any, stream: Any, y: Any, share: float | None,
        units: Mapping[str, str] | None,
    ):  # fmt: skip
        """Check and divide.

        Args:
            estimator: is told what it was fitted on.
            stream: batches of rows.
            y: must be None.
            share: of the rows, to be held out; None where nothing is trained.
            units: must be None where something is trained.
        """
        if share is not None:
            _refuse_units(units, stream)
        if y is not None:
            raise ValueError("labels go with arrays; of a data set all rows count as normal")
        if isinstance(stream, tf.data.Dataset):
            if stream.cardinality() == tf.data.INFINITE_CARDINALITY:
                raise ValueError("the data set is infinite; give a part of it: ds.take(1000)")
        elif share:
            raise TypeError(
                f"no rows can be held out of a {type(stream).__name__}; pass a tf.data.Dataset or "
                f"an array, or holdout=0"
            )
        _remember_columns(estimator, stream)
        self.shape = _shape_of(stream)
        self._training, self.known = parted_stream(stream, share or 0)

    @property
    def training(self) -> Any:
        """A stream of the rows that are not held out."""
        return self._training


class FileParts(Parts):
    """Those of files of tables."""

    def __init__(self, estimator: Any, rows: TableRows):
        """Take over what was read.

        Args:
            estimator: is told what it was fitted on.
            rows: of the files, with the labels in them.
        """
        self._rows, self.known = rows, rows.known
        _remember_columns(estimator, self.known)
        self.shape = rows.shape
        self.schema = None if rows.plain else rows.schema
        self.abnormal, self.weight = rows.abnormal, rows.weight

    @property
    def training(self) -> TableRows:
        """The files' rows."""
        return self._rows


def _remember_columns(estimator: Any, stream: Any) -> None:
    estimator.n_features_in_ = stream_size(stream)
    names = stream_names(stream)
    for attribute in ("_shape_in", "feature_names_in_"):
        vars(estimator).pop(attribute, None)
    if names is not None:
        estimator.feature_names_in_ = np.asarray(names, object)


def _refuse_units(units: Mapping[str, str] | None, X: Any) -> None:
    if units:
        raise ValueError(f"units go with tables with named columns, got {type(X).__name__}")


def _shape_of(stream: Any) -> tuple[int, ...]:
    """Shape of one example of a stream."""
    shape = shape_of_one(stream)
    if shape is None:
        first = next(iter(stream)) if isinstance(stream, tf.data.Dataset) else stream[0]
        shape = tuple(as_array(inputs_of(first)).shape)[1:]
    return shape


def _parted_rows(rows: np.ndarray, share: float, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of rows to train on, and of those held out, both in order.

    Raises:
        ValueError: if there are too few for both.
    """
    if not share:
        return rows, rows
    held = max(1, round(share * len(rows)))
    if held >= len(rows):
        raise ValueError(
            f"{len(rows)} normal examples are too few to hold out a share of {share:g}; "
            f"give more, or holdout=0"
        )
    order = np.random.default_rng(seed).permutation(rows)
    return np.sort(order[held:]), np.sort(order[:held])


def _learned_schema(
    X: Any,
    rows: Callable[[int], np.ndarray],
    dates: Dates,
    units: Mapping[str, str] | None,
) -> Schema | None:
    """The schema of a table with text, dates, missing cells or units, from the rows to train on.

    Args:
        X: what `fit` was given.
        rows: numbers of the rows to train on, given how many there are.
        dates: see `learn_schema`.
        units: see `learn_schema`.
    """
    if not arrow.is_table(X):
        _refuse_units(units, X)
        return None
    table = arrow.as_table(X)
    if arrow.is_plain(table) and not units:
        return None
    training = np.zeros(table.num_rows, bool)
    training[rows(table.num_rows)] = True
    learner = Learner(dates, units=units, whole=True)
    learner.see(table, training)
    return learner.schema()


def parted_stream(stream: Any, share: float) -> tuple[Any, Any]:
    """A batched `tf.data.Dataset` to train on, and one of the rows held out.

    A hash of its values decides where a row belongs, and so neither the order, which may be another
    in each epoch, nor the length of the stream plays a part; equal rows stay together.
    """
    if not share:
        return stream, stream

    def part(wanted: bool) -> Any:
        def chosen(*element: Any) -> tf.Tensor:
            x = inputs_of(element if len(element) > 1 else element[0])
            return tf.boolean_mask(x, (_place(x) < share) == wanted)

        made = stream.map(chosen).filter(lambda x: tf.shape(x)[0] > 0)
        made.feature_names_in_ = getattr(stream, "feature_names_in_", None)
        return made

    return part(False), part(True)


def _place(x: tf.Tensor) -> tf.Tensor:
    """A number between 0 and 1 for each row, (batch,): the high bits of Σⱼ aⱼ xⱼ modulo 2⁶⁴."""
    values = tf.reshape(tf.cast(x, tf.float32), (tf.shape(x)[0], -1))
    bits = tf.cast(tf.bitcast(values, tf.int32), tf.int64)
    limits = tf.int64.min, tf.int64.max
    factors = tf.random.stateless_uniform((tf.shape(bits)[1],), (0, 1), *limits, tf.int64)
    total = tf.bitcast(tf.reduce_sum(bits * factors, axis=1), tf.uint64)
    high = tf.cast(tf.bitwise.right_shift(total, tf.constant(40, tf.uint64)), tf.float32)
    return high / 2.0**24
