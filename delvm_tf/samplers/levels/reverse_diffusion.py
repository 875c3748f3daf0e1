"""The reverse of the diffusion that adds noise, level by level."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.sums import beside
from delvm_tf.samplers.levels.level_sampler import (
    LevelSampler,
    accepted_by_all,
    langevin_factor,
    langevin_steps,
)
from delvm_tf.samplers.sampler import Transition, positive_integer


@keras.saving.register_keras_serializable(package="delvm_tf")
class ReverseDiffusion(LevelSampler):
    """Ancestral steps between levels, and Langevin steps at each.

    Given the data x₀ and x at level σ, the point at level σ′ < σ is normal. With the posterior mean
    x̂ = x − σ²∇E in place of x₀:

        x′ = x − (σ² − σ′²)∇E(x, σ) + σ′√(1 − σ′²/σ²)·noise

    which is exact as the steps become many, the error O(1/N). Then `correctors` Langevin steps
    x − cσ′²∇E + √(2c)σ′·noise at σ′ take errors back that have built up.

    Source: Ho et al. (2020), Denoising diffusion probabilistic models; Song et al. (2021), the
    predictor and corrector of the variance-exploding equation. Cost of a step: a pass forward and
    one back, and as much for each corrector.

    Args:
        correctors: Langevin steps at each level.
        step_factor: c, below 2.
        rho: see `LevelSampler`.
        largest: see `LevelSampler`.
        smallest: see `LevelSampler`.
        denoise: see `LevelSampler`.

    Examples:
        >>> model = dv.DensityDELVM(dv.networks.level_ffnn((8,), "silu"))
        >>> model.adapt(x)  # untrained, its density is N(0, I) in normalised units
        >>> samples = model.sample(1000, dv.samplers.ReverseDiffusion(), steps=100, seed=0)
        >>> round(float(np.std(samples) / np.std(x)), 1)
        1.0
    """

    usual_steps = 200

    def __init__(
        self,
        correctors: int = 0,
        step_factor: float = 0.1,
        rho: float = 7.0,
        largest: float | None = None,
        smallest: float | None = None,
        denoise: bool = True,
    ):
        super().__init__(rho, largest, smallest, denoise)
        self.correctors = positive_integer("correctors", correctors) if correctors else 0
        self.step_factor = langevin_factor(step_factor)

    def move(
        self, model: Any, z: tf.Tensor, log_sigma: tf.Tensor, log_next: tf.Tensor, seed: tf.Tensor
    ) -> Transition:
        """An ancestral step, and the correctors."""
        z = ancestral_step(model, z, log_sigma, log_next, noise.fold(seed, 0))
        if self.correctors:
            factor, own = self.step_factor, noise.fold(seed, 1)
            return langevin_steps(model, z, log_next, factor, self.correctors, own)
        return Transition(z, accepted_by_all(z))


def ancestral_step(
    model: Any, z: tf.Tensor, log_sigma: tf.Tensor, log_next: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """A draw of the point at the next level given x and x₀ = x̂; see `ReverseDiffusion`."""
    variance, next_variance = tf.exp(2 * log_sigma), tf.exp(2 * log_next)
    spread = tf.sqrt(next_variance * (1 - next_variance / variance))
    drawn = noise.normal(tf.shape(z), seed, z.dtype)
    pull = beside(variance - next_variance, z) * model.normalized_gradient(z, log_sigma)
    return z - pull + beside(spread, z) * drawn
