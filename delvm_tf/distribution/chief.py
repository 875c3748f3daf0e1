"""Which of several workers writes: the chief, and the others only read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.distribution.cluster import LOST_WORKER, WorkerLost, cluster

# What these do is to write; training is the same without them.
_WRITERS = (
    keras.callbacks.ModelCheckpoint, keras.callbacks.CSVLogger, keras.callbacks.TensorBoard,
)  # fmt: skip


def has_several_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether processes of several machines train together."""
    mirrored = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return mirrored and strategy.num_replicas_in_sync > len(strategy.extended.worker_devices)


@contextmanager
def lost_workers_named(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Say in words that another worker was lost.

    Raises:
        WorkerLost: in place of TensorFlow's errors, if there are several workers.
    """
    try:
        yield
    except LOST_WORKER as error:
        if has_several_workers(strategy):
            raise WorkerLost(cluster(), error) from error
        raise


def writes_files(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes what workers share; so does the chief, or a process alone."""
    return not has_several_workers(strategy) or cluster().is_chief


class RestoreOnly(keras.callbacks.Callback):
    """Restores what the chief has backed up, and writes nothing itself.

    Args:
        backup: the callback that the chief has.
    """

    def __init__(self, backup: keras.callbacks.BackupAndRestore):
        super().__init__()
        self.backup = backup

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore; all else is left to the chief."""
        self.backup.set_model(self.model)
        self.backup.on_train_begin(logs)


def callbacks_of_worker(callbacks: list[Any]) -> list[Any]:
    """The callbacks of this worker: all on the chief, on the others those that do not write.

    Callbacks of one's own are kept unless they have an attribute `chief_only` that is true.
    """
    if cluster().is_chief:
        return callbacks
    kept = []
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            kept.append(RestoreOnly(callback))
        elif not isinstance(callback, _WRITERS) and not getattr(callback, "chief_only", False):
            kept.append(callback)
    return kept
