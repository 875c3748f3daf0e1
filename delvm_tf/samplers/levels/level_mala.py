"""Metropolis-adjusted Langevin steps on the energies of all noise levels."""

import math
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.samplers.levels.level_sampler import LevelSampler, repeat
from delvm_tf.samplers.mala import energy_and_gradient, metropolis_step
from delvm_tf.samplers.sampler import Transition, positive, positive_integer


@keras.saving.register_keras_serializable(package="delvm_tf")
class LevelMALA(LevelSampler):
    """At each level of the schedule K steps of `MALA` of the size cσ² on E(x, σ).

    Each leaves exp(−E(x, σ))/Z exactly as it is, at any c, which takes an energy and not only its
    slope. What is left is that chains need steps to reach the density of a level from that of the
    one before. A run with `record_every=1` gives the acceptance at each level.

    Where p_σ is mostly noise, c = 1.36 d^(−1/3) accepts about 0.57 in many dimensions d (Roberts
    and Rosenthal 1998). In float32 energies of large inputs at small levels are rounded, by about
    6·10⁻⁸‖x/σ‖², which should stay well below one; the energies of `DensityDELVM` and of
    `preconditioned` models are smaller. Cost of a step: 2K passes forward and 2K back.

    Args:
        steps_per_level: K.
        step_factor: c; None for 1.36 d^(−1/3).
        rho: see `LevelSampler`; a geometric schedule by default.
        largest: see `LevelSampler`.
        smallest: see `LevelSampler`.
        denoise: see `LevelSampler`.

    Examples:
        >>> model = dv.DensityDELVM(dv.networks.level_ffnn((8,), "silu"))
        >>> model.adapt(x)  # untrained, its density is N(0, I) in normalised units
        >>> run = model.sample(1000, dv.samplers.LevelMALA(), steps=50, seed=0, details=True)
        >>> round(float(np.std(run.samples) / np.std(x)), 1)
        1.0
        >>> 0.4 < run.acceptance_rate < 1
        True
    """

    def __init__(
        self,
        steps_per_level: int = 10,
        step_factor: float | None = None,
        rho: float = math.inf,
        largest: float | None = None,
        smallest: float | None = None,
        denoise: bool = True,
    ):
        super().__init__(rho, largest, smallest, denoise)
        self.steps_per_level = positive_integer("steps_per_level", steps_per_level)
        self.step_factor = None if step_factor is None else positive("step_factor", step_factor)

    def move(
        self, model: Any, z: tf.Tensor, log_sigma: tf.Tensor, log_next: tf.Tensor, seed: tf.Tensor
    ) -> Transition:
        """The steps at the next level."""
        size = self.factor(model) * tf.exp(2 * log_next)

        def step(z: tf.Tensor, seed: tf.Tensor) -> Transition:
            return metropolis_step(
                lambda at: energy_and_gradient(model, at, log_next), z, size, seed
            )

        return repeat(self.steps_per_level, step, z, seed)

    def factor(self, model: Any) -> float:
        """The step size in units of σ²."""
        if self.step_factor is not None:
            return self.step_factor
        return usual_factor(math.prod(model.input_shape_or_none))


def usual_factor(size: int) -> float:
    """The step size, in units of σ², that accepts about 0.57 of noise of so many dimensions."""
    return 1.36 * size ** (-1 / 3)
