"""Schedules: the noise levels that a run passes, from the largest to the smallest."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.samplers.sampler import positive


def log_level(share: tf.Tensor, largest: Any, smallest: Any, rho: float) -> tf.Tensor:
    """Log σ at a share t of the way from the largest level to the smallest.

        σ(t) = ((1−t) σ₁^(1/ρ) + t σ₀^(1/ρ))^ρ          σ₁ largest, σ₀ smallest

    which is linear in σ at ρ = 1, and tends to the geometric σ₁^(1−t) σ₀^t as ρ → ∞; larger ρ have
    more steps at small levels. At ρ = 7 the errors of the flow at all levels are about balanced.

    Source: Karras et al. (2022), Elucidating the design space of diffusion-based generative models,
    eq. 5.

    Args:
        share: t from 0 to 1; its type is that of the result.
        largest: σ₁, a number or one of each example, (batch,).
        smallest: σ₀.
        rho: ρ, a positive number or infinity.
    """
    first = tf.math.log(tf.convert_to_tensor(largest, share.dtype))
    last = tf.math.log(tf.convert_to_tensor(smallest, share.dtype))
    if math.isinf(rho):
        return (1 - share) * first + share * last
    root = (1 - share) * tf.exp(first / rho) + share * tf.exp(last / rho)
    return rho * tf.math.log(root)


def schedule(steps: int, largest: float, smallest: float, rho: float) -> np.ndarray:
    """The levels at the ends of so many intervals, (steps + 1,), float64; see `log_level`."""
    share = tf.linspace(tf.constant(0.0, tf.float64), 1.0, steps + 1)
    return np.exp(log_level(share, largest, smallest, rho))


def positive_or_infinite(name: str, value: Any) -> float:
    """The value as a positive number or infinity; ValueError if it is neither."""
    return math.inf if value == math.inf else positive(name, value)
