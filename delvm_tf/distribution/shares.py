"""Which rows of the global batch a replica holds, also where a batch cannot be split evenly."""

import threading
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf


class Share(AbstractContextManager["Share"]):
    """A replica's rows of a global batch; as a context, what random numbers are drawn for.

    Args:
        start: rows of the replicas before it.
        total: rows of all replicas.

    Attributes:
        start, total: as given.
    """

    _current = threading.local()  # replicas of one process are traced in threads of their own

    def __init__(self, start: Any, total: Any):
        self.start = start
        self.total = total

    def __enter__(self) -> "Share":
        self._outer = Share.current()
        Share._current.share = self
        return self

    def __exit__(self, *unused: Any) -> None:
        Share._current.share = self._outer

    @classmethod
    def current(cls) -> "Share | None":
        """The innermost share that is in use as a context."""
        return getattr(cls._current, "share", None)


def replica() -> tuple[Any, int]:
    """Which replica this is, and how many there are."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 0, 1
    number = tf.cast(context.replica_id_in_sync_group, tf.int32)
    return number, context.num_replicas_in_sync


def even_share(rows: Any) -> Share:
    """The share of a replica when all hold as many rows."""
    number, replicas = replica()
    return Share(number * rows, replicas * rows)


def share_of_batch(x: tf.Tensor) -> Share:
    """The share that x, (rows, ...), is.

    TensorFlow cuts a global batch into pieces of one size, so that of a last, smaller batch some
    replicas get less, or nothing. Cost: one reduction of as many integers as there are replicas,
    unless the number of rows is known when the step is traced.
    """
    number, replicas = replica()
    rows = tf.shape(x)[0]
    if replicas == 1 or x.shape[0] is not None:
        return even_share(rows)
    counts = tf.one_hot(number, replicas, on_value=rows, off_value=0, dtype=tf.int32)
    counts = tf.distribute.get_replica_context().all_reduce("SUM", counts)
    before = tf.range(replicas) < number
    return Share(tf.reduce_sum(tf.where(before, counts, 0)), tf.reduce_sum(counts))


def at_least_one_row(x: tf.Tensor) -> tf.Tensor:
    """A row of zeros in place of no row, which a replica may get of a last batch; else x."""
    if replica()[1] == 1 or x.shape[0] is not None:
        return x
    missing = tf.maximum(1 - tf.shape(x)[0], 0)
    paddings = [[0, missing]] + [[0, 0]] * (x.shape.rank - 1)
    return tf.ensure_shape(tf.pad(x, paddings), x.shape)


def mean_over_replicas(values: tf.Tensor) -> tf.Tensor:
    """The mean of a tensor over replicas, through which gradients flow."""
    if replica()[1] == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce("MEAN", values)


def true_in_all(condition: tf.Tensor) -> tf.Tensor:
    """Whether a condition, a scalar, holds in all replicas. Cost: one reduction of a number."""
    if replica()[1] == 1:
        return condition
    context = tf.distribute.get_replica_context()
    return context.all_reduce("SUM", tf.cast(~condition, tf.float32)) < 0.5
