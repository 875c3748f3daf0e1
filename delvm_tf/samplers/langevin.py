"""Langevin dynamics."""

import math
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.samplers.sampler import Sampler, Transition, not_negative, positive


@keras.saving.register_keras_serializable(package="delvm_tf")
class Langevin(Sampler):
    """x′ = x − ε∇E(x) + τ·noise, with τ = √(2ε) unless given.

    Its stationary density tends to exp(−E)/Z as ε → 0; for E = ½x²/s its variance is
    s/(1 − ε/(2s)). A smaller τ samples a colder density, as is common for energy models of images.
    Cost of a step: one forward and one backward pass.

    Args:
        step_size: ε, in squared normalised units; above 2/λ, with λ the largest curvature of E,
            the chain diverges.
        noise_level: τ; None for √(2ε).
        clip: bound on each component of ∇E, or None.

    Raises:
        ValueError: if the step size or the bound is not positive, or the noise negative.

    Examples:
        >>> model = dv.GaussianRBM(1, normalization="none", kernel_initializer="zeros")
        >>> model.build((None, 6))  # p(x) = N(0, I) without weights
        >>> samples = model.sample(1000, dv.samplers.Langevin(step_size=1.0), steps=50, seed=0)
        >>> round(float(np.var(samples)), 1)  # 1/(1 − ε/2)
        2.0
    """

    def __init__(
        self, step_size: float = 0.05, noise_level: float | None = None, clip: float | None = None
    ):
        self.step_size = positive("step_size", step_size)
        self.noise_level = None if noise_level is None else not_negative("noise_level", noise_level)
        self.clip = None if clip is None else positive("clip", clip)

    def step(
        self, model: Any, state: tf.Tensor, seed: tf.Tensor, index: tf.Tensor, steps: tf.Tensor
    ) -> Transition:
        """One step down the energy, with noise."""
        gradient = model.normalized_gradient(state)
        if self.clip is not None:
            gradient = tf.clip_by_value(gradient, -self.clip, self.clip)
        level = math.sqrt(2 * self.step_size) if self.noise_level is None else self.noise_level
        state = state - self.step_size * gradient
        if level:
            state += level * noise.normal(tf.shape(state), seed, state.dtype)
        return Transition(state, tf.ones(tf.shape(state)[:1], state.dtype))
