"""Training a model on an objective by `fit`, with checks before and a watch during the run."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.distribution.shares import Share, at_least_one_row, share_of_batch, true_in_all
from delvm_tf.inputs import batches as inputs
from delvm_tf.metrics.allowed import check_metrics, flat_metrics
from delvm_tf.metrics.ranking import RankingMetric
from delvm_tf.objectives.objective import Objective, ObjectiveValue
from delvm_tf.training import fit_arguments
from delvm_tf.training.divergence import DivergenceGuard
from delvm_tf.training.updates import DeferredUpdates, evaluation_seeds, run_if
from delvm_tf.training.worker_training import WorkerTraining


class ObjectiveTraining(WorkerTraining):
    """A `keras.Model` whose loss is an `Objective` of the normalised inputs.

    Args:
        objective: how the model is learned.
        **kwargs: `name` and `dtype` of the `keras.Model`.
    """

    built: bool
    normalization: Any

    def __init__(self, objective: Objective, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        self.check_objective(objective)
        self.objective = objective
        self._trackers = _trackers_of(objective)
        self._health = {
            "nonfinite_inputs": keras.metrics.Sum(name="nonfinite_inputs"),
            "bad_weights": keras.metrics.Sum(name="bad_weights"),
            "nonfinite_steps": keras.metrics.Sum(name="nonfinite_steps"),
            "watched_error": keras.metrics.Mean(name="watched_error"),
            "watched_nothing": keras.metrics.Mean(name="watched_nothing"),
        }
        self._ranks = False  # whether a compiled metric does
        self._labels_optional = False  # in training, for validation has some
        self._evaluated = keras.metrics.Sum(name="evaluated_batches")

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
        tracker = self._tracker
        locked = tracker.locked  # since it was built, against layers that nobody would save
        tracker.unlock()
        try:
            # In the same place, for checkpoints and lists of weights go by the order of layers.
            tracker.replace_tracked_value("layers", self.objective, objective)
            self.objective = objective
            self._trackers.clear()
            self._trackers.update(_trackers_of(objective))
        finally:
            if locked:
                tracker.lock()
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
            optimizer: a Keras optimizer or its name.
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
        given = {name: kwargs.get(name) for name in ("metrics", "weighted_metrics")}
        for name, metrics in given.items():
            check_metrics(metrics, name)
            kwargs[name] = metrics or None
        self._ranks = any(
            isinstance(metric, RankingMetric) for metric in flat_metrics(list(given.values()))
        )
        optimizer = keras.optimizers.get(optimizer)
        if objective is not None:
            self.use_objective(objective)
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model as it was."""
        arguments = keras.saving.deserialize_keras_object(config)
        self.compile(**arguments)
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        epochs: int = 1,
        callbacks: Any = None,
        validation_data: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Train on data that `CheckedEntries` has read; arguments as for `keras.Model.fit`.

        Raises:
            ValueError: if labels or weights have another length, weights are negative, or numbers
                of rows, steps or epochs are too small.
            TrainingDiverged: if training runs away; the model keeps its last good weights.
        """
        fit_arguments.check_counts(batch_size=batch_size, epochs=epochs, **kwargs)
        runs = epochs - kwargs.get("initial_epoch", 0)
        fit_arguments.check_validation(validation_data, runs, **kwargs)
        fit_arguments.check_class_weight(kwargs.get("class_weight"), x, y)
        self._let_labels_lack(validation_data is not None)
        y, sample_weight = self._checked(x, y, sample_weight, self._labels_optional)
        if isinstance(validation_data, tuple | list) and validation_data:
            own = keras.utils.unpack_x_y_sample_weight(tuple(validation_data))
            validation_data = (own[0], *self._checked(*own))
        self._create_variables(x)
        try:
            return super().fit(
                x, y, batch_size=batch_size, epochs=epochs, callbacks=_guarded(callbacks),
                validation_data=validation_data, sample_weight=sample_weight, **kwargs,
            )  # fmt: skip
        finally:
            # Set by BackupAndRestore, and left there, so that the next fit would skip epochs.
            self._initial_epoch = None

    def _create_variables(self, x: Any) -> None:
        """Build model and optimizer outside of any graph, which TensorFlow would trace twice."""
        with self.distribute_strategy.scope():
            shape = inputs.shape_of_one(x)
            if not self.built and shape is not None:
                self.build((None, *shape))
            optimizer = getattr(self, "optimizer", None)
            if self.built and optimizer is not None and not optimizer.built:
                optimizer.build(self.trainable_variables)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """The objective and metrics on data; arguments as for `keras.Model.evaluate`."""
        fit_arguments.check_counts(batch_size=batch_size, **kwargs)
        y, sample_weight = self._checked(x, y, sample_weight)
        return super().evaluate(x, y, batch_size=batch_size, sample_weight=sample_weight, **kwargs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One training step on a batch; arguments as for `keras.Model.train_on_batch`."""
        fit_arguments.check_class_weight(class_weight, x, y)
        self._let_labels_lack(False)
        self._create_variables(x)
        return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)

    def _let_labels_lack(self, optional: bool) -> None:
        """Whether a training step without labels leaves out the metrics, as its graph does."""
        if optional != self._labels_optional:
            self._labels_optional = optional
            self.train_function = None

    def _checked(
        self, x: Any, y: Any, sample_weight: Any, labels_optional: bool = False
    ) -> tuple[Any, Any]:
        """Labels and weights after all checks of what is in memory, but for those of x itself.

        Labels are zeros in place of none where Keras would drop the weights for lack of them.
        """
        if not inputs.is_array(x):
            if not labels_optional and fit_arguments.is_unlabelled(x, y):
                self._require_no_metrics()
            return y, sample_weight
        y = fit_arguments.checked_labels(x, y, self._ranks)
        sample_weight = fit_arguments.checked_weights(x, sample_weight)
        if y is None and not labels_optional:
            self._require_no_metrics()
        if y is None and sample_weight is not None:
            self._require_no_metrics()
            y = np.zeros(len(x))
        return y, sample_weight

    def _require_no_metrics(self) -> None:
        if self._compile_metrics is not None:
            raise ValueError(
                "the metrics given to compile compare labels with the reconstruction error, "
                "but the data hold no labels y"
            )

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of the optimizer on the objective; a step that is not finite changes nothing."""
        x, y, sample_weight = fit_arguments.unpacked(data)
        z = self._normalize(x)
        variables = self.trainable_variables
        self._require_trainable(variables)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        share = share_of_batch(z)
        with tf.GradientTape() as tape:
            with DeferredUpdates() as updates:
                value = self._compute_share(z, share, training=True)
            sum_of_losses, regularization = self._loss_parts(value, sample_weight, updates.losses)
            # Replicas' gradients are summed, so each contributes its share.
            part = sum_of_losses / tf.cast(share.total, sum_of_losses.dtype)
            scaled = self.optimizer.scale_loss(part + regularization / replicas)
        loss = _mean_loss(sum_of_losses, regularization, value)
        gradients = tape.gradient(scaled, variables)
        norm = tf.linalg.global_norm([tf.cast(g, "float32") for g in gradients if g is not None])
        inputs_finite = tf.reduce_all(tf.math.is_finite(z))
        weights_sound = _sound_weights(sample_weight)
        sound = inputs_finite & weights_sound & tf.math.is_finite(loss)
        finite = true_in_all(sound & tf.math.is_finite(norm))
        self._update_if(finite, gradients, updates)

        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # Gradients that overflow are how it finds its scale, and no sign of divergence.
            norm /= self.optimizer.scale_loss(tf.ones((), norm.dtype))
        else:
            sound = finite
        norm = tf.where(finite, norm, 0.0)
        self._trackers["gradient_norm"].update_state(norm * replicas)
        self._health["nonfinite_inputs"].update_state(tf.cast(~inputs_finite, tf.float32))
        self._health["bad_weights"].update_state(tf.cast(~weights_sound, tf.float32))
        self._health["nonfinite_steps"].update_state(tf.cast(~sound, tf.float32))
        watched = value.watched or (value.reconstruction_error, sum_per_example(tf.square(z)))
        self._health["watched_error"].update_state(watched[0])
        self._health["watched_nothing"].update_state(watched[1])
        return self._update_metrics(loss, value, y, sample_weight, training=True)

    def _update_if(
        self, finite: tf.Tensor, gradients: list[tf.Tensor | None], updates: DeferredUpdates
    ) -> None:
        """Let the optimizer take its step and set what else the step sets, if it is finite."""
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # It must see what overflows to find its scale, and then leaves out the step itself; but
            # in each replica it looks at that one's gradients alone.
            first = next(i for i, g in enumerate(gradients) if g is not None)
            gradients = list(gradients)
            gradients[first] = tf.where(finite, gradients[first], np.nan)
            self._step(gradients)
            run_if(finite, _assign, updates.variables, updates.values)
        else:
            run_if(finite, self._step_and_assign, gradients, updates.variables, updates.values)

    def _step(self, gradients: list[tf.Tensor | None]) -> None:
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))

    def _step_and_assign(
        self, gradients: list[tf.Tensor | None], variables: list[Any], values: list[tf.Tensor]
    ) -> None:
        self._step(gradients)
        _assign(variables, values)

    def _require_trainable(self, variables: list[Any]) -> None:
        if not variables:
            raise ValueError(
                f"{self.name} has no trainable weights, so there is nothing to fit; set "
                f"trainable = True on the model or on some of its layers"
            )

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The objective and metrics on a batch, without training.

        Nothing of the model changes, neither random generators nor chains, and each evaluation
        draws the same random numbers.
        """
        x, y, sample_weight = fit_arguments.unpacked(data)
        z = self._normalize(x)
        batch = tf.cast(tf.convert_to_tensor(self._evaluated.total), tf.int32)
        with DeferredUpdates(evaluation_seeds(self, batch)) as updates:
            value = self._compute_share(z, share_of_batch(z), training=False)
        self._evaluated.update_state(1.0)
        parts = self._loss_parts(value, sample_weight, updates.losses)
        loss = _mean_loss(*parts, value)
        results = self._update_metrics(loss, value, y, sample_weight, training=False)
        return {name: result for name, result in results.items() if name != "gradient_norm"}

    def _compute_share(self, z: tf.Tensor, share: Share, training: bool) -> ObjectiveValue:
        """The objective of a replica's rows of the global batch, of which there may be none."""
        padded = at_least_one_row(z)
        with share:
            value = self.objective.compute(self, padded, training=training)
        if padded is z:
            return value
        rows = tf.shape(z)[0]
        return tf.nest.map_structure(lambda t: t[:rows], value)

    def _loss_parts(
        self, value: ObjectiveValue, sample_weight: Any, added: list[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Sum over the batch of the weighted losses, and the regularisers of weights and layers."""
        losses = value.loss
        if sample_weight is not None:
            losses = losses * tf.reshape(tf.cast(sample_weight, losses.dtype), (-1,))
        zero = tf.zeros((), losses.dtype)
        regularization = [tf.cast(r, losses.dtype) for r in (*added, *self.losses)]
        return tf.reduce_sum(losses), tf.add_n([zero, *regularization])

    def _update_metrics(
        self, loss: tf.Tensor, value: ObjectiveValue, y: Any, sample_weight: Any, training: bool
    ) -> dict[str, tf.Tensor]:
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(value.loss)[0])
        for name, per_example in value.terms.items():
            self._trackers[name].update_state(per_example, sample_weight=sample_weight)
        error = value.reconstruction_error
        self._trackers["reconstruction_error"].update_state(error, sample_weight=sample_weight)
        left_out: set[str] = set()
        if self._compile_metrics is not None and y is not None:
            # One column each: Keras averages the last axis before it weighs examples.
            y = y[:, tf.newaxis] if y.shape.rank == 1 else y
            self._compile_metrics.update_state(y, error[:, tf.newaxis], sample_weight=sample_weight)
            left_out = {metric.name for metric in self._ranking_metrics()}
        elif self._compile_metrics is not None:
            if not (training and self._labels_optional):
                self._require_no_metrics()
            if not self._compile_metrics.built:
                self._compile_metrics.build(error[:, tf.newaxis], error[:, tf.newaxis])
            left_out = {metric.name for metric in self._compile_metrics.metrics}
        results = self.get_metrics_result()
        return {name: result for name, result in results.items() if name not in left_out}

    def _ranking_metrics(self) -> list[RankingMetric]:
        """The compiled metrics that sort all scores, which would take too long at every step."""
        compiled = [] if self._compile_metrics is None else self._compile_metrics.metrics
        return [metric for metric in compiled if isinstance(metric, RankingMetric)]

    def _get_metrics_result_or_logs(self, logs: Any) -> Any:
        """Metrics at the end of an epoch: those of the last step, and those that rank."""
        ranked = {m.name: m.result() for m in self._ranking_metrics() if not m.empty}
        return {**super()._get_metrics_result_or_logs(logs), **ranked}

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Loss, terms of the objective, reconstruction error and compiled metrics."""
        hidden = {metric.name for metric in (*self._health.values(), self._evaluated)}
        results = super().get_metrics_result()
        return {name: value for name, value in results.items() if name not in hidden}

    def health(self) -> dict[str, float]:
        """What `DivergenceGuard` looks at, over the current epoch so far."""
        return {
            name: float(keras.ops.convert_to_numpy(metric.result()))
            for name, metric in self._health.items()
        }


def _trackers_of(objective: Objective) -> dict[str, keras.metrics.Metric]:
    """The means over an epoch of what training reports beside the loss."""
    names = (*objective.term_names, "reconstruction_error", "gradient_norm")
    return {name: keras.metrics.Mean(name=name) for name in names}


def _guarded(callbacks: Any) -> Any:
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    listed = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    given = [callback for callback in listed if callback is not None]
    if any(isinstance(callback, DivergenceGuard) for callback in given):
        return given
    return [DivergenceGuard(), *given]


def _assign(variables: list[Any], values: list[tf.Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _sound_weights(sample_weight: Any) -> tf.Tensor:
    """Whether no weight is negative, NaN or infinite."""
    if sample_weight is None:
        return tf.constant(True)
    weights = tf.cast(sample_weight, tf.float32)
    return tf.reduce_all(tf.math.is_finite(weights) & (weights >= 0))


def _mean_loss(
    sum_of_losses: tf.Tensor, regularization: tf.Tensor, value: ObjectiveValue
) -> tf.Tensor:
    """Mean over the batch of the weighted losses, plus the regularisers; 0 of no example."""
    rows = tf.cast(tf.shape(value.loss)[0], sum_of_losses.dtype)
    return tf.math.divide_no_nan(sum_of_losses, rows) + regularization
