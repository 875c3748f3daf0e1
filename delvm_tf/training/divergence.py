"""Stopping a run that diverges, with its last good weights."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


class TrainingDiverged(RuntimeError):
    """Training ran away. The message says what to change; the model holds its last good weights.

    Examples:
        >>> model.compile(keras.optimizers.SGD(1e3))
        >>> try:
        ...     history = model.fit(x, epochs=100, verbose=0)
        ... except dv.TrainingDiverged as error:
        ...     print(error)
        training diverged...
    """


NUMBERS = (
    "nonfinite_inputs", "bad_weights", "nonfinite_steps", "watched_error", "watched_nothing",
)  # fmt: skip


class RunHealth(keras.metrics.Metric):
    """What the steps of an epoch tell `DivergenceGuard`, over all replicas, and nobody else.

    A metric, so that it begins anew with every epoch and evaluation.
    """

    def __init__(self) -> None:
        super().__init__(name="health", dtype="float32")
        self._sums = self.add_variable((len(NUMBERS),), "zeros", name="sums")
        self._evaluated = self.add_variable((), "zeros", name="evaluated_batches")

    def update_state(self, *numbers: Any) -> None:
        """Add what a batch tells: a number, or one for each example, for each of `NUMBERS`."""
        sums = [tf.reduce_sum(tf.cast(number, tf.float32)) for number in numbers]
        self._sums.assign_add(tf.stack(sums))

    def next_evaluated(self) -> tf.Tensor:
        """The number of the next batch of an evaluation, from 0."""
        number = tf.cast(tf.convert_to_tensor(self._evaluated.value), tf.int32)
        self._evaluated.assign_add(1.0)
        return number

    def result(self) -> dict[str, tf.Tensor]:
        """Nothing that is reported."""
        return {}

    def numbers(self) -> dict[str, float]:
        """The sums by name."""
        sums = np.asarray(self._sums)
        return {name: float(value) for name, value in zip(NUMBERS, sums, strict=True)}


class DivergenceGuard(keras.callbacks.Callback):
    """Watches the training of an `EnergyModel`; `fit` adds one by itself.

    A training step whose inputs, loss or gradient are not finite changes nothing. The guard also
    takes a run for diverged when the mean reconstruction error exceeds `factor` times the mean
    squared norm of the inputs, which is the error of a model that predicts nothing; denoising is
    judged by its loss likewise. It then sets the weights back to the end of the last good epoch (or
    the start) and raises.

    Args:
        factor: how much worse than predicting nothing counts as diverged.
        check_every: training steps between looks, each of which waits for the device.

    Raises:
        TrainingDiverged: from `fit`, when the run has diverged.
        ValueError: from `fit`, when the data hold NaN or infinite values, or sample weights that
            are no weights, or no data came.

    Examples:
        >>> guard = dv.DivergenceGuard(factor=10.0, check_every=1)  # in place of the usual one
        >>> history = model.fit(x, epochs=2, callbacks=[guard])
    """

    def __init__(self, factor: float = 1e3, check_every: int = 50):
        super().__init__()
        self.factor = factor
        self.check_every = check_every
        self._good_weights: list[Any] | None = None
        self._good_epoch = 0
        self._epoch = 0
        self._batches_seen = 0
        self._training = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Remember the weights that training starts from."""
        self._batches_seen = 0
        self._training = True
        self._good_weights = self.model.get_weights() if self.model.built else None
        self._good_epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note which epoch runs."""
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look at the run now and then."""
        self._batches_seen += 1
        if self._batches_seen % self.check_every == 0:
            self._check()

    def on_test_begin(self, logs: Any = None) -> None:
        """Look at the epoch before validation, which begins to count anew."""
        if self._training:
            self._check()

    def on_train_end(self, logs: Any = None) -> None:
        """Look no more."""
        self._training = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look at the run, and keep its weights if it is well."""
        if self._batches_seen == 0:
            raise ValueError("the training data are empty: no batch came in the first epoch")
        self._check()
        self._good_weights = self.model.get_weights()
        self._good_epoch = self._epoch

    def _check(self) -> None:
        health = self.model.health()
        if health["nonfinite_inputs"] > 0:
            raise ValueError(
                f"{health['nonfinite_inputs']:.0f} training batches of epoch {self._epoch} hold "
                f"NaN or infinite values; remove or fill them first. The weights were not touched "
                f"by those batches."
            )
        if health["bad_weights"] > 0:
            raise ValueError(
                f"{health['bad_weights']:.0f} training batches of epoch {self._epoch} hold sample "
                f"weights that are negative, NaN or infinite. The weights of the model were not "
                f"touched by those batches."
            )
        error, nothing = health["watched_error"], health["watched_nothing"]
        if health["nonfinite_steps"] > 0:
            what = "the loss or its gradient is no longer finite"
        elif nothing > 0 and error > self.factor * nothing:
            what = f"the error is {error / nothing:.3g} times that of a model that predicts nothing"
        else:
            return
        if self._good_weights is None:
            kept = "The weights are the last finite ones"
        else:
            self.model.set_weights(self._good_weights)
            kept = (
                f"The weights were set back to those at the end of epoch {self._good_epoch}"
                if self._good_epoch
                else "The weights were set back to those from before training"
            )
        rate = float(np.asarray(self.model.optimizer.learning_rate))
        raise TrainingDiverged(
            f"training diverged in epoch {self._epoch}: {what}. {kept}. Lower the learning rate "
            f"(now {rate:g}) or the scale of the inputs (now {self.model.normalization.scale:g}), "
            f"or clip the gradient (clipnorm=...).{self.model.objective.divergence_hint}"
        )
