"""One step of training or evaluation: from a batch, as Keras hands it over, to what is reported."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.distribution.shares import Share, at_least_one_row, share_of_batch, true_in_all
from delvm_tf.keras_private import compiled_metrics, loss_tracker
from delvm_tf.objectives.objective import ObjectiveValue
from delvm_tf.training.fit_arguments import unpacked
from delvm_tf.training.updates import DeferredUpdates, evaluation_seeds, run_if


def train_step(model: Any, data: Any) -> dict[str, tf.Tensor]:
    """One step of the optimizer on the objective; a step that is not finite changes nothing."""
    # Unpack and normalise.
    x, y, sample_weight = unpacked(data)
    z = model.normalized(x)
    share = share_of_batch(z)

    # The objective, and its gradient. What else it sets waits for the guard.
    with tf.GradientTape() as tape:
        with DeferredUpdates() as updates:
            value = _objective_value(model, z, share, training=True)
        losses = _losses(model, value, sample_weight, updates.losses)
        scaled = model.optimizer.scale_loss(losses.of_replica(share))
    gradients = tape.gradient(scaled, model.trainable_variables)
    norm = tf.linalg.global_norm([tf.cast(g, "float32") for g in gradients if g is not None])

    # The guard.
    inputs_finite = tf.reduce_all(tf.math.is_finite(z))
    weights_sound = _sound_weights(sample_weight)
    sound = inputs_finite & weights_sound & tf.math.is_finite(losses.mean)
    finite = true_in_all(sound & tf.math.is_finite(norm))

    # The update.
    scales = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    update = _update_by_loss_scale if scales else _update
    update(model, finite, gradients, updates)

    # What is reported, and what the guard of the run looks at.
    if scales:
        # Gradients that overflow are how it finds its scale, and no sign of divergence.
        norm /= model.optimizer.scale_loss(tf.ones((), norm.dtype))
    else:
        sound = finite
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    model.trackers["gradient_norm"].update_state(tf.where(finite, norm, 0.0) * replicas)
    watched = value.watched or (value.reconstruction_error, sum_per_example(tf.square(z)))
    model.run_health.update_state(~inputs_finite, ~weights_sound, ~sound, *watched)
    return _reported(model, losses.mean, value, y, sample_weight)


def test_step(model: Any, data: Any) -> dict[str, tf.Tensor]:
    """The objective and metrics on a batch, without training.

    Nothing of the model changes, neither random generators nor chains, and each evaluation draws
    the same random numbers.
    """
    x, y, sample_weight = unpacked(data)
    z = model.normalized(x)
    with DeferredUpdates(evaluation_seeds(model, model.run_health.next_evaluated())) as updates:
        value = _objective_value(model, z, share_of_batch(z), training=False)
    losses = _losses(model, value, sample_weight, updates.losses)
    results = _reported(model, losses.mean, value, y, sample_weight)
    return {name: result for name, result in results.items() if name != "gradient_norm"}


def _objective_value(model: Any, z: tf.Tensor, share: Share, training: bool) -> ObjectiveValue:
    """The objective of a replica's rows of the global batch, of which there may be none."""
    padded = at_least_one_row(z)
    with share:
        value = model.objective.compute(model, padded, training=training)
    if padded is z:
        return value
    rows = tf.shape(z)[0]
    return tf.nest.map_structure(lambda t: t[:rows], value)


