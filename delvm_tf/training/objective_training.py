"""A Keras model that learns by an objective: its entries, each of which checks what it is given."""

import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf import keras_private
from delvm_tf.distribution.chief import has_several_workers, lost_workers_named, writes_files
from delvm_tf.distribution.shares import at_least_one_row
from delvm_tf.inputs.arrays import as_array, is_array
from delvm_tf.metrics.allowed import check_metrics
from delvm_tf.metrics.ranking import RankingMetric
from delvm_tf.objectives.objective import Objective
from delvm_tf.storage.model_files import written
from delvm_tf.training import fit_arguments, step
from delvm_tf.training.custom_objects import loading_error, warn_of_unknown
from delvm_tf.training.divergence import RunHealth
from delvm_tf.training.received import (
    Received,
    build_for,
    names_of_first,
    received,
    require_adapted,
    require_ready,
)
from delvm_tf.training.run_callbacks import RunCallbacks


class ObjectiveTraining(keras_private.Model):
    """A `keras.Model` whose loss is an `Objective` of the normalised inputs.

    Each entry reads and checks its data once (`received`), and hands batches to Keras, which calls
    `train_step` or `test_step` on them. A subclass gives `normalization`, `normalized`,
    `input_shape_or_none` and `feature_names_in_`.

    Args:
        objective: how the model is learned.
        **kwargs: `name` and `dtype` of the `keras.Model`.
    """

    built: bool
    trainable: bool
    normalization: Any
    input_shape_or_none: Any

    def __init__(self, objective: Objective, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        self.check_objective(objective)
        self.objective = objective
        self.trackers = _trackers_of(objective)
        self.run_health = RunHealth()

    # The objective.

    def check_objective(self, objective: Any) -> None:
        """Refuse an objective that makes no sense for this model.

        Raises:
            TypeError: the message says why, and what to use instead.
        """
        if not isinstance(objective, Objective):
            raise TypeError(
                f"objective must be an Objective such as dv.ScoreMatching(), got {objective!r}"
            )
        objective.check_model(self)

    def use_objective(self, objective: Objective) -> None:
        """Learn by another objective from now on; `compile(objective=...)` calls this.

        Weights and normalisation stay. Chains and random generators belong to an objective, so
        those of the old one are gone with it. If it fails, the model stays as it was.

        Raises:
            TypeError: if the objective makes no sense for the model.
        """
        self.check_objective(objective)
        if self.built:
            with self.distribute_strategy.scope():
                objective.build_for(self)
        with keras_private.layer_replaced(self, "objective", objective):
            self.trackers.clear()
            self.trackers.update(_trackers_of(objective))
        self.train_function = self.test_function = None  # their graphs hold the old one

    def compile(
        self, optimizer: Any = "adam", objective: Objective | None = None, **kwargs: Any
    ) -> None:
        """Choose the optimizer and, if wanted, the objective and metrics.

        The loss is the objective: the one given here, or else the one that the model has. It is
        saved with the model.

        Metrics given here compare the labels y with the reconstruction error of each example, which
        has no upper end: `dv.metrics.AUROC()` and `dv.metrics.AveragePrecision()` rank it. These
        two are reported at the end of an epoch or of `evaluate`, not batch by batch. Training data
        without labels are left out of metrics if the validation data have some.

        Args:
            optimizer: a Keras optimizer or its name. One that was made outside of the model's
                strategy is made again, for it could not be used.
            objective: how the model is learned from now on, in place of the objective that it has;
                by default that stays.
            **kwargs: as for `keras.Model.compile`, without `loss` and `loss_weights`.

        Raises:
            TypeError: if the objective makes no sense for the model.
            ValueError: for a loss, or metrics of probabilities or classes, such as
                `keras.metrics.AUC` or accuracy.
        """
        if kwargs.get("loss") is not None or kwargs.get("loss_weights") is not None:
            raise ValueError(
                "the loss of this model is its objective; pass objective=... to compile or when "
                "the model is made, and no loss"
            )
        for name in ("metrics", "weighted_metrics"):
            check_metrics(kwargs.get(name), name)
            kwargs[name] = kwargs.get(name) or None
        # In the scope, or trackers would be each worker's own, and so would the reported losses.
        with self.distribute_strategy.scope():
            optimizer = keras.optimizers.get(optimizer)
            if optimizer is not None and not optimizer.built:
                strategy = keras_private.strategy_of(optimizer)
                if strategy is not self.distribute_strategy:
                    optimizer = type(optimizer).from_config(optimizer.get_config())
            if objective is not None:
                self.use_objective(objective)
            keras_private.clear_metrics(self)
            super().compile(optimizer=optimizer, **kwargs)
            keras_private.compiled_metrics(self)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model as it was.

        Raises:
            ValueError: names what Keras does not know, such as a metric of a user's own.
        """
        try:
            arguments = keras.saving.deserialize_keras_object(config)
        except (TypeError, ValueError) as error:
            if told := loading_error(config, f"what {self.name} was compiled with", error):
                raise told from None
            raise
        self.compile(**arguments)
        self._build_optimizer()

    # The entries of Keras.

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Train the model; arguments as for `keras.Model.fit`.

        Labels play no part in unsupervised objectives, sample weights do. Data are checked first,
        and a `DivergenceGuard` watches the run unless one is among the callbacks. With
        several workers, or a `BackupAndRestore` among the callbacks, the order of an array's rows
        depends only on the number of the epoch; and only the chief's callbacks write. A model that
        needs no `adapt` takes the names of the columns from the x of its first `fit`.

        Raises:
            TypeError: if x does not hold real numbers.
            ValueError: if the model is not adapted, the names of the columns are others than those
                of `adapt`, or x is empty, of the wrong shape, or has a masked value, a NaN or
                infinity, or labels or weights have another length, weights are negative, or numbers
                of rows, steps or epochs are too small.
            TrainingDiverged: if training runs away; the model keeps its last good weights.
            WorkerLost: if another worker cannot be reached any more.
        """
        fit_arguments.check_counts(batch_size=batch_size, epochs=epochs, **kwargs)
        first = kwargs.get("initial_epoch", 0)
        fit_arguments.check_validation(validation_data, epochs - first, **kwargs)
        with names_of_first(self, x), lost_workers_named(self.distribute_strategy):
            data = received(self, x, y, sample_weight).weighed(class_weight)
            held_out = None
            if validation_data is not None:
                held_out = received(self, *_parts(validation_data))
            elif validation_split and data.in_memory:
                data, held_out = data.split(validation_split)
            self._require_labels(held_out or data)
            if data.sample_weight is not None:
                self._require_labels(data)
            self._prepare_to_train()
            run = RunCallbacks(callbacks, self.distribute_strategy)
            if data.in_memory:
                order = None
                if run.numbers_epochs and shuffle is True and not kwargs.get("steps_per_epoch"):
                    order = range(run.resumed_epoch or first, epochs)
                stream = data.batches(batch_size, kwargs.get("steps_per_epoch"), shuffle, order)
                if order is not None:
                    kwargs["steps_per_epoch"] = data.steps(batch_size)
            else:  # which Keras weighs, shuffles, and refuses to split
                stream = data.x
                # Of datasets and generators Keras would only warn that it does not shuffle them.
                shuffle = shuffle and isinstance(stream, keras.utils.PyDataset)
                kwargs |= {"class_weight": class_weight, "validation_split": validation_split}
            if held_out is not None:
                size = kwargs.get("validation_batch_size") or batch_size
                held_out = held_out.batches(size, kwargs.get("validation_steps"))
            try:
                return super().fit(
                    stream, epochs=epochs, verbose=verbose, callbacks=run.callbacks,
                    validation_data=held_out, shuffle=shuffle and not data.in_memory, **kwargs,
                )  # fmt: skip
            finally:
                keras_private.forget_resumed_epoch(self)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """The objective and metrics on data; arguments as for `keras.Model.evaluate`."""
        if keras_private.is_validation(kwargs):
            return super().evaluate(x, verbose=verbose, **kwargs)
        fit_arguments.check_counts(batch_size=batch_size, **kwargs)
        data = received(self, x, y, sample_weight)
        self._require_labels(data)
        batches = data.batches(batch_size, kwargs.get("steps"))
        return super().evaluate(batches, verbose=verbose, **kwargs)

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> np.ndarray:
        """Reconstructions in raw units; arguments as for `keras.Model.predict`."""
        batches = received(self, x).batches(batch_size, kwargs.get("steps"))
        return super().predict(batches, **kwargs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on a batch; arguments as for `keras.Model.train_on_batch`.

        As in training on a stream, a step whose x is not finite changes nothing.
        """
        with names_of_first(self, x):
            data = received(self, x, y, sample_weight, finite=False).weighed(class_weight)
            self._require_labels(data)
            self._prepare_to_train()
            return super().train_on_batch(
                data.x, data.y, data.sample_weight, return_dict=return_dict
            )

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The objective on a batch; arguments as for `keras.Model.test_on_batch`."""
        data = received(self, x, y, sample_weight)
        self._require_labels(data)
        return super().test_on_batch(*data[:3], return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """Reconstructions of a batch, in raw units."""
        return super().predict_on_batch(received(self, x).x)

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Reconstructions of a batch, in raw units, or a part of a graph."""
        if isinstance(x, keras.KerasTensor) or not tf.executing_eagerly():
            require_adapted(self)
            if tf.executing_eagerly():
                build_for(self, tuple(x.shape)[1:])
            return super().__call__(x, *args, **kwargs)
        if not is_array(x):
            as_array(x)  # raises, and says what to do
        # Keras calls the model with tensors where it has taken the names off.
        x = received(self, x, compare=not isinstance(x, tf.Tensor)).x
        return super().__call__(x, *args, **kwargs)

    def _require_labels(self, data: Received) -> None:
        if keras_private.compiled_metrics(self) and not data.labelled:
            raise ValueError(
                "the metrics given to compile compare labels with the reconstruction error, "
                "but the data hold no labels y"
            )

    def _prepare_to_train(self) -> None:
        """Refuse a frozen model, and create the optimizer's variables outside of any graph."""
        if self.built and not self.trainable_variables:
            raise ValueError(
                f"{self.name} has no trainable weights, so there is nothing to fit; set "
                f"trainable = True on the model or on some of its layers"
            )
        self._build_optimizer()

    def _build_optimizer(self) -> None:
        optimizer = getattr(self, "optimizer", None)
        if self.built and optimizer is not None and not optimizer.built:
            with self.distribute_strategy.scope():
                optimizer.build(self.trainable_variables)

    # What Keras calls.

    @property
    def ranking_metrics(self) -> list[RankingMetric]:
        """The compiled metrics that sort all scores, which would take too long at every step."""
        compiled = keras_private.compiled_metrics(self)
        return [metric for metric in compiled if isinstance(metric, RankingMetric)]

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of the optimizer on the objective; see `step.train_step`."""
        return step.train_step(self, data)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The objective and metrics on a batch, without training; see `step.test_step`."""
        return step.test_step(self, data)

    def predict_step(self, data: Any) -> tf.Tensor:
        """Reconstructions of a replica's rows of a batch, of which there may be none."""
        x = fit_arguments.unpacked(data)[0]
        return self(at_least_one_row(x))[: tf.shape(x)[0]]

    def make_function(self, function: Callable[[Any], Any], make: Callable[[Any], Any]) -> Any:
        """A step as a function of an iterator; see `step.step_function`."""
        workers = has_several_workers(self.distribute_strategy)
        return step.step_function(function, make, at_once=workers)

    def epoch_results(self, logs: dict[str, Any]) -> dict[str, Any]:
        """The metrics that the last step has, over all replicas, and those that rank."""
        results = self.get_metrics_result()
        if not set(logs) <= set(results):
            return logs
        ranked = [metric.name for metric in self.ranking_metrics if not metric.empty]
        return {name: results[name] for name in (*logs, *ranked)}

    def health(self) -> dict[str, float]:
        """What `DivergenceGuard` looks at, over the current epoch so far."""
        return self.run_health.numbers()

    # Files.

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Write the model as `keras.Model.save` does; of several workers the chief does.

        On this machine `~` is expanded, and the file is written whole or not at all. A warning
        names classes and functions that are not registered with Keras, without which it cannot be
        loaded.

        Raises:
            ValueError: for an `.h5` file, from which Keras cannot load such a model.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"{type(self).__name__} cannot be saved as {filepath}, for Keras could not load it "
                f"again; choose a name that ends in .keras, or save_weights to .weights.h5"
            )
        if writes_files(self.distribute_strategy):
            with written(filepath, overwrite, ".keras") as (path, over):
                super().save(path, overwrite=over, **kwargs)
            warn_of_unknown(self)

    def save_weights(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Write the weights as `save_weights` of Keras does; of several workers the chief does.

        On this machine `~` is expanded, and the file is written whole or not at all.
        """
        if writes_files(self.distribute_strategy):
            with written(filepath, overwrite, ".weights.h5") as (path, over):
                super().save_weights(path, overwrite=over, **kwargs)

    def load_weights(self, filepath: Any, **kwargs: Any) -> None:
        """Read weights as `load_weights` of Keras does; `~` is expanded."""
        super().load_weights(os.path.expanduser(filepath), **kwargs)

    def export(self, filepath: Any, format: str = "tf_saved_model", **kwargs: Any) -> None:
        """Write the reconstruction as a SavedModel with the endpoint `serve`, as Keras does.

        Inputs are float32 unless `input_signature` says otherwise. `dv.serving.export_saved_model`
        serves scores, features and decisions too.

        Raises:
            ValueError: if the model is not ready, or for another format.
        """
        if format != "tf_saved_model":
            other = "dv.serving.export_onnx(model, path)" if format == "onnx" else "a SavedModel"
            raise ValueError(
                f"{type(self).__name__} cannot be exported as {format!r} by Keras, whose file "
                f"would not run; use {other}"
            )
        require_ready(self, "exporting")
        shape, dtype = self.input_shape_or_none, self.normalization.result_dtype
        if kwargs.get("input_signature") is None:
            kwargs["input_signature"] = [keras.InputSpec(shape=(None, *shape), dtype=dtype)]
        self(tf.zeros((1, *shape), dtype))  # Keras wants a call where the signature tells all
        super().export(filepath, format, **kwargs)


def _parts(validation_data: Any) -> tuple[Any, ...]:
    """x, y and weights of what is given as `validation_data`."""
    if isinstance(validation_data, tuple | list) and validation_data:
        return keras.utils.unpack_x_y_sample_weight(tuple(validation_data))
    return (validation_data,)


def _trackers_of(objective: Objective) -> dict[str, keras.metrics.Metric]:
    """The means over an epoch of what training reports beside the loss."""
    names = (*objective.term_names, "reconstruction_error", "gradient_norm")
    return {name: keras.metrics.Mean(name=name) for name in names}
