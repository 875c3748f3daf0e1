"""The order of the rows, epoch by epoch, where it must not depend on the process."""

import json
import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.training.backups import METADATA


class ShuffledEpochs(NamedTuple):
    """All epochs of a run as one stream.

    Attributes:
        dataset: batches of x, (x, y) or (x, y, sample_weight).
        steps: batches of an epoch.
    """

    dataset: tf.data.Dataset
    steps: int


def shuffled_epochs(
    x: Any, y: Any, sample_weight: Any, batch_size: int, first: int, last: int
) -> ShuffledEpochs:
    """Rows in an order of each epoch that depends on nothing but its number.

    So all workers agree on it, and an interrupted run goes on as if nothing had happened.

    Args:
        x: array of inputs.
        y: labels, or None.
        sample_weight: weights, or None.
        batch_size: rows of a step, over all replicas.
        first: number of the first epoch, from 0.
        last: number of the epoch after the last.
    """
    with tf.device("CPU"):
        # Tensors, which the graph of the data refers to; it would hold a copy of NumPy's arrays,
        # and graphs end at 2 GB.
        parts = [p if isinstance(p, tf.Tensor) else tf.convert_to_tensor(np.asarray(p))
                 for p in (x, y, sample_weight) if p is not None]  # fmt: skip
    rows = len(parts[0])

    def batches(epoch: tf.Tensor) -> tf.data.Dataset:
        seed = tf.stack([tf.constant(0, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(rows), seed)
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size)

    def take(index: tf.Tensor) -> Any:
        taken = tuple(tf.gather(part, index) for part in parts)
        return taken[0] if len(taken) == 1 else taken

    dataset = tf.data.Dataset.range(first, max(last, first + 1)).flat_map(batches)
    dataset = dataset.map(take, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return ShuffledEpochs(dataset, math.ceil(rows / batch_size))


def backed_up_epoch(callbacks: Sequence[Any]) -> int:
    """Epochs that `BackupAndRestore` will find done; 0 without a backup."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            # Keras writes to addresses such as gs:// too.
            written = tf.io.gfile.join(os.fspath(callback.backup_dir), METADATA)
            try:
                with tf.io.gfile.GFile(written) as file:
                    return int(json.loads(file.read())["epoch"])
            except (tf.errors.NotFoundError, OSError, ValueError, KeyError):
                return 0
    return 0