class _Losses(NamedTuple):
    """Losses of a replica.

    Attributes:
        total: sum over the rows of the weighted losses.
        regularization: sum of the regularisers of weights and layers.
        rows: how many there are.
    """

    total: tf.Tensor
    regularization: tf.Tensor
    rows: tf.Tensor

    @property
    def mean(self) -> tf.Tensor:
        """Mean over the rows, plus the regularisers; 0 of no row."""
        return tf.math.divide_no_nan(self.total, self.rows) + self.regularization

    def of_replica(self, share: Share) -> tf.Tensor:
        """The replica's part of the loss: replicas' gradients are summed."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        part = self.total / tf.cast(share.total, self.total.dtype)
        return part + self.regularization / replicas


def _losses(model: Any, value: ObjectiveValue, sample_weight: Any, added: list[Any]) -> _Losses:
    losses = value.loss
    if sample_weight is not None:
        losses = losses * tf.cast(sample_weight, losses.dtype)
    regularization = [tf.cast(r, losses.dtype) for r in (*added, *model.losses)]
    return _Losses(
        tf.reduce_sum(losses),
        tf.add_n([tf.zeros((), losses.dtype), *regularization]),
        tf.cast(tf.shape(losses)[0], losses.dtype),
    )


def _sound_weights(sample_weight: Any) -> tf.Tensor:
    """Whether no weight is negative, NaN or infinite."""
    if sample_weight is None:
        return tf.constant(True)
    weights = tf.cast(sample_weight, tf.float32)
    return tf.reduce_all(tf.math.is_finite(weights) & (weights >= 0))


def _update(model: Any, finite: tf.Tensor, gradients: Any, updates: DeferredUpdates) -> None:
    """Let the optimizer take its step and set what else the step sets, if it is finite."""

    def step(gradients: Any, values: list[tf.Tensor]) -> None:
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        updates.assign(values)

    run_if(finite, step, gradients, updates.values)


def _update_by_loss_scale(
    model: Any, finite: tf.Tensor, gradients: Any, updates: DeferredUpdates
) -> None:
    """The same with an optimizer that leaves out the step by itself, and must see what overflows.

    But in each replica it looks at that one's gradients alone.
    """
    first = next(i for i, g in enumerate(gradients) if g is not None)
    gradients = list(gradients)
    gradients[first] = tf.where(finite, gradients[first], np.nan)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    run_if(finite, updates.assign, updates.values)


def _reported(
    model: Any, loss: tf.Tensor, value: ObjectiveValue, y: Any, sample_weight: Any
) -> dict[str, tf.Tensor]:
    """The metrics so far, but for those that rank, and without labels all that compare them."""
    error = value.reconstruction_error
    loss_tracker(model).update_state(loss, sample_weight=tf.shape(error)[0])
    for name, per_example in {**value.terms, "reconstruction_error": error}.items():
        model.trackers[name].update_state(per_example, sample_weight=sample_weight)
    left_out: list[Any] = model.ranking_metrics
    if y is None:
        results, left_out = model.get_metrics_result(), compiled_metrics(model)
    else:
        # One column each: Keras averages the last axis before it weighs examples.
        y = y[:, tf.newaxis] if len(y.shape) == 1 else y
        results = model.compute_metrics(None, y, error[:, tf.newaxis], sample_weight)
    names = {metric.name for metric in left_out}
    return {name: result for name, result in results.items() if name not in names}


def step_function(
    step: Callable[[Any], Any], make: Callable[[Any], Any], at_once: bool
) -> Callable[[Any], dict[str, Any]]:
    """What `fit` and `evaluate` call.

    Where a stream of unknown length ends, Keras runs what of a step does not depend on the data: it
    counts a step of the optimizer that never was. So all of a step waits for its data.

    Args:
        step: of a batch.
        make: makes it a function of an iterator, as Keras does.
        at_once: whether all metrics of a step are reduced at once: among workers Keras reduces each
            by itself, along an axis that numbers do not have.
    """

    def waiting(data: Any) -> Any:
        given = [part for part in tf.nest.flatten(data) if tf.is_tensor(part)]
        with tf.control_dependencies(given):
            return step(data)

    if not at_once:
        return make(waiting)
    names: list[str] = []

    def packed(data: Any) -> tf.Tensor:
        logs = waiting(data)
        names[:] = list(logs)
        return tf.stack([tf.cast(value, tf.float32) for value in logs.values()])[tf.newaxis]

    function = make(packed)
    return lambda iterator: dict(zip(names, tf.unstack(function(iterator)), strict=True))
