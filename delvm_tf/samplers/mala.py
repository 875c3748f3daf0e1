"""The Metropolis-adjusted Langevin algorithm."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.sums import beside, sum_per_example
from delvm_tf.samplers.sampler import Sampler, Transition, positive

EnergyAndGradient = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


@keras.saving.register_keras_serializable(package="delvm_tf")
class MALA(Sampler):
    """Langevin steps as proposals, accepted so that exp(−E)/Z is exactly stationary.

    With the proposal q(x′|x) = N(x − ε∇E(x), 2εI), x′ is accepted with probability
    min(1, exp(E(x) − E(x′)) q(x|x′)/q(x′|x)). Best near an acceptance rate of 0.57.

    Source: Roberts and Tweedie (1996), Exponential convergence of Langevin distributions and their
    discrete approximations. Cost of a step: two forward and two backward passes.

    Args:
        step_size: ε, in squared normalised units.

    Raises:
        ValueError: if the step size is not positive.

    Examples:
        >>> model = dv.GaussianRBM(1, normalization="none", kernel_initializer="zeros")
        >>> model.build((None, 6))  # p(x) = N(0, I) without weights
        >>> samples = model.sample(1000, dv.samplers.MALA(step_size=0.5), steps=50, seed=0)
        >>> round(float(np.var(samples)), 1)
        1.0
    """

    def __init__(self, step_size: float = 0.1):
        self.step_size = positive("step_size", step_size)

    def step(
        self, model: Any, state: tf.Tensor, seed: tf.Tensor, index: tf.Tensor, steps: tf.Tensor
    ) -> Transition:
        """Propose, and accept or stay."""
        return metropolis_step(lambda z: energy_and_gradient(model, z), state, self.step_size, seed)


def metropolis_step(
    energy_and_gradient: EnergyAndGradient, state: tf.Tensor, step_size: Any, seed: tf.Tensor
) -> Transition:
    """A Langevin step of a size ε as proposal, accepted or not; see `MALA`."""
    drawn = noise.normal(tf.shape(state), noise.fold(seed, 0), state.dtype)
    lots = noise.uniform(tf.shape(state)[:1], noise.fold(seed, 1), state.dtype)
    return metropolis_move(energy_and_gradient, state, step_size, drawn, lots)


def metropolis_move(
    energy_and_gradient: EnergyAndGradient,
    state: tf.Tensor,
    step_size: Any,
    drawn: tf.Tensor,
    lots: tf.Tensor,
    free: tf.Tensor | None = None,
) -> Transition:
    """The step that random numbers stand for.

    Args:
        energy_and_gradient: E, (batch,), and ∇E of a batch.
        state: the chains, (batch, ...).
        step_size: ε, a number or one of each chain, (batch,).
        drawn: normal numbers, shape of the state.
        lots: uniform numbers, (batch,).
        free: 1 for values that move and 0 for those that stay, as broadcasts to the state; all
            move without. What is sampled is then the density of the free values given the others.
    """
    step = beside(tf.convert_to_tensor(step_size, state.dtype), state)
    drift = step if free is None else step * free
    drawn = drawn if free is None else drawn * free
    energy, gradient = energy_and_gradient(state)
    proposal = state - drift * gradient + tf.sqrt(2 * step) * drawn
    new_energy, new_gradient = energy_and_gradient(proposal)
    back = (state - proposal + drift * new_gradient) * tf.math.rsqrt(2 * step)
    log_ratio = energy - new_energy
    log_ratio += 0.5 * (sum_per_example(tf.square(drawn)) - sum_per_example(tf.square(back)))
    accept = tf.math.log(lots) < log_ratio  # False if the ratio is NaN
    return Transition(
        tf.where(beside(accept, state), proposal, state), tf.cast(accept, state.dtype)
    )


def energy_and_gradient(model: Any, z: tf.Tensor, *level: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """E and ∇E of a batch, of a model with noise levels at log σ."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(z)
        energy = model.normalized_energy(z, *level)
    return energy, tape.gradient(energy, z)
