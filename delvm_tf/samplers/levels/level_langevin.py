"""Annealed Langevin dynamics over the energies of all noise levels."""

import math
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.samplers.levels.level_sampler import LevelSampler, langevin_factor, langevin_steps
from delvm_tf.samplers.sampler import Transition, positive_integer


@keras.saving.register_keras_serializable(package="delvm_tf")
class LevelLangevin(LevelSampler):
    """At each level of the schedule K Langevin steps x′ = x − cσ²∇E(x, σ) + √(2c)·σ·noise.

    In proportion to σ² steps are as large as the density p_σ allows: along directions that are all
    noise it comes out with the variance σ²/(1 − c/2). `AnnealedLangevin` is for models of one
    energy, which it heats.

    Source: Song and Ermon (2019), Generative modeling by estimating gradients of the data
    distribution, algorithm 1, whose setting is c = 0.1, K = 100 and ten levels. Cost of a step: K
    passes forward and K back.

    Args:
        steps_per_level: K.
        step_factor: c, below 2.
        rho: see `LevelSampler`; a geometric schedule by default, as in the source.
        largest: see `LevelSampler`.
        smallest: see `LevelSampler`.
        denoise: see `LevelSampler`.

    Raises:
        ValueError: for a number that is not positive, or c out of range; others as `LevelSampler`.

    Examples:
        >>> model = dv.DensityDELVM(dv.networks.level_ffnn((8,), "silu"))
        >>> model.adapt(x)  # untrained, its density is N(0, I) in normalised units
        >>> samples = model.sample(1000, dv.samplers.LevelLangevin(), steps=50, seed=0)
        >>> round(float(np.std(samples) / np.std(x)), 1)
        1.0
    """

    def __init__(
        self,
        steps_per_level: int = 20,
        step_factor: float = 0.1,
        rho: float = math.inf,
        largest: float | None = None,
        smallest: float | None = None,
        denoise: bool = True,
    ):
        super().__init__(rho, largest, smallest, denoise)
        self.steps_per_level = positive_integer("steps_per_level", steps_per_level)
        self.step_factor = langevin_factor(step_factor)

    def move(
        self, model: Any, z: tf.Tensor, log_sigma: tf.Tensor, log_next: tf.Tensor, seed: tf.Tensor
    ) -> Transition:
        """The steps at the next level."""
        return langevin_steps(model, z, log_next, self.step_factor, self.steps_per_level, seed)
