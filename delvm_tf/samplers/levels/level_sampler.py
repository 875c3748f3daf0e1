"""What samplers over noise levels share: the schedule, the start, and the mean at the end."""

import abc
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.sums import beside
from delvm_tf.samplers.levels.schedule import log_level, positive_or_infinite, schedule
from delvm_tf.samplers.sampler import Sampler, Transition, positive


class LevelSampler(Sampler):
    """Chains that pass the noise levels of a model, from a broad density to that of the data.

    A run of N steps passes N intervals of a schedule, at whose ends the levels are

        σᵢ = ((1 − i/N) σ₁^(1/ρ) + (i/N) σ₀^(1/ρ))^ρ        i = 0 … N

    Chains start at N(0, (s² + σ₁²)I) in normalised units, where s is the normalisation's `scale`,
    the spread of centred data: p_σ₁ if σ₁ is several times s. Starts that are given, `initial`, are
    taken as they are, at the level σ₁. Energies of a run are at the level of the step.

    Args:
        rho: ρ; `math.inf` for a geometric schedule.
        largest: the level σ₁ where chains start; the model's largest by default.
        smallest: the level σ₀ where they end; the model's smallest by default.
        denoise: whether the last step goes on to the posterior mean x̂(x, σ₀) = x − σ₀²∇E(x, σ₀),
            which takes the noise of σ₀ off the samples. Without it they have the density p_σ₀.

    Raises:
        ValueError: for levels that are not positive or do not decrease; when it runs, for levels
            beyond those of the model.
        TypeError: when it runs, for a model without noise levels.

    Examples:
        >>> sampler = dv.samplers.ProbabilityFlow(rho=1.0, largest=2.0, smallest=0.5)
        >>> isinstance(sampler, dv.samplers.LevelSampler)
        True
        >>> sampler.levels(dv.NoiseConditionalDELVM(dv.networks.level_ffnn()), steps=3)
        array([2. , 1.5, 1. , 0.5])
    """

    usual_steps = 50
    over_levels = True

    def __init__(
        self, rho: float, largest: float | None, smallest: float | None, denoise: bool
    ) -> None:
        self.rho = positive_or_infinite("rho", rho)
        self.largest = None if largest is None else positive("largest", largest)
        self.smallest = None if smallest is None else positive("smallest", smallest)
        if self.largest and self.smallest and self.largest <= self.smallest:
            raise ValueError(
                f"smallest must be less than largest={self.largest:g}, got {self.smallest:g}"
            )
        if not isinstance(denoise, bool):
            raise ValueError(f"denoise must be True or False, got {denoise!r}")
        self.denoise = denoise

    @abc.abstractmethod
    def move(
        self,
        model: Any,
        z: tf.Tensor,
        log_sigma: tf.Tensor,
        log_next: tf.Tensor,
        seed: tf.Tensor,
    ) -> Transition:
        """One step from a level to the next.

        Args:
            model: the model.
            z: the chains, (batch, ...), at the first of both levels.
            log_sigma: log σ of that level, a number or one of each chain, (batch,).
            log_next: log σ of the level where the step ends.
            seed: of the step.
        """

    def ends(self, model: Any) -> tuple[float, float]:
        """The levels where runs start and end, the largest and the smallest.

        Raises:
            TypeError: for a model without noise levels.
            ValueError: for levels that the model does not learn, or that do not decrease.
        """
        levels = getattr(model, "noise_levels", None)
        if not getattr(model, "noise_conditional", False) or not levels:
            raise TypeError(
                f"{type(self).__name__} needs a model with an energy at each noise level, such as "
                f"dv.NoiseConditionalDELVM or dv.DensityDELVM, and {type(model).__name__} has one "
                f"energy; use dv.samplers.MALA()"
            )
        largest = levels[0] if self.largest is None else self.largest
        smallest = levels[-1] if self.smallest is None else self.smallest
        for name, level in (("largest", largest), ("smallest", smallest)):
            if not levels[-1] * (1 - 1e-6) <= level <= levels[0] * (1 + 1e-6):
                raise ValueError(
                    f"{name} must lie between the smallest and the largest level that "
                    f"{type(model).__name__} learns, {levels[-1]:g} and {levels[0]:g}, got "
                    f"{level:g}"
                )
        if largest <= smallest:
            raise ValueError(
                f"{type(self).__name__} goes from a larger to a smaller level, and not from "
                f"{largest:g} to {smallest:g}"
            )
        return largest, smallest

    def levels(self, model: Any, steps: int | None = None) -> np.ndarray:
        """The levels at the start of a run and after each of its steps, (steps + 1,)."""
        return schedule(self.usual_steps if steps is None else steps, *self.ends(model), self.rho)

    def step(
        self, model: Any, state: tf.Tensor, seed: tf.Tensor, index: tf.Tensor, steps: tf.Tensor
    ) -> Transition:
        """One interval of the schedule, and after the last the mean."""
        now, then = (self._log_level(model, index + k, steps, state.dtype) for k in (0, 1))
        moved = self.move(model, state, now, then, seed)
        if not self.denoise:
            return moved
        mean = tf.cond(
            index + 1 >= steps,
            lambda: model.normalized_reconstruction(moved.state, then),
            lambda: moved.state,
        )
        return Transition(mean, moved.accepted)

    def begin(self, model: Any, n: Any, seed: tf.Tensor) -> tf.Tensor:
        """Normal noise of the variance s² + σ₁², (n, ...)."""
        spread, largest = model.normalization.scale, self.ends(model)[0]
        return super().begin(model, n, seed) * float(np.hypot(spread, largest) / spread)

    def energy(
        self, model: Any, state: tf.Tensor, done: Any = None, steps: Any = None
    ) -> tf.Tensor:
        """The energy at the level that chains have reached, (batch,); at σ₀ unless told."""
        done, steps = (1, 1) if done is None else (done, steps)
        return model.normalized_energy(state, self._log_level(model, done, steps, state.dtype))

    def _log_level(self, model: Any, done: Any, steps: Any, dtype: tf.DType) -> tf.Tensor:
        share = tf.cast(done, dtype) / tf.cast(steps, dtype)
        return log_level(share, *self.ends(model), self.rho)


