"""The callbacks of a run, and what they ask of it."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf.distribution.chief import callbacks_of_worker, has_several_workers
from delvm_tf.training.backups import backed_up_epoch, check_paths
from delvm_tf.training.divergence import DivergenceGuard


class RunCallbacks:
    """The callbacks of a run: a guard, and of several workers' those of this one.

    Args:
        callbacks: as for `keras.Model.fit`.
        strategy: of the model.

    Attributes:
        callbacks: for Keras.
        numbers_epochs: whether the order of rows must depend on the number of the epoch alone.
        resumed_epoch: epochs that a backup will find done.
    """

    def __init__(self, callbacks: Any, strategy: tf.distribute.Strategy):
        made = isinstance(callbacks, keras.callbacks.CallbackList)
        listed = callbacks.callbacks if made else callbacks
        listed = list(listed) if isinstance(listed, list | tuple) else [listed]
        listed = [callback for callback in listed if callback is not None]
        for callback in listed:
            check_paths(callback)
        workers = has_several_workers(strategy)
        backed_up = any(isinstance(c, keras.callbacks.BackupAndRestore) for c in listed)
        self.numbers_epochs = workers or backed_up
        self.resumed_epoch = backed_up_epoch(listed)
        if not any(isinstance(callback, DivergenceGuard) for callback in listed):
            listed = [DivergenceGuard(), *listed]
        listed = callbacks_of_worker(listed) if workers else listed
        self.callbacks = callbacks if made else listed
