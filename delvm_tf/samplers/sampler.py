"""What every sampler has."""

import abc
import inspect
from typing import Any, NamedTuple, Self

import tensorflow as tf

from delvm_tf import noise


class Transition(NamedTuple):
    """The outcome of a step of some chains.

    Attributes:
        state: the chains, (batch, ...).
        accepted: 1 where the step was accepted and 0 where not, or the share of its parts that were
            accepted, (batch,).

    Examples:
        >>> state = dv.noise.normal((100, 6), seed=[0, 0])
        >>> moved = dv.samplers.MALA(0.5).step(model, state, seed=[0, 1], index=0, steps=1)
        >>> moved.state.shape, np.unique(moved.accepted)
        (TensorShape([100, 6]), array([0., 1.], dtype=float32))
    """

    state: tf.Tensor
    accepted: tf.Tensor


class Sampler(abc.ABC):
    """A Markov chain on the normalised inputs of an `EnergyModel`.

    A subclass gives `step`. A sampler holds no state, only its settings: attributes with the names
    of its arguments.

    Attributes:
        usual_steps: the steps of a run that is told no number.
        over_levels: whether it needs a model with an energy at each noise level.

    Examples:
        Down to the mode, without noise:

        >>> class Descent(dv.samplers.Sampler):
        ...     def step(self, model, state, seed, index, steps):
        ...         state = state - 0.1 * model.normalized_gradient(state)
        ...         return dv.samplers.Transition(state, tf.ones(tf.shape(state)[:1]))
        >>> model = dv.GaussianRBM(1, normalization="none", kernel_initializer="zeros")
        >>> model.build((None, 6))  # E(x) = ½‖x‖² without weights
        >>> np.allclose(model.sample(10, Descent(), steps=200), 0, atol=1e-6)
        True
    """

    usual_steps = 1000
    over_levels = False

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

    def begin(self, model: Any, n: Any, seed: tf.Tensor) -> tf.Tensor:
        """Where n chains start unless they are told, in normalised units, (n, ...).

        At normal noise times the normalisation's `scale`, which is about the spread of the data.
        """
        shape = (n, *model.input_shape_or_none)
        z = noise.normal(shape, seed, model.normalization.result_dtype)
        return z * model.normalization.scale

    def start(self, model: Any, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The state of chains that start at z."""
        return z

    def state_shape(self, model: Any) -> tuple[int, ...]:
        """Shape of the state of one chain."""
        return model.input_shape_or_none

    def visible(self, model: Any, state: tf.Tensor) -> tf.Tensor:
        """The visible values of chains."""
        return state

    def energy(
        self, model: Any, state: tf.Tensor, done: Any = None, steps: Any = None
    ) -> tf.Tensor:
        """The energy of chains, (batch,), after so many steps of a run of `steps`."""
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


def positive_integer(name: str, value: Any) -> int:
    """The value as it is; ValueError if it is no integer of one or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return value


def not_negative(name: str, value: Any) -> float:
    """The value as a number of zero or more; ValueError if it is not one."""
    return 0.0 if value in (0, 0.0) and value is not False else positive(name, value)
