"""The probability flow both ways: latents of data, what lies between them, and densities."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.differentiability import first_kink
from delvm_tf.curvature.probes import Basis
from delvm_tf.curvature.probing import quadratic_forms
from delvm_tf.curvature.sums import beside, sum_per_example
from delvm_tf.inputs import batches as inputs
from delvm_tf.inputs.columns import names_of
from delvm_tf.inputs.notices import warn
from delvm_tf.models.noise_conditional.rows import by_rows, new_seed
from delvm_tf.models.reconstruction_model import FunctionOfModel
from delvm_tf.samplers.levels.probability_flow import ProbabilityFlow
from delvm_tf.samplers.levels.schedule import log_level
from delvm_tf.samplers.sampler import positive_integer
from delvm_tf.training.received import compare_names, require_ready

RHO = 7.0
PROBES_AT_ONCE = 64


def start_spread(model: Any) -> float:
    """The standard deviation √(s² + σ₁²) of the normal density at the largest level."""
    return float(np.hypot(model.normalization.scale, model.noise_levels[0]))


@dataclass(frozen=True)
class Flow(FunctionOfModel):
    """The flow from the smallest level to the largest, `up`, or back, in `steps` of Heun's method.

    Attributes:
        steps: intervals of the schedule.
        up: from data to latents, or back.
    """

    steps: int
    up: bool

    def __call__(self, z: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        """Points at the level where the flow ends, shape of z."""
        model, solver = self.model, ProbabilityFlow()
        no_seed = tf.zeros(2, tf.int32)  # nothing is random

        def body(index: tf.Tensor, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            now, then = (rung(model, index + k, self.steps, self.up, z.dtype) for k in (0, 1))
            moved = solver.move(model, z, now, then, no_seed).state
            return index + 1, tf.ensure_shape(moved, z.shape)

        return tf.while_loop(lambda index, _: index < self.steps, body, (tf.constant(0), z))[1]


@dataclass(frozen=True)
class Interpolation(FunctionOfModel):
    """What lies between two points of data on the arc between their latents, (batch, number, ...).

    Attributes:
        steps: of the flow, each way.
        number: of points, both ends among them.
    """

    steps: int
    number: int

    def __call__(
        self, z: tf.Tensor, seed: tf.Tensor, rows: tf.Tensor, other: tf.Tensor
    ) -> tf.Tensor:
        """Points between z and others, which are in raw units."""
        both = tf.concat([z, self.model.normalized(other)], axis=0)
        first, last = tf.split(Flow(self.model, self.steps, up=True)(both), 2)
        between = tf.stack([arc(first, last, t) for t in np.linspace(0, 1, self.number)], axis=1)
        flat = tf.reshape(between, tf.concat([[-1], tf.shape(z)[1:]], axis=0))
        flat = tf.ensure_shape(flat, (None, *z.shape[1:]))
        return tf.reshape(Flow(self.model, self.steps, up=False)(flat), tf.shape(between))


def arc(a: tf.Tensor, b: tf.Tensor, t: float) -> tf.Tensor:
    """(sin((1−t)ω) a + sin(tω) b)/sin ω at the angle ω between a and b; a line if that is small.

    Of a and b from N(0, vI) it has the variance v too where they are orthogonal, as in many
    dimensions they nearly are, while a line has v/2 in the middle. Source: Shoemake (1985).
    """
    norms = tf.sqrt(sum_per_example(tf.square(a)) * sum_per_example(tf.square(b)))
    cosine = sum_per_example(a * b) / tf.maximum(norms, 1e-12)
    angle = tf.acos(tf.clip_by_value(cosine, -1.0, 1.0))
    sine = tf.sin(angle)
    near = sine < 1e-3
    safe = tf.where(near, tf.ones_like(sine), sine)
    of_a = tf.where(near, tf.ones_like(sine) * (1 - t), tf.sin((1 - t) * angle) / safe)
    of_b = tf.where(near, tf.ones_like(sine) * t, tf.sin(t * angle) / safe)
    return beside(of_a, a) * a + beside(of_b, b) * b


def rung(model: Any, done: Any, steps: int, up: bool, dtype: tf.DType) -> tf.Tensor:
    """Log σ after so many steps of the schedule, up or down the levels."""
    share = tf.cast(steps - done if up else done, dtype) / steps
    return log_level(share, model.noise_levels[0], model.noise_levels[-1], RHO)


@dataclass(frozen=True)
class FlowDensity(FunctionOfModel):
    """The logarithm of the density that the flow carries to normalised points, (batch,).

    Attributes:
        steps: of Heun's method.
        probes: random ones of the trace, or None for its exact value.
    """

    steps: int
    probes: int | None

    def __call__(self, z: tf.Tensor, seed: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Log p(z) = log N(x₁; 0, (s² + σ₁²)I) + ∫σ ΔE dσ along the flow from z up to x₁."""
        slope_and_trace = self._slope_and_trace(z, noise.RowSeeds(seed, rows))

        def body(
            index: tf.Tensor, z: tf.Tensor, integral: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            now, then = (rung(self.model, index + k, self.steps, True, z.dtype) for k in (0, 1))
            change = tf.exp(then) - tf.exp(now)
            slope, trace = slope_and_trace(z, now)
            later, trace_later = slope_and_trace(z + change * slope, then)
            z = tf.ensure_shape(z + change * 0.5 * (slope + later), z.shape)
            return index + 1, z, integral + change * 0.5 * (trace + trace_later)

        start = (tf.constant(0), z, tf.zeros(tf.shape(z)[:1], z.dtype))
        _, end, integral = tf.while_loop(lambda index, *_: index < self.steps, body, start)
        spread, size = start_spread(self.model), math.prod(z.shape[1:])
        normal = -0.5 * sum_per_example(tf.square(end / spread))
        normal -= size * math.log(spread * math.sqrt(2 * math.pi))
        return normal + integral

    def _slope_and_trace(
        self, z: tf.Tensor, seed: noise.RowSeeds
    ) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        """The function that gives σ∇E, shape of z, and σ ΔE, (batch,), at a level of all."""
        basis = Basis(tuple(z.shape[1:]))
        random = None
        if self.probes is not None:  # the same all along the flow, which so has one answer
            shape = tf.concat([tf.shape(z)[:1], [self.probes], tf.shape(z)[1:]], axis=0)
            of_rows = noise.signs(shape, seed, z.dtype)
            random = tf.transpose(of_rows, [1, 0, *range(2, of_rows.shape.rank)])
            random = tf.ensure_shape(random, (self.probes, *z.shape))
            random /= math.sqrt(self.probes)

        def compute(at: tf.Tensor, level: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            def energy(x: tf.Tensor) -> tf.Tensor:
                return self.model.normalized_energy(x, level)

            sigma = tf.exp(level)
            slope = sigma * self.model.normalized_gradient(at, level)
            if random is not None:
                return slope, sigma * quadratic_forms(energy, at, random).laplacian
            trace = tf.zeros(tf.shape(at)[:1], at.dtype)
            for first in range(0, basis.count, PROBES_AT_ONCE):
                number = min(PROBES_AT_ONCE, basis.count - first)
                directions = basis.take(first, number, None, at.dtype)
                trace += quadratic_forms(energy, at, directions).laplacian
            return slope, sigma * trace

        return compute


def latents(model: Any, x: Any, steps: int, batch_size: int, up: bool = True) -> tf.Tensor:
    """See `NoiseConditionalEnergyModel.latents`, and `from_latents` for the way back."""
    function = Flow(model, positive_integer("steps", steps), up)
    name = "latents" if up else "from_latents"
    return by_rows(name, function, x, batch_size, new_seed(0))


def interpolate(model: Any, a: Any, b: Any, n: int, steps: int, batch_size: int) -> tf.Tensor:
    """See `NoiseConditionalEnergyModel.interpolate`."""
    for name, number in (("n", n), ("steps", steps)):
        positive_integer(name, number)
    if n < 2:
        raise ValueError(f"n counts both ends, so it must be two or more, got {n}")
    shape, owner = model.input_shape_or_none, type(model).__name__
    for each in (a, b):
        compare_names(model, names_of(each))
    a, b = (inputs.check_array(each, shape, owner) for each in (a, b))
    if a.shape != b.shape:
        raise ValueError(
            f"a and b must be as many examples, got shapes {tuple(a.shape)} and {tuple(b.shape)}"
        )
    function = Interpolation(model, steps, n)
    found = by_rows("interpolate", function, a, batch_size, new_seed(0), of_each=(b,))
    return tf.transpose(found, [1, 0, *range(2, found.shape.rank)])


def flow_log_density(
    model: Any, x: Any, steps: int, probes: int | None, seed: int | None, batch_size: int
) -> tf.Tensor:
    """See `NoiseConditionalEnergyModel.flow_log_density`."""
    positive_integer("steps", steps)
    if probes is not None:
        positive_integer("probes", probes)
    require_ready(model, "flow_log_density")
    _warn_of_kinks(model)
    function = FlowDensity(model, steps, probes)

    def finish(density: tf.Tensor, _: Any) -> tf.Tensor:
        return density + tf.cast(model.normalization.log_determinant(), density.dtype)

    return by_rows("flow_log_density", function, x, batch_size, new_seed(seed), finish=finish)


def _warn_of_kinks(model: Any) -> None:
    """Where slopes jump, traces of the Hessian lack what is in the jumps, so the integral does."""
    dtype = model.normalization.result_dtype
    specs = [
        tf.TensorSpec((None, *model.input_shape_or_none), dtype), tf.TensorSpec((None,), dtype)
    ]  # fmt: skip
    if kink := first_kink(model.normalized_energy, specs):
        warn(
            f"flow_log_density integrates second derivatives, which leave out the kinks of the "
            f"network ({kink}), so its densities are wrong; train a network with smooth "
            f"activations such as 'silu'"
            + (", or use log_density" if hasattr(model, "log_density") else "")
        )
