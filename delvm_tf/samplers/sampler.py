"""What every sampler has."""

import abc
import inspect
from typing import Any, NamedTuple, Self

import tensorflow as tf


class Transition(NamedTuple):
    """The outcome of a step of some chains.

    Attributes:
        state: the chains, (batch, ...).
        accepted: 1 where the step was accepted and 0 where not, (batch,).
    """

    state: tf.Tensor
    accepted: tf.Tensor


class Sampler(abc.ABC):
    """A Markov chain on the normalised inputs of an `EnergyModel`.

    A sampler holds no state, only its settings: attributes with the names of its arguments.
    """

    @abc.abstractmethod
    def step(
        self, model: Any, state: tf.Tensor, seed: tf.Tensor, index: tf.Tensor, steps: tf.Tensor
    ) -> Transition:
        """One step of all chains.

        Args:
            model: the `EnergyModel`.
            state: the chains, (batch, ...).
            seed: of all random numbers of the step, (2,).
            index: number of the step, from 0.
            steps: number of steps of the whole run.
        """

    def start(self, model: Any, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The state of chains that start at z."""
        return z

    def state_shape(self, model: Any) -> tuple[int, ...]:
        """Shape of the state of one chain."""
        return model.input_shape_or_none

    def visible(self, model: Any, state: tf.Tensor) -> tf.Tensor:
        """The visible values of chains."""
        return state

    def energy(self, model: Any, state: tf.Tensor) -> tf.Tensor:
        """The energy of chains, (batch,)."""
        return model.normalized_energy(state)

    def get_config(self) -> dict[str, Any]:
        """Settings, for saving."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The sampler of these settings."""
        return cls(**config)


def positive(name: str, value: Any) -> float:
    """The value as a positive number; ValueError if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e300:
        raise ValueError(f"{name} must be a positive number, got {value!r}")
    return float(value)


def not_negative(name: str, value: Any) -> float:
    """The value as a number of zero or more; ValueError if it is not one."""
    return 0.0 if value in (0, 0.0) and value is not False else positive(name, value)
