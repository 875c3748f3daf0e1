"""Annealed Langevin dynamics."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.samplers.sampler import Sampler, Transition, positive


@keras.saving.register_keras_serializable(package="delvm_tf")
class AnnealedLangevin(Sampler):
    """Langevin dynamics that cools down through a ladder of noise levels σ_1 > … > σ_L.

    At level σ the density is exp(−E/T)/Z with the temperature T = (σ/σ_L)², its score is −∇E/T and
    the step is ε·T, in proportion to σ². Together

        x′ = x − ε∇E(x) + (σ/σ_L)·√(2ε)·noise

    so the drift is the same at all levels, only the noise shrinks, and the last level is
    `Langevin(ε)`: the chains end at samples of exp(−E)/Z. Each level takes the same number of
    steps; runs of fewer steps than levels skip the hottest. Hot chains cross between modes that
    chains at temperature 1 never leave.

    An energy trained by `DenoisingScoreMatching` at several levels has at noise σ the score
    −(σ₀/σ)²∇E, with σ₀ its reference level, which is this temperature with σ_L = σ₀.

    Source: Li, Chen and Sommer (2019), Learning energy-based models in high-dimensional spaces with
    multi-scale denoising score matching, section 4. Cost of a step: one forward and one backward
    pass.

    Args:
        levels: σ_1 … σ_L, two or more, decreasing; only their ratios matter. None for those of the
            model's `DenoisingScoreMatching`, down to its reference level.
        step_size: ε at the last level, in squared normalised units; above 2/λ, with λ the largest
            curvature of E (1/σ₀² for an energy that denoises perfectly), the chains diverge.

    Raises:
        TypeError: if the levels are not a sequence of numbers.
        ValueError: if there are fewer than two, they are not positive or do not decrease, or the
            step size is not positive.

    Examples:
        >>> model = dv.GaussianRBM(1, normalization="none", kernel_initializer="zeros")
        >>> model.build((None, 6))  # p(x) = N(0, I) without weights
        >>> sampler = dv.samplers.AnnealedLangevin(levels=(4.0, 2.0, 1.0), step_size=0.5)
        >>> samples = model.sample(1000, sampler, steps=150, seed=0)
        >>> round(float(np.var(samples)), 1)  # 1/(1 − ε/2), as that of `Langevin`
        1.3
    """

    def __init__(self, levels: Sequence[float] | None = None, step_size: float = 0.05):
        self.levels = None if levels is None else decreasing_levels("levels", levels, least=2)
        self.step_size = positive("step_size", step_size)

    def step(
        self, model: Any, state: tf.Tensor, seed: tf.Tensor, index: tf.Tensor, steps: tf.Tensor
    ) -> Transition:
        """One step at the level whose turn it is."""
        factor = tf.gather(self._factors(model, state.dtype), self._due(model, index, steps))
        gradient = model.normalized_gradient(state)
        drawn = noise.normal(tf.shape(state), seed, state.dtype)
        state = state - self.step_size * gradient
        state += math.sqrt(2 * self.step_size) * factor * drawn
        return Transition(state, tf.ones(tf.shape(state)[:1], state.dtype))

    def _factors(self, model: Any, dtype: tf.DType) -> tf.Tensor:
        """σ/σ_L of all levels, (L,)."""
        if self.levels is None:
            levels = _levels_of_objective(model, dtype)
        else:
            levels = tf.constant(self.levels, dtype)
        return levels / levels[-1]

    def _due(self, model: Any, index: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        """The level of a step; counted from the end, where the last level must be."""
        count = self._factors(model, tf.float32).shape[0]
        steps = tf.cast(steps, tf.int32)
        left = steps - 1 - tf.cast(index, tf.int32)
        return count - 1 - left * count // steps


def decreasing_levels(name: str, levels: Any, least: int = 1) -> tuple[float, ...]:
    """Noise levels, each positive and smaller than the one before; TypeError or ValueError else."""
    if isinstance(levels, str) or not hasattr(levels, "__iter__"):
        raise TypeError(f"{name} must be a sequence of numbers, got {levels!r}")
    if any(hasattr(level, "__len__") for level in levels):
        raise TypeError(f"{name} must be a flat sequence of numbers, got {levels!r}")
    values = [level.item() if hasattr(level, "item") else level for level in levels]
    numbers = tuple(positive(f"each of {name}", value) for value in values)
    if len(numbers) < least:
        raise ValueError(f"{name} must hold {least} or more numbers, got {list(numbers)}")
    if any(a <= b for a, b in itertools.pairwise(numbers)):
        raise ValueError(
            f"{name} must go down from the largest to the smallest, got {list(numbers)}"
        )
    return numbers


def _levels_of_objective(model: Any, dtype: tf.DType) -> tf.Tensor:
    annealing_levels = getattr(getattr(model, "objective", None), "annealing_levels", None)
    levels = None if annealing_levels is None else annealing_levels(dtype)
    if levels is None or levels.shape[0] < 2:
        raise ValueError(
            "the model was not trained at several noise levels that annealing could use; pass "
            "them, AnnealedLangevin(levels=(4.0, 2.0, 1.0)), or use Langevin()"
        )
    return levels
