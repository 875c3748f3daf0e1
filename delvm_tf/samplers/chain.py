"""Running chains inside a graph."""

from typing import Any

import tensorflow as tf

from delvm_tf import noise
from delvm_tf.samplers.sampler import Sampler, Transition


def run_chain(
    sampler: Sampler,
    model: Any,
    state: tf.Tensor,
    steps: Any,
    seed: tf.Tensor,
    first: Any = 0,
    total: Any = None,
) -> Transition:
    """Several steps of chains, without a gradient.

    Args:
        sampler: makes the steps.
        model: the `EnergyModel`.
        state: where the chains are, (batch, ...).
        steps: how many steps.
        seed: of the whole run, (2,).
        first: number of the first step, for a run in parts.
        total: steps of the whole run; by default `steps`.

    Returns:
        The state after the last step, and the share of steps accepted by each chain.

    Examples:
        >>> state = dv.noise.normal((100, 6), seed=[0, 0])
        >>> run = dv.samplers.run_chain(dv.samplers.MALA(0.5), model, state, steps=10, seed=[0, 1])
        >>> run.state.shape, run.accepted.shape
        (TensorShape([100, 6]), TensorShape([100]))
    """
    shape = state.shape
    total = tf.convert_to_tensor(steps if total is None else total)

    def step(index: Any, state: tf.Tensor, accepted: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
        at = tf.convert_to_tensor(first + index)
        moved = sampler.step(model, state, noise.fold(seed, at), at, total)
        return index + 1, tf.ensure_shape(moved.state, shape), accepted + moved.accepted

    accepted = tf.zeros(tf.shape(state)[:1], state.dtype)
    if isinstance(steps, int) and steps == 1:
        _, state, accepted = step(0, state, accepted)
    else:
        _, state, accepted = tf.while_loop(
            lambda index, *_: index < steps, step, (tf.constant(0), state, accepted)
        )
    return Transition(
        tf.stop_gradient(state), tf.stop_gradient(accepted / tf.cast(steps, accepted.dtype))
    )
