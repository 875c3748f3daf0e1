"""The diffusion that adds noise, run back to data, also where some values are known."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.sums import beside, sum_per_example
from delvm_tf.models.reconstruction_model import FunctionOfModel
from delvm_tf.samplers.levels.level_mala import usual_factor
from delvm_tf.samplers.levels.schedule import log_level
from delvm_tf.samplers.mala import energy_and_gradient, metropolis_move

RHO = 7.0
BEST_RATE = 0.574  # of acceptance, in many dimensions (Roberts and Rosenthal 1998)


class Known(NamedTuple):
    """Values that are known.

    Attributes:
        where: whether a value is, boolean, (batch, ...).
        values: what it is, (batch, ...).
    """

    where: tf.Tensor
    values: tf.Tensor

    @property
    def free(self) -> tf.Tensor:
        """1 for values that are not known and 0 for others."""
        return tf.cast(~self.where, self.values.dtype)


class Points(NamedTuple):
    """Points on their way: z, the factor f of each step size, and the logarithm of each weight."""

    z: tf.Tensor
    factor: tf.Tensor
    log_weight: tf.Tensor


@dataclass(frozen=True)
class Reversal(FunctionOfModel):
    """The diffusion that adds noise, run back from given levels to data, some values being known.

    Between levels σ and σ′ a point goes to

        x′ = m + (σ′/σ)²(x − m) + σ′√(1 − σ′²/σ²)·noise

    where m is the posterior mean x̂(x, σ), and at known values these themselves. Then free values
    take `correctors` Metropolis-adjusted Langevin steps on E(x, σ′), which keep their density given
    the noisy known ones. Step sizes are fσ′²; after each level f grows or shrinks by the share of
    the point's steps that was accepted, so that they stay large where data are wider than σ′. The
    run ends at m of the smallest level.

    With `particles` many points of one row go down together, beside the same noisy known values.
    Each has the weight

        exp(E(x, σ) − E(x′, σ′)) q(x | x′)/k(x′ | x)        q = N(x′, (σ² − σ′²)I), k the step

    over free values, points are drawn anew by it where fewer than half count, and one is at the
    end. The constants of E(·, σ) are the same for all, so that they need not be known. Weights
    carry what known values tell at small levels back to what was decided at large ones: draws are
    from the conditional density as particles become many, while one particle has the odds of
    modes as blurred known values tell them. Source: Trippe et al. (2023), Diffusion probabilistic
    modeling of protein backbones, for particles, there with weights without an energy.

    Attributes:
        steps: intervals of the schedule.
        correctors: Metropolis-adjusted steps after each.
        particles: points of each row.
    """

    steps: int
    correctors: int = 0
    particles: int = 1

    def __call__(
        self,
        z: tf.Tensor,
        log_sigma: tf.Tensor,
        seed: noise.Seed,
        known: Known | None = None,
    ) -> tf.Tensor:
        """Data, one of each row, (rows, ...).

        Args:
            z: points, (rows · particles, ...), at the levels; those of a row stand together.
            log_sigma: log σ of each point, (batch,), or of all.
            seed: of the run.
            known: values that are known, for each point.
        """
        smallest = self.model.noise_levels[-1]

        def log_sigma_after(done: tf.Tensor) -> tf.Tensor:
            share = tf.cast(done, z.dtype) / self.steps
            return log_level(share, tf.exp(log_sigma), smallest, RHO)

        def body(index: tf.Tensor, *parts: tf.Tensor) -> tuple[tf.Tensor, ...]:
            levels = log_sigma_after(index), log_sigma_after(index + 1)
            points = self._step(Points(*parts), *levels, noise.fold(seed, index), known)
            return index + 1, tf.ensure_shape(points.z, z.shape), *points[1:]

        ones = tf.ones(tf.shape(z)[:1], z.dtype)
        start = (tf.constant(0), z, ones * usual_factor(math.prod(z.shape[1:])), ones * 0)
        _, *parts = tf.while_loop(lambda index, *_: index < self.steps, body, start)
        points, last = Points(*parts), log_sigma_after(tf.constant(self.steps))
        if self.particles == 1:
            return self._mean(points.z, last, known)
        chosen = self._drawn_by_weight(points.log_weight, noise.fold(seed, self.steps), 1)[:, 0]
        left = None if known is None else Known(*(part[:: self.particles] for part in known))
        return self._mean(tf.gather(points.z, chosen), last, left)

    def _mean(self, z: tf.Tensor, level: tf.Tensor, known: Known | None) -> tf.Tensor:
        estimate = self.model.normalized_reconstruction(z, level)
        return estimate if known is None else tf.where(known.where, known.values, estimate)

    def _step(
        self,
        points: Points,
        level: tf.Tensor,
        then: tf.Tensor,
        seed: noise.Seed,
        known: Known | None,
    ) -> Points:
        """Points at the next level, and there corrected."""
        z, factor, log_weight = points
        shape = tf.concat([tf.shape(z)[:1], [1 + self.correctors], tf.shape(z)[1:]], axis=0)
        drawn = noise.normal(shape, noise.fold(seed, 0), z.dtype)
        of_step = self.shared(drawn[:, 0], known)
        ratio = tf.exp(2 * (then - level))
        spread = tf.exp(then) * tf.sqrt(1 - ratio)
        centre = self._mean(z, level, known)
        moved = centre + beside(ratio, z) * (z - centre) + beside(spread, z) * of_step
        if self.particles > 1:
            free = tf.ones_like(z) if known is None else known.free
            variance = tf.exp(2 * level) - tf.exp(2 * then)
            log_weight += self.model.normalized_energy(z, level)
            log_weight -= self.model.normalized_energy(moved, then)
            log_weight -= 0.5 * sum_per_example(free * tf.square(z - moved)) / variance
            log_weight += 0.5 * sum_per_example(free * tf.square(of_step))
            kept, log_weight = self._resampled(log_weight, noise.fold(seed, 2))
            moved, factor = tf.gather(moved, kept), tf.gather(factor, kept)
        if self.correctors:
            lots = noise.uniform(shape[:2], noise.fold(seed, 1), z.dtype)
            moved, factor = self._correct(moved, then, factor, drawn[:, 1:], lots, known)
        return Points(moved, factor, log_weight)

    def shared(self, drawn: tf.Tensor, known: Known | None) -> tf.Tensor:
        """Random numbers of points, which at known values are the same for all of a row."""
        if self.particles == 1 or known is None:
            return drawn
        of_first = tf.repeat(drawn[:: self.particles], self.particles, axis=0)
        return tf.where(known.where, of_first, drawn)

    def _resampled(self, log_weight: tf.Tensor, seed: noise.Seed) -> tuple[tf.Tensor, tf.Tensor]:
        """Which points go on, (batch,), and their weights: drawn anew in rows where few count."""
        weights = tf.nn.softmax(tf.reshape(log_weight, (-1, self.particles)))
        few = tf.reduce_sum(tf.square(weights), axis=1, keepdims=True) > 2 / self.particles
        rows = tf.reshape(tf.range(tf.shape(log_weight)[0]), (-1, self.particles))
        kept = tf.where(few, self._drawn_by_weight(log_weight, seed, self.particles), rows)
        reset = tf.where(few, tf.zeros_like(weights), tf.math.log(weights))
        return tf.reshape(kept, (-1,)), tf.reshape(reset, (-1,))

    def _drawn_by_weight(self, log_weight: tf.Tensor, seed: noise.Seed, number: int) -> tf.Tensor:
        """Points drawn by their weights within each row, evenly spread, (rows, number)."""
        weights = tf.nn.softmax(tf.reshape(log_weight, (-1, self.particles)))
        first = noise.uniform(tf.shape(log_weight), seed, log_weight.dtype)[:: self.particles]
        at = (first[:, tf.newaxis] + tf.range(number, dtype=first.dtype)) / number
        place = tf.searchsorted(tf.cumsum(weights, axis=1), at)
        place = tf.minimum(place, self.particles - 1)
        return place + self.particles * tf.range(tf.shape(weights)[0])[:, tf.newaxis]

    def _correct(
        self,
        z: tf.Tensor,
        level: tf.Tensor,
        factor: tf.Tensor,
        drawn: tf.Tensor,
        lots: tf.Tensor,
        known: Known | None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The point after Metropolis-adjusted steps at a level, and the next level's factor f."""
        free = None if known is None else known.free
        accepted = tf.zeros_like(factor)
        for number in range(self.correctors):
            z, accept = metropolis_move(
                lambda at: energy_and_gradient(self.model, at, level),
                z,
                factor * tf.exp(2 * level),
                drawn[:, number],
                lots[:, number],
                free,
            )
            accepted += accept
        return z, factor * tf.exp(accepted / self.correctors - BEST_RATE)
