"""A Keras model that several workers can train."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.distribution.chief import callbacks_of_worker, has_several_workers, writes_files
from delvm_tf.distribution.cluster import LOST_WORKER, WorkerLost, cluster
from delvm_tf.inputs import batches as inputs
from delvm_tf.storage.checkpoints import Checkpointed
from delvm_tf.storage.ownership import whole
from delvm_tf.storage.paths import local_path
from delvm_tf.training.backups import check_paths
from delvm_tf.training.epochs import backed_up_epoch, shuffled_epochs
from delvm_tf.training.fit_arguments import unpacked
from delvm_tf.training.wide_arrays import WideArrays


class WorkerTraining(Checkpointed, WideArrays):
    """A `keras.Model` whose `fit`, `evaluate` and `save` also work among several workers.

    `tf.distribute.MultiWorkerMirroredStrategy` fails with Keras 3: metrics are reduced along an
    axis that they do not have, and data are averaged to build the model. What overrides that here
    is private in Keras, so tests of several processes guard it.
    """

    def compile(self, optimizer: Any = "adam", **kwargs: Any) -> None:
        """As `keras.Model.compile`, in the scope of the model's strategy.

        Outside of it trackers would be each worker's own, and so would the reported losses. An
        optimizer that was made outside is made again, for it could not be used.
        """
        with self.distribute_strategy.scope():
            made_under = getattr(optimizer, "_distribution_strategy", self.distribute_strategy)
            if made_under is not self.distribute_strategy and not optimizer.built:
                optimizer = type(optimizer).from_config(optimizer.get_config())
            super().compile(optimizer=optimizer, **kwargs)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        epochs: int = 1,
        callbacks: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Train; arguments as for `keras.Model.fit`.

        With several workers, or a `BackupAndRestore` among the callbacks, the order of an array's
        rows depends only on the number of the epoch. Of several workers only the chief's callbacks
        write.

        Raises:
            WorkerLost: if another worker cannot be reached any more.
        """
        workers = has_several_workers(self.distribute_strategy)
        made = isinstance(callbacks, keras.callbacks.CallbackList)
        for callback in callbacks.callbacks if made else callbacks or ():
            check_paths(callback)
        if isinstance(callbacks, list):
            callbacks = callbacks_of_worker(callbacks) if workers else callbacks
            backed_up = any(isinstance(c, keras.callbacks.BackupAndRestore) for c in callbacks)
            if (workers or backed_up) and inputs.is_array(x) and _shuffled_by_keras(kwargs):
                first = backed_up_epoch(callbacks) or kwargs.get("initial_epoch", 0)
                x, steps = shuffled_epochs(x, y, sample_weight, batch_size or 32, first, epochs)
                y, sample_weight = None, None
                kwargs |= {"steps_per_epoch": steps, "shuffle": False}
        try:
            return super().fit(
                x, y, batch_size=batch_size, epochs=epochs, callbacks=callbacks,
                sample_weight=sample_weight, **kwargs,
            )  # fmt: skip
        except LOST_WORKER as error:
            if workers:
                raise WorkerLost(cluster(), error) from error
            raise

    def _get_metrics_result_or_logs(self, logs: Any) -> Any:
        """Metrics over all replicas, of the names in `logs`, which are those of the last step."""
        results = self.get_metrics_result()
        return {name: results[name] for name in logs} if set(logs) <= set(results) else logs

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Write the model as `keras.Model.save` does; of several workers the chief does.

        On this machine `~` is expanded, and the file is written whole or not at all.

        Raises:
            ValueError: for an `.h5` file, from which Keras cannot load such a model.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"{type(self).__name__} cannot be saved as {filepath}, for Keras could not load it "
                f"again; choose a name that ends in .keras, or save_weights to .weights.h5"
            )
        if writes_files(self.distribute_strategy):
            with _written(filepath, overwrite, str(filepath).endswith(".keras")) as (path, over):
                super().save(path, overwrite=over, **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Write the weights as `save_weights` of Keras does; of several workers the chief does.

        On this machine `~` is expanded, and the file is written whole or not at all.
        """
        if writes_files(self.distribute_strategy):
            with _written(filepath, overwrite, str(filepath).endswith(".weights.h5")) as (
                path,
                over,
            ):
                super().save_weights(path, overwrite=over, **kwargs)

    def load_weights(self, filepath: Any, **kwargs: Any) -> None:
        """Read weights as `load_weights` of Keras does; `~` is expanded."""
        super().load_weights(os.path.expanduser(filepath), **kwargs)

    def _make_function(self, step_function: Any) -> Any:
        """What `fit` and `evaluate` call; it reduces all metrics of a step at once.

        Keras reduces each of them by itself, along an axis that numbers do not have. And where a
        stream of unknown length ends, it runs what of a step does not depend on the data: it counts
        a step of the optimizer that never was. So here all of a step waits for its data.
        """

        def step(data: Any) -> Any:
            given = [part for part in tf.nest.flatten(data) if tf.is_tensor(part)]
            with tf.control_dependencies(given):
                return step_function(data)

        if not has_several_workers(self.distribute_strategy):
            return super()._make_function(step)
        names: list[str] = []

        def packed_step(data: Any) -> tf.Tensor:
            logs = step(data)
            names[:] = list(logs)
            return tf.stack([tf.cast(value, tf.float32) for value in logs.values()])[tf.newaxis]

        packed = super()._make_function(packed_step)
        return lambda iterator: dict(zip(names, tf.unstack(packed(iterator)), strict=True))

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Create the weights and those of compiled metrics before a strategy traces the step.

        Keras takes the mean of the replicas' data for that, which fails among workers, and gives
        metrics the reconstruction in place of its error.
        """
        if self._distribute_strategy is None:
            return
        if iterator is not None:
            data_batch = next(next(batches) for _, _, batches in iterator)
        x, y, _ = unpacked(data_batch)
        with self.distribute_strategy.scope():
            x = _local_value(x)
            if not self.built:
                self.build(tuple(x.shape))
            if self.optimizer is not None and not self.optimizer.built:
                self.optimizer.build(self.trainable_variables)
            if self._compile_metrics is not None and y is not None:
                y = _local_value(y)
                self._compile_metrics.build(y, tf.zeros((y.shape[0], 1)))


@contextlib.contextmanager
def _written(filepath: Any, overwrite: bool, one_file: bool) -> Iterator[tuple[Any, bool]]:
    """Where Keras is to write, and whether over what is there.

    That is another name first, for one file of this machine. Keras itself writes to addresses such
    as `gs://`, several files, and over a file that it must ask about. `Path("gs://bucket")` is no
    address any more, and refused.
    """
    path = os.fspath(filepath)
    if "://" in path:
        yield path, overwrite
        return
    path = str(local_path(path, "filepath"))
    asks = not overwrite and os.path.exists(path)
    if asks or not one_file or not os.path.isdir(os.path.dirname(path) or "."):
        yield path, overwrite
        return
    with whole(Path(path)) as partial:
        yield str(partial), True


def _shuffled_by_keras(arguments: dict[str, Any]) -> bool:
    others = ("steps_per_epoch", "validation_split", "class_weight")
    return arguments.get("shuffle", True) is True and not any(arguments.get(o) for o in others)


def _local_value(values: Any) -> tf.Tensor:
    """What the first replica of this process has of values for all replicas."""
    return tf.distribute.get_strategy().experimental_local_results(values)[0]
