"""Which of several workers writes: the chief, and the others only read."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf.distribution.cluster import cluster

# What these do is to write; training is the same without them.
_WRITERS = (
    keras.callbacks.ModelCheckpoint, keras.callbacks.CSVLogger, keras.callbacks.TensorBoard,
)  # fmt: skip


def has_several_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether processes of several machines train together."""
    mirrored = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return mirrored and strategy.extended._in_multi_worker_mode()


def writes_files(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes what workers share; so does the chief, or a process alone."""
    return not has_several_workers(strategy) or cluster().is_chief


class RestoreOnly(keras.callbacks.BackupAndRestore):
    """Restores what the chief has backed up, and writes nothing itself.

    Args:
        backup: the callback that the chief has.
    """

    def __init__(self, backup: keras.callbacks.BackupAndRestore):
        super().__init__(backup.backup_dir, save_freq=backup.save_freq)

    def _save_model(self) -> None:
        pass

    def on_train_end(self, logs: Any = None) -> None:
        """Leave the files to the chief."""


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
