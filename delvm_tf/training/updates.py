"""Updates of a training step that are made together, or not at all."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import keras_private, noise

_EVALUATION = 0x5EED  # sets the random numbers of evaluation apart from those of training


class DeferredUpdates(keras.StatelessScope):
    """As a context: keeps what is assigned to Keras variables, which themselves stay as they are.

    Inside, a variable reads as what was assigned to it. So moving averages, chains and random
    generators can be set after the step has turned out to be finite, or be left alone.

    Args:
        values: variables and what they read as at first, if not what they are.

    Attributes:
        losses: what layers added as losses meanwhile.
    """

    def __init__(self, values: Sequence[tuple[Any, tf.Tensor]] = ()):
        super().__init__(state_mapping=list(values), collect_losses=True)
        self._assigned: dict[int, tuple[Any, tf.Tensor]] = {}

    def add_update(self, update: tuple[Any, tf.Tensor]) -> None:
        """Note an assignment; Keras calls this."""
        super().add_update(update)
        self._assigned[id(update[0])] = update

    @property
    def variables(self) -> list[Any]:
        """The variables that were assigned to."""
        return [variable for variable, _ in self._assigned.values()]

    @property
    def values(self) -> list[tf.Tensor]:
        """What was assigned to them last."""
        return [value for _, value in self._assigned.values()]

    def assign(self, values: list[tf.Tensor]) -> None:
        """Set the variables now, to a replica's own values."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)


def run_if(condition: tf.Tensor, function: Callable[..., Any], *args: Any) -> None:
    """Call a function that updates variables, in every replica, if a condition holds.

    Args:
        condition: a scalar, the same in all replicas.
        function: the same in all replicas.
        *args: what it takes, each replica's own.
    """

    def nothing() -> None:
        pass

    if keras_private.replicas_update_together():
        tf.cond(condition, lambda: _run(function, args), nothing)
        return

    # A condition must not be opened in a replica, whose variables meet those of the others inside.
    def in_all_replicas(strategy: tf.distribute.Strategy, condition: Any, args: Any) -> None:
        first = strategy.experimental_local_results(condition)[0]
        tf.cond(
            first,
            lambda: _run(strategy.extended.call_for_each_replica, (function, args)),
            nothing,
        )

    tf.distribute.get_replica_context().merge_call(in_all_replicas, args=(condition, args))


def _run(function: Callable[..., Any], args: Any) -> None:
    function(*args)


def evaluation_seeds(model: Any, batch: tf.Tensor) -> list[tuple[Any, tf.Tensor]]:
    """The states of a model's random generators for a batch of `evaluate`, and where they belong.

    They depend on the generators' seeds and on the number of the batch alone, so that every
    evaluation draws the same numbers, and none that training draws.

    Args:
        model: the model.
        batch: number of the batch, a scalar integer.
    """
    weights = {id(variable) for variable in model.weights}
    states = [variable for variable in model.variables if id(variable) not in weights]
    return [
        (state, noise.fold(tf.stack([state.value[0], tf.cast(_EVALUATION, state.dtype)]), batch))
        for state in states
    ]
