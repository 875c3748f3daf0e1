"""Keras metrics of how well scores rank abnormal examples above normal ones."""

import abc
from typing import Any

import keras
import tensorflow as tf


class RankingMetric(keras.metrics.Metric, abc.ABC):
    """A metric of the order of scores, over all examples since the last reset.

    It keeps every score, and so is exact whatever their range. Memory: 12 bytes per example of
    `capacity`, in each replica. Cost: sorting the scores for each result. The models of this
    library compute it at the end of an epoch or of `evaluate`; in a compiled step of other models
    Keras does at every batch.

    Args:
        capacity: the largest number of examples, in each replica.
        name: of the metric.
        dtype: of the result.

    Raises:
        ValueError: if the capacity is not a positive integer.
        tf.errors.InvalidArgumentError: from `update_state`, for labels other than 0 and 1, or too
            many examples. Code compiled by XLA cannot raise; there the result is NaN.
    """

    default_name: str

    def __init__(self, capacity: int = 2**20, name: str | None = None, dtype: Any = None):
        super().__init__(name=name or self.default_name, dtype=dtype)
        if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
            raise ValueError(f"capacity must be a positive integer, got {capacity!r}")
        self.capacity = capacity
        # Replicas' variables are added up, so each replica writes to places of its own.
        self._replicas = tf.distribute.get_strategy().num_replicas_in_sync
        shape = (capacity * self._replicas,)
        self._scores = self.add_variable(shape, "zeros", "float32", name="scores")
        self._positive = self.add_variable(shape, "zeros", "float32", name="positive")
        self._negative = self.add_variable(shape, "zeros", "float32", name="negative")
        self._seen = self.add_variable((), "zeros", "int32", name="seen")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take scores and their labels.

        Args:
            y_true: 1 = abnormal, 0 = normal, (batch,) or (batch, 1).
            y_pred: as many scores, higher = more abnormal.
            sample_weight: as many weights, or None.

        Raises:
            ValueError: if the metric was created outside the scope of the strategy in use.
        """
        if _number_of_replicas() != self._replicas:
            raise ValueError(
                f"{self.name} was made for {self._replicas} replicas, but {_number_of_replicas()} "
                f"train; create it in the scope of the strategy"
            )
        scores = tf.reshape(tf.cast(y_pred, tf.float32), (-1,))
        labels = tf.reshape(tf.cast(y_true, tf.float32), (-1,))
        weights = tf.ones_like(scores)
        if sample_weight is not None:
            weights *= tf.reshape(tf.cast(sample_weight, tf.float32), (-1,))
        known = tf.reduce_all((labels == 0) | (labels == 1))
        first = tf.convert_to_tensor(self._seen)
        room = first + tf.size(scores) <= self.capacity
        checks = [
            tf.debugging.Assert(
                known, [f"the labels of {self.name} must be 1 (abnormal) and 0 (normal), got",
                        labels],
            ),
            tf.debugging.Assert(
                room, [f"{self.name} has room for {self.capacity} examples, and more came; create "
                       f"it with a larger capacity=..."],
            ),
            tf.debugging.assert_equal(
                tf.size(labels), tf.size(scores),
                message=f"{self.name} needs one label for each score",
            ),
        ]  # fmt: skip
        with tf.control_dependencies([check for check in checks if check is not None]):
            # Where nothing can be raised, a weight of NaN makes the result NaN.
            weights = tf.where(known & room, weights, float("nan"))
        places = tf.minimum(first + tf.range(tf.size(scores)), self.capacity - 1)
        places = places * self._replicas + _number_of_replica()
        self._write(self._scores, places, scores)
        self._write(self._positive, places, weights * labels)
        self._write(self._negative, places, weights * (1 - labels))
        self._seen.assign_add(tf.size(scores))

    @staticmethod
    def _write(variable: Any, places: tf.Tensor, values: tf.Tensor) -> None:
        """Set entries in place; an assignment would copy all of them at every step."""
        tf.raw_ops.ResourceScatterUpdate(resource=variable.handle, indices=places, updates=values)

    def result(self) -> tf.Tensor:
        """The metric; NaN unless both classes were seen."""
        scores, positive, negative = (
            tf.convert_to_tensor(v) for v in (self._scores, self._positive, self._negative)
        )
        if tf.executing_eagerly():  # XLA needs fixed shapes
            used = tf.squeeze(tf.where(positive + negative != 0), axis=1)
            scores, positive, negative = (tf.gather(t, used) for t in (scores, positive, negative))
        order = tf.argsort(scores, direction="DESCENDING", stable=True)
        scores, positive, negative = (tf.gather(t, order) for t in (scores, positive, negative))
        value = self._of_sorted(scores, positive, negative)
        unclear = tf.reduce_any(tf.math.is_nan(scores) & (positive + negative != 0))
        return tf.where(unclear, float("nan"), tf.cast(value, self.dtype))

    @property
    def empty(self) -> bool:
        """Whether there were no examples since the last reset."""
        return int(keras.ops.convert_to_numpy(tf.convert_to_tensor(self._seen))) == 0

    @abc.abstractmethod
    def _of_sorted(self, scores: tf.Tensor, positive: tf.Tensor, negative: tf.Tensor) -> tf.Tensor:
        """The metric of scores from the highest down, (n,), and their weights in each class."""

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {**super().get_config(), "capacity": self.capacity}


@keras.saving.register_keras_serializable(package="delvm_tf")
class AUROC(RankingMetric):
    """The area under the ROC curve: P(score of an abnormal > of a normal example) + ½ P(equal).

    Exact for scores of any range, such as reconstruction errors; `keras.metrics.AUC` needs
    probabilities. For the arguments see `RankingMetric`.

    Examples:
        >>> metric = dv.metrics.AUROC()
        >>> metric.update_state([0, 0, 1, 1], [1.0, 3.0, 2.0, 4.0])
        >>> float(metric.result())  # three of four pairs are in order
        0.75
        >>> model.compile("adam", metrics=[metric])
        >>> history = model.fit(x, validation_data=(x, np.arange(64) % 2), callbacks=[
        ...     keras.callbacks.EarlyStopping("val_auroc", mode="max", patience=3)])
    """

    default_name = "auroc"

    def _of_sorted(self, scores: tf.Tensor, positive: tf.Tensor, negative: tf.Tensor) -> tf.Tensor:
        above, level, _ = _cumulated(scores, positive)
        all_positive = tf.reduce_sum(tf.cast(positive, tf.float64))
        weights = tf.cast(negative, tf.float64)
        ranked = tf.reduce_sum(weights * (above + 0.5 * level))
        return ranked / (all_positive * tf.reduce_sum(weights))


@keras.saving.register_keras_serializable(package="delvm_tf")
class AveragePrecision(RankingMetric):
    """The precision at each threshold, averaged over the gained recall: Σ (Rₙ − Rₙ₋₁) Pₙ.

    As scikit-learn's `average_precision_score`, for finding abnormal examples; unlike the AUROC it
    depends on how rare they are. For the arguments see `RankingMetric`.

    Examples:
        >>> metric = dv.metrics.AveragePrecision()
        >>> metric.update_state([1, 0, 1, 0], [4.0, 3.0, 2.0, 1.0])
        >>> round(float(metric.result()), 4)  # ½ · 1 + ½ · ⅔
        0.8333
        >>> model.compile("adam", metrics=[metric])
    """

    default_name = "average_precision"

    def _of_sorted(self, scores: tf.Tensor, positive: tf.Tensor, negative: tf.Tensor) -> tf.Tensor:
        _, _, found = _cumulated(scores, positive)
        _, _, wrong = _cumulated(scores, negative)
        precision = tf.math.divide_no_nan(found, found + wrong)
        weights = tf.cast(positive, tf.float64)
        value = tf.reduce_sum(weights * precision) / tf.reduce_sum(weights)
        normal = tf.reduce_sum(tf.cast(negative, tf.float64))
        return value * (normal / normal)  # NaN without any


def _cumulated(scores: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """For each of the sorted scores the weight above it, at it, and the sum of both, (n,)."""
    total = tf.concat([[0.0], tf.cumsum(tf.cast(weights, tf.float64))], axis=0)
    above = tf.searchsorted(-scores, -scores, side="left")
    within = tf.searchsorted(-scores, -scores, side="right")
    higher, until = tf.gather(total, above), tf.gather(total, within)
    return higher, until - higher, until


def _number_of_replica() -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    return tf.cast(0 if context is None else context.replica_id_in_sync_group, tf.int32)


def _number_of_replicas() -> int:
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync
