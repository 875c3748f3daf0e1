"""The Metropolis-adjusted Langevin algorithm."""

import math
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.samplers.sampler import Sampler, Transition, positive


@keras.saving.register_keras_serializable(package="delvm_tf")
class MALA(Sampler):
    """Langevin steps as proposals, accepted so that exp(−E)/Z is exactly stationary.

    With the proposal q(x′|x) = N(x − ε∇E(x), 2εI), x′ is accepted with probability
    min(1, exp(E(x) − E(x′)) q(x|x′)/q(x′|x)). Best near an acceptance rate of 0.57.

    Source: Roberts and Tweedie (1996). Cost of a step: two forward and two backward passes.

    Args:
        step_size: ε, in squared normalised units.
    """

    def __init__(self, step_size: float = 0.1):
        self.step_size = positive("step_size", step_size)

    def step(
        self, model: Any, state: tf.Tensor, seed: tf.Tensor, index: tf.Tensor, steps: tf.Tensor
    ) -> Transition:
        """Propose, and accept or stay."""
        epsilon = self.step_size
        energy, gradient = energy_and_gradient(model, state)
        drawn = noise.normal(tf.shape(state), noise.fold(seed, 0), state.dtype)
        proposal = state - epsilon * gradient + math.sqrt(2 * epsilon) * drawn
        new_energy, new_gradient = energy_and_gradient(model, proposal)
        back = state - proposal + epsilon * new_gradient
        log_ratio = (
            energy
            - new_energy
            + 0.5 * sum_per_example(tf.square(drawn))
            - sum_per_example(tf.square(back)) / (4 * epsilon)
        )
        u = noise.uniform(tf.shape(energy), noise.fold(seed, 1), energy.dtype)
        accept = tf.math.log(u) < log_ratio  # False if the ratio is NaN
        chosen = tf.reshape(accept, (-1,) + (1,) * (state.shape.rank - 1))
        return Transition(tf.where(chosen, proposal, state), tf.cast(accept, state.dtype))


def energy_and_gradient(model: Any, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """E and ∇E of a batch."""
    with tf.GradientTape() as tape:
        tape.watch(z)
        energy = model.normalized_energy(z)
    return energy, tape.gradient(energy, z)
