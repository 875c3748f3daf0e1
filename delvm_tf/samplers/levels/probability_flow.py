"""The probability flow of the noise levels, a deterministic map from noise to data."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature.sums import beside
from delvm_tf.samplers.levels.level_sampler import LevelSampler, accepted_by_all
from delvm_tf.samplers.sampler import Transition

SOLVERS = ("heun", "euler")


@keras.saving.register_keras_serializable(package="delvm_tf")
class ProbabilityFlow(LevelSampler):
    """dx/dσ = σ∇E(x, σ), along which points of p_σ₁ become points of p_σ at every level σ.

    Nothing is random but the start. Per step from σ to σ′ with d(x, σ) = σ∇E(x, σ):

        Euler:  x′ = x + (σ′ − σ) d(x, σ)                         error O(1/N) after N steps
        Heun:   x″ = x + (σ′ − σ) ½(d(x, σ) + d(x′, σ′))          error O(1/N²)

    Source: Song et al. (2021), Score-based generative modeling through stochastic differential
    equations; Karras et al. (2022), algorithm 1. Cost of a step: a pass forward and one back, two
    of each for Heun.

    Args:
        solver: `"heun"` or `"euler"`.
        rho: see `LevelSampler`.
        largest: see `LevelSampler`.
        smallest: see `LevelSampler`.
        denoise: see `LevelSampler`.

    Examples:
        >>> model = dv.DensityDELVM(dv.networks.level_ffnn((8,), "silu"))
        >>> model.adapt(x)  # untrained, its density is N(0, I) in normalised units
        >>> samples = model.sample(1000, dv.samplers.ProbabilityFlow(), steps=50, seed=0)
        >>> round(float(np.std(samples) / np.std(x)), 1)
        1.0
    """

    def __init__(
        self,
        solver: str = "heun",
        rho: float = 7.0,
        largest: float | None = None,
        smallest: float | None = None,
        denoise: bool = True,
    ):
        if solver not in SOLVERS:
            raise ValueError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
        super().__init__(rho, largest, smallest, denoise)
        self.solver = solver

    def move(
        self, model: Any, z: tf.Tensor, log_sigma: tf.Tensor, log_next: tf.Tensor, seed: tf.Tensor
    ) -> Transition:
        """One step of the solver, down or up the levels."""
        change = beside(tf.exp(log_next) - tf.exp(log_sigma), z)
        slope = flow_slope(model, z, log_sigma)
        end = z + change * slope
        if self.solver == "heun":
            end = z + change * 0.5 * (slope + flow_slope(model, end, log_next))
        return Transition(end, accepted_by_all(z))


def flow_slope(model: Any, z: tf.Tensor, log_sigma: tf.Tensor) -> tf.Tensor:
    """dx/dσ = σ∇E(x, σ), shape of z."""
    return beside(tf.exp(log_sigma), z) * model.normalized_gradient(z, log_sigma)
