"""Training a model on an objective by `fit`, with checks before and a watch during the run."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.distribution.shares import Share, at_least_one_row, share_of_batch
from delvm_tf.models import inputs
from delvm_tf.models.divergence import DivergenceGuard
from delvm_tf.models.worker_training import WorkerTraining
from delvm_tf.objectives.objective import Objective, ObjectiveValue


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
        if not isinstance(objective, Objective):
            raise TypeError(
                f"objective must be an Objective such as dv.ScoreMatching(), got {objective!r}"
            )
        self.objective = objective
        self._trackers = {
            name: keras.metrics.Mean(name=name)
            for name in (*objective.term_names, "reconstruction_error", "gradient_norm")
        }
        self._health = {
            "nonfinite_inputs": keras.metrics.Sum(name="nonfinite_inputs"),
            "nonfinite_steps": keras.metrics.Sum(name="nonfinite_steps"),
            "input_power": keras.metrics.Mean(name="input_power"),
        }

    def compile(self, optimizer: Any = "adam", **kwargs: Any) -> None:
        """Choose the optimizer and, if wanted, metrics. The loss is the model's objective.

        Metrics given here compare the labels y with the reconstruction error of each example.

        Args:
            optimizer: a Keras optimizer or its name.
            **kwargs: as for `keras.Model.compile`, without `loss` and `loss_weights`.
        """
        if kwargs.get("loss") is not None or kwargs.get("loss_weights") is not None:
            raise ValueError(
                "the loss of this model is its objective; pass objective=... when the model "
                "is made, and no loss to compile"
            )
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
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_data: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Train the model; arguments as for `keras.Model.fit`.

        Labels play no part in unsupervised objectives, sample weights do. Arrays are checked
        first, and a `DivergenceGuard` watches the run unless one is among the callbacks. With
        several workers, or a `BackupAndRestore` among the callbacks, the order of an array's rows
        depends only on the number of the epoch; and only the chief's callbacks write.

        Raises:
            TypeError: if x does not hold real numbers.
            ValueError: if the model is not adapted, or x is empty, of the wrong shape, or has a NaN
                or infinity, or labels or weights have another length.
            TrainingDiverged: if training runs away; the model keeps its last good weights.
            WorkerLost: if another worker cannot be reached any more.
        """
        y = self._checked_labels(x, y, sample_weight)
        if isinstance(validation_data, tuple | list) and validation_data:
            unpacked = keras.utils.unpack_x_y_sample_weight(tuple(validation_data))
            labels = self._checked_labels(*unpacked)
            validation_data = (unpacked[0], labels, unpacked[2])
        self._create_variables(x)
        try:
            return super().fit(
                x, y, batch_size=batch_size, epochs=epochs, verbose=verbose,
                callbacks=_guarded(callbacks), validation_data=validation_data,
                sample_weight=sample_weight, **kwargs,
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
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """The objective and metrics on data; arguments as for `keras.Model.evaluate`."""
        y = self._checked_labels(x, y, sample_weight)
        return super().evaluate(
            x, y, batch_size=batch_size, verbose=verbose, sample_weight=sample_weight, **kwargs
        )

    def _checked_labels(self, x: Any, y: Any, sample_weight: Any) -> Any:
        """Check the lengths; zeros for y where Keras would drop weights for lack of it."""
        if not inputs.is_array(x):
            return y
        inputs.check_lengths(x, y)
        inputs.check_lengths(x, sample_weight, "sample_weight")
        if y is None and self._compile_metrics is not None:
            raise ValueError(
                "the metrics given to compile compare labels with the reconstruction error, "
                "but the data hold no labels y"
            )
        return np.zeros(len(x)) if y is None and sample_weight is not None else y

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of the optimizer on the objective; a step that is not finite changes nothing."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        z = self._normalize(x)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        share = share_of_batch(z)
        with tf.GradientTape() as tape:
            value = self._compute_share(z, share, training=True)
            sum_of_losses, regularization = self._loss_parts(value, sample_weight)
            # Replicas' gradients are summed, so each contributes its share.
            part = sum_of_losses / tf.cast(share.total, sum_of_losses.dtype)
            scaled = self.optimizer.scale_loss(part + regularization / replicas)
        loss = self._mean_loss(value, sample_weight)
        variables = self.trainable_variables
        gradients = tape.gradient(scaled, variables)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # It needs to see the overflow of float16 gradients, and leaves out such steps itself.
            _, norm, _ = _zero_unless_finite(gradients, loss)
            norm /= self.optimizer.scale_loss(tf.ones((), norm.dtype))
            finite = tf.math.is_finite(loss)
        else:
            gradients, norm, finite = _zero_unless_finite(gradients, loss)
        self._trackers["gradient_norm"].update_state(norm * replicas)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))

        inputs_finite = tf.reduce_all(tf.math.is_finite(z))
        self._health["nonfinite_inputs"].update_state(tf.cast(~inputs_finite, tf.float32))
        self._health["nonfinite_steps"].update_state(tf.cast(~finite, tf.float32))
        self._health["input_power"].update_state(sum_per_example(tf.square(z)))
        return self._update_metrics(loss, value, y, sample_weight)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The objective and metrics on a batch, without training."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        z = self._normalize(x)
        value = self._compute_share(z, share_of_batch(z), training=False)
        results = self._update_metrics(
            self._mean_loss(value, sample_weight), value, y, sample_weight
        )
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

    def _loss_parts(self, value: ObjectiveValue, sample_weight: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Sum over the batch of the weighted losses, and the regularisers of the weights."""
        losses = value.loss
        if sample_weight is not None:
            losses = losses * tf.reshape(tf.cast(sample_weight, losses.dtype), (-1,))
        zero = tf.zeros((), losses.dtype)
        regularization = [tf.cast(r, losses.dtype) for r in self.losses]
        return tf.reduce_sum(losses), tf.add_n([zero, *regularization])

    def _mean_loss(self, value: ObjectiveValue, sample_weight: Any) -> tf.Tensor:
        """Mean over the batch of the weighted losses, plus the regularisers; 0 of no example."""
        sum_of_losses, regularization = self._loss_parts(value, sample_weight)
        rows = tf.cast(tf.shape(value.loss)[0], sum_of_losses.dtype)
        return tf.math.divide_no_nan(sum_of_losses, rows) + regularization

    def _update_metrics(
        self, loss: tf.Tensor, value: ObjectiveValue, y: Any, sample_weight: Any
    ) -> dict[str, tf.Tensor]:
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(value.loss)[0])
        for name, per_example in value.terms.items():
            self._trackers[name].update_state(per_example, sample_weight=sample_weight)
        error = value.reconstruction_error
        self._trackers["reconstruction_error"].update_state(error, sample_weight=sample_weight)
        if self._compile_metrics is not None:
            if y is None:
                raise ValueError(
                    "the metrics given to compile compare labels with the reconstruction error, "
                    "but the data hold no labels y"
                )
            self._compile_metrics.update_state(y, error, sample_weight=sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Loss, terms of the objective, reconstruction error and compiled metrics."""
        hidden = {metric.name for metric in self._health.values()}
        results = super().get_metrics_result()
        return {name: value for name, value in results.items() if name not in hidden}

    def health(self) -> dict[str, float]:
        """What `DivergenceGuard` looks at, over the current epoch so far."""
        watched = {**self._health, "reconstruction_error": self._trackers["reconstruction_error"]}
        return {
            name: float(keras.ops.convert_to_numpy(metric.result()))
            for name, metric in watched.items()
        }


def _guarded(callbacks: Any) -> Any:
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    listed = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    given = [callback for callback in listed if callback is not None]
    if any(isinstance(callback, DivergenceGuard) for callback in given):
        return given
    return [DivergenceGuard(), *given]


def _zero_unless_finite(
    gradients: list[tf.Tensor | None], loss: tf.Tensor
) -> tuple[list[tf.Tensor | None], tf.Tensor, tf.Tensor]:
    """The gradients, or zeros if the loss or any is not finite; their norm; whether they were."""
    norm = tf.linalg.global_norm([tf.cast(g, "float32") for g in gradients if g is not None])
    finite = tf.math.is_finite(loss)
    for gradient in gradients:
        if gradient is not None:
            finite &= tf.reduce_all(tf.math.is_finite(gradient))
    zeroed = [None if g is None else tf.where(finite, g, tf.zeros((), g.dtype)) for g in gradients]
    return zeroed, tf.where(finite, norm, 0.0), finite
