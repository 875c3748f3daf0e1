"""Gibbs sampling through the hidden variables."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf.samplers.sampler import Sampler, Transition, not_negative


@keras.saving.register_keras_serializable(package="delvm_tf")
class Gibbs(Sampler):
    """h given x, then x given h.

    Exact where the energy is quadratic in x given h: for Boltzmann machines and linear networks.
    Other networks are linearised around x, which is the sampler of Guo and Kim (2023). Cost of a
    step: one forward and one backward pass.

    Args:
        visible_noise: factor on the noise of x given h; 0 for its mean Jᵀh, as in the paper.

    Raises:
        ValueError: if the factor is negative.

    Examples:
        >>> model = dv.GaussianRBM(1, normalization="none", kernel_initializer="zeros")
        >>> model.build((None, 6))  # p(x) = N(0, I) without weights
        >>> samples = model.sample(1000, dv.samplers.Gibbs(), steps=1, seed=0)
        >>> round(float(np.var(samples)), 1)
        1.0
    """

    def __init__(self, visible_noise: float = 1.0):
        self.visible_noise = not_negative("visible_noise", visible_noise)

    def step(
        self, model: Any, state: tf.Tensor, seed: tf.Tensor, index: tf.Tensor, steps: tf.Tensor
    ) -> Transition:
        """One round."""
        state = model.gibbs_step(state, seed, self.visible_noise)
        return Transition(state, tf.ones(tf.shape(state)[:1], state.dtype))

    def start(self, model: Any, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The state of chains that start at z."""
        return model.gibbs_start(z, seed)

    def state_shape(self, model: Any) -> tuple[int, ...]:
        """Shape of the state of one chain."""
        return model.gibbs_state_shape()

    def visible(self, model: Any, state: tf.Tensor) -> tf.Tensor:
        """The visible values of chains."""
        return model.gibbs_visible(state)

    def energy(
        self, model: Any, state: tf.Tensor, done: Any = None, steps: Any = None
    ) -> tf.Tensor:
        """The energy of chains, (batch,)."""
        return model.gibbs_energy(state)