def langevin_factor(value: Any) -> float:
    """The factor c of Langevin steps cσ² as a number.

    Raises:
        ValueError: unless it is positive and below 2, from where on steps overshoot and run away.
    """
    factor = positive("step_factor", value)
    if factor >= 2:
        raise ValueError(f"step_factor must be less than 2, got {value!r}")
    return factor


def langevin_steps(
    model: Any,
    z: tf.Tensor,
    log_sigma: tf.Tensor,
    step_factor: float,
    count: int,
    seed: tf.Tensor,
) -> Transition:
    """So many Langevin steps of the size cσ², x − cσ²∇E(x, σ) + √(2c)·σ·noise, in a row."""
    pull = tf.exp(2 * log_sigma) * step_factor
    spread = tf.exp(log_sigma) * (2 * step_factor) ** 0.5

    def step(z: tf.Tensor, seed: tf.Tensor) -> Transition:
        drawn = noise.normal(tf.shape(z), seed, z.dtype)
        gradient = model.normalized_gradient(z, log_sigma)
        moved = z - beside(pull, z) * gradient + beside(spread, z) * drawn
        return Transition(moved, accepted_by_all(z))

    return repeat(count, step, z, seed)


def repeat(
    count: int,
    step: Callable[[tf.Tensor, tf.Tensor], Transition],
    z: tf.Tensor,
    seed: tf.Tensor,
) -> Transition:
    """So many steps of (chains, seed) in a row, and the share that each chain accepted."""
    accepted = tf.zeros(tf.shape(z)[:1], z.dtype)

    def body(index: tf.Tensor, z: tf.Tensor, accepted: tf.Tensor) -> tuple[tf.Tensor, ...]:
        moved = step(z, noise.fold(seed, index))
        return index + 1, tf.ensure_shape(moved.state, z.shape), accepted + moved.accepted

    _, z, accepted = tf.while_loop(
        lambda index, *_: index < count, body, (tf.constant(0), z, accepted)
    )
    return Transition(z, accepted / count)


def accepted_by_all(z: tf.Tensor) -> tf.Tensor:
    """1 of each chain, (batch,), for steps that nothing refuses."""
    return tf.ones(tf.shape(z)[:1], z.dtype)
