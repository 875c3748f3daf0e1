"""Arrays in memory as batches of any type, in the order that an epoch has."""

from typing import Any

import numpy as np
import tensorflow as tf


def array_batches(
    parts: tuple[Any, ...],
    batch_size: int,
    shuffle: bool | str = False,
    epochs: range | None = None,
) -> tf.data.Dataset:
    """Batches of rows: x, (x, y) or (x, y, sample_weight).

    Keras's own reader rounds float64 to `keras.config.floatx()` before a model sees it, so that one
    with a large offset loses its digits; this one leaves types alone. Rows have the order of
    Keras's reader for the same seed, unless the epochs are given: then the order depends on the
    number of the epoch alone, so that all workers agree on it, and an interrupted run goes on as if
    nothing had happened.

    Args:
        parts: x, and labels and weights where there are some, all of n rows.
        batch_size: rows of a step, over all replicas.
        shuffle: whether each epoch has an order of its own; `"batch"` shuffles within batches.
        epochs: numbers of the epochs, which then follow each other in one pass over the data.
    """
    with tf.device("CPU"):
        # Tensors, which the graph of the data refers to; it would hold a copy of NumPy's arrays,
        # and graphs end at 2 GB.
        tensors = [p if isinstance(p, tf.Tensor) else tf.constant(np.asarray(p)) for p in parts]
    rows = len(tensors[0])
    whole = rows - rows % batch_size  # in batches of one size, which is then known beforehand

    def order(epoch: tf.Tensor) -> tf.Tensor:
        index = tf.range(rows, dtype=tf.int64)
        if not shuffle or shuffle == "batch":
            return index
        if epochs is None:
            return tf.random.shuffle(index)
        return tf.random.experimental.stateless_shuffle(index, tf.stack([0, epoch]))

    def batches(index: tf.Tensor) -> tf.data.Dataset:
        full = tf.data.Dataset.from_tensor_slices(tf.reshape(index[:whole], (-1, batch_size)))
        rest = tf.data.Dataset.from_tensors(index[whole:])
        return full if whole == rows else full.concatenate(rest)

    def take(index: tf.Tensor) -> Any:
        taken = tuple(tf.gather(tensor, index) for tensor in tensors)
        return taken[0] if len(taken) == 1 else taken

    first, last = (0, 1) if epochs is None else (epochs.start, max(epochs.stop, epochs.start + 1))
    orders = tf.data.Dataset.range(first, last).map(order).prefetch(1)
    indices = orders.flat_map(batches)
    if shuffle == "batch":  # one after the other, or the order would not be that of the seed
        indices = indices.map(tf.random.shuffle)
    dataset = indices.map(take, num_parallel_calls=tf.data.AUTOTUNE)
    count = -(-rows // batch_size) * (last - first)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False  # they take longer
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)
