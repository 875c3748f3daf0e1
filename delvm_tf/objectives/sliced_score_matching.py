"""Sliced score matching."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature.curvature import Curvature, PotentialFunction
from delvm_tf.curvature.loops import require_no_loop
from delvm_tf.curvature.probes import Gaussian, Noise, Probes, Rademacher
from delvm_tf.curvature.probing import trace_by_probes
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.objectives.objective import Objective, ObjectiveValue
from delvm_tf.samplers.sampler import positive

DISTRIBUTIONS: dict[str, Any] = {"gaussian": Gaussian, "rademacher": Rademacher}


@keras.saving.register_keras_serializable(package="delvm_tf")
class SlicedScoreMatching(Objective):
    """J = E[ ½‖∇E‖² − vᵀ∇²E v ], score matching along random directions v.

    With `variance_reduced=False` the plain form J = E[ ½(vᵀ∇E)² − vᵀ∇²E v ]. As E[vvᵀ] = I, both
    have the expectation and the gradient of `ScoreMatching`, for p ∝ exp(−E), and so its optimum;
    they differ in variance. The variance-reduced form with signs is
    `ScoreMatching("hutchinson")`, which also knows lattices of less variance.

    The part of vᵀ∇²E v that comes from a quadratic energy ½xᵀΛx is tr Λ, its expectation, instead
    of vᵀΛv: unbiased, and without a probe. For Λ = I and random signs both are the same number.

    Source: Song, Garg, Shi and Ermon (2019), Sliced score matching, eq. 7 and 8. Cost: value and
    gradient, and a forward pass for each projection.

    Args:
        projections: directions per example, whose terms are averaged.
        variance_reduced: whether ½(vᵀ∇E)² is replaced by its expectation ½‖∇E‖².
        distribution: of the directions, `"gaussian"` or `"rademacher"` (random signs).
        memory_budget: GiB that the derivatives along the directions may take; what does not fit is
            computed in chunks, at 4/3 of the multiplications.
        seed: seed of the directions.

    Raises:
        ValueError: for an unknown distribution, fewer than one projection, or a memory budget that
            is not positive; in training, for an energy with a loop, such as a recurrent layer
            without `unroll=True`.
        TypeError: if `variance_reduced` is not a bool.

    Examples:
        >>> objective = dv.SlicedScoreMatching(projections=2, distribution="rademacher", seed=0)
        >>> model = dv.DELVM(dv.networks.ffnn((8, 8)), objective=objective)
        >>> model.adapt(x); model.compile("adam")
        >>> history = model.fit(x, epochs=2)
    """

    term_names = ("half_squared_score", "energy_laplacian")

    def __init__(
        self,
        projections: int = 1,
        variance_reduced: bool = True,
        distribution: str = "gaussian",
        memory_budget: float = 2.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if isinstance(projections, bool) or not isinstance(projections, int) or projections < 1:
            raise ValueError(f"projections must be a positive integer, got {projections!r}")
        if not isinstance(variance_reduced, bool):
            raise TypeError(f"variance_reduced must be True or False, got {variance_reduced!r}")
        if distribution not in DISTRIBUTIONS:
            raise ValueError(
                f"unknown distribution {distribution!r}; expected one of {', '.join(DISTRIBUTIONS)}"
            )
        self.projections = projections
        self.variance_reduced = variance_reduced
        self.distribution = distribution
        self.memory_budget = positive("memory_budget", memory_budget)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def compute(self, model: Any, z: tf.Tensor, training: bool) -> ObjectiveValue:
        """½‖∇E‖² or ½(vᵀ∇E)², minus vᵀ∇²E v, averaged over the projections of each example."""
        shape = tuple(z.shape[1:])
        require_no_loop("SlicedScoreMatching", model.potential, shape, z.dtype)
        probes = DISTRIBUTIONS[self.distribution](shape, self.projections)
        directions = probes.draw(z, self.seed_generator)
        drawn = _Drawn(probes, directions)

        def trace(potential: PotentialFunction, x: tf.Tensor) -> Curvature:
            return trace_by_probes(potential, x, drawn, self.seed_generator, self.memory_budget)

        curvature = model.energy_curvature(z, trace)
        squared_score = sum_per_example(tf.square(curvature.gradient))
        along = squared_score
        if not self.variance_reduced:
            along = _mean_squared_projection(directions, curvature.gradient)
        return ObjectiveValue(
            loss=0.5 * along - curvature.laplacian,
            terms={"half_squared_score": 0.5 * along, "energy_laplacian": curvature.laplacian},
            reconstruction_error=squared_score,
        )

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "projections": self.projections,
            "variance_reduced": self.variance_reduced,
            "distribution": self.distribution,
            "memory_budget": self.memory_budget,
            "seed": self.seed,
        }


class _Drawn(Probes):
    """Probes whose random numbers are drawn already, so that they can be used twice."""

    def __init__(self, probes: Probes, noise: Noise):
        super().__init__(probes.shape, probes.count, probes.exact)
        self.probes = probes
        self.noise = noise

    def draw(self, x: tf.Tensor, seed: keras.random.SeedGenerator) -> Noise:
        """What was drawn."""
        return self.noise

    def take(self, start: Any, number: int, noise: Noise, dtype: Any) -> tf.Tensor:
        """The directions that the noise stands for."""
        return self.probes.take(start, number, noise, dtype)


def _mean_squared_projection(directions: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """The mean over v of (vᵀ∇E)², (batch,), for directions (P, batch, ...)."""
    axes = list(range(2, directions.shape.rank))
    projected = tf.reduce_sum(directions * gradient[tf.newaxis], axis=axes)
    return tf.reduce_mean(tf.square(projected), axis=0)
