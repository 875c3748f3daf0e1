"""Dual score matching: the derivatives of −log p_σ(x) in x and in σ."""

import math
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.differentiability import require_differentiable
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.objectives.noise_levels import drawn_levels, levels_around
from delvm_tf.objectives.objective import Objective, ObjectiveValue
from delvm_tf.samplers.sampler import positive


@keras.saving.register_keras_serializable(package="delvm_tf")
class DualScoreMatching(Objective):
    """J = E[ (1+t){‖σ∇U − ε‖²/d + w (t∂ₜU/d − ½(1 − ‖ε‖²/d))²} ] at y = x + σε, with t = σ².

    U(y, t) is to be −log p_t(y), with p_t the density of the data with noise of variance t per
    value. Of p(y|x) = N(x, tI) the derivatives −∇log p(y|x) = (y − x)/t and −∂ₜlog p(y|x) =
    d/(2t) − ‖y − x‖²/(2t²) have, given y, the means ∇U and ∂ₜU, and squares are least at means. So
    both terms have their minimum where U = −log p_t up to one constant for all t, which is fixed
    where p_t is known, at t → ∞. The first term alone would leave a constant to each level.

    The factor 1 + t, of Karras et al. (2022), makes what cannot be learned of the terms alike at
    all levels, for normal data of variance 1; without it the largest levels are learned last.

    The error of U(x, t) in nats a value is that of t∂ₜU/d, integrated over log t from t up.

    Levels are drawn between the ends of the model's ladder, log-uniformly, or around a typical one:
    of images most is learned at levels where they are half seen. While training, the
    reconstruction error that is reported is that of the noisy input, ‖σ∇U(x + σε)‖²; in `evaluate`
    it is that of x at the model's `default_sigma`.

    Source: Guth, Kadkhodaie and Simoncelli (2025), Learning normalized image densities via dual
    score matching. Cost: as `NoiseConditionalScoreMatching`, both derivatives in one pass back.

    Args:
        time_weight: w.
        typical_noise: the level around which log σ is normal, or None for log-uniform levels.
        noise_spread: the standard deviation of log σ around it.
        seed: seed of noise and levels.

    Raises:
        TypeError: for a model without densities at all levels, which `dv.DensityDELVM` has.
        ValueError: if w or the spread is not positive, or the typical level none that the model
            learns.

    Examples:
        >>> objective = dv.DualScoreMatching(seed=0)
        >>> model = dv.DensityDELVM(dv.networks.level_ffnn(activation="silu"), objective)
    """

    term_names = ("space", "time")
    noise_conditional = True

    def __init__(
        self,
        time_weight: float = 1.0,
        typical_noise: float | None = None,
        noise_spread: float = 1.4,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.time_weight = positive("time_weight", time_weight)
        self.typical_noise = (
            None if typical_noise is None else positive("typical_noise", typical_noise)
        )
        self.noise_spread = positive("noise_spread", noise_spread)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def check_model(self, model: Any) -> None:
        """Refuse what has no normalised density at each level.

        Raises:
            TypeError: the message says what to use instead.
        """
        super().check_model(model)
        if not hasattr(model, "normalized_energy_and_derivatives"):
            raise TypeError(
                f"DualScoreMatching learns densities in nats, and the energies of "
                f"{type(model).__name__} have a constant of their own at each level; use "
                f"dv.DensityDELVM, or objective=dv.NoiseConditionalScoreMatching()"
            )

    def compute(self, model: Any, z: tf.Tensor, training: bool) -> ObjectiveValue:
        """Both terms of each example."""
        if training:
            specs = [
                tf.TensorSpec((None, *z.shape[1:]), z.dtype), tf.TensorSpec((None,), z.dtype)
            ]  # fmt: skip
            derivatives = model.normalized_energy_and_derivatives
            require_differentiable(type(self).__name__, derivatives, specs)
        d = math.prod(z.shape[1:])
        seed = noise.next_seed(self.seed_generator)
        levels = self._levels(model, z, noise.fold(seed, 0))
        drawn = tf.ensure_shape(noise.normal(tf.shape(z), noise.fold(seed, 1), z.dtype), z.shape)
        sigma = tf.reshape(tf.exp(levels), (-1,) + (1,) * (z.shape.rank - 1))
        _, gradient, slope = model.normalized_energy_and_derivatives(z + sigma * drawn, levels)
        weight = 1 + tf.exp(2 * levels)
        space = weight * sum_per_example(tf.square(sigma * gradient - drawn)) / d
        squares = sum_per_example(tf.square(drawn)) / d
        target = 0.5 * (1 - squares)
        time = tf.square(slope / d - target) + 2 * target * _spared_slope(model, levels) / d
        time *= weight
        if training:
            error = sum_per_example(tf.square(tf.stop_gradient(sigma * gradient)))
        else:
            error = sum_per_example(model.normalized_squared_residual(z))
        return ObjectiveValue(
            loss=space + self.time_weight * time,
            terms={"space": space, "time": time},
            reconstruction_error=error,
            watched=(space, weight * squares),
        )

    def _levels(self, model: Any, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Log σ of each example, (batch,)."""
        if self.typical_noise is None:
            return drawn_levels(model.noise_levels, True, z, seed)
        largest, *_, smallest = model.noise_levels
        if not smallest < self.typical_noise < largest:
            raise ValueError(
                f"typical_noise must lie between the levels that the model learns, {smallest:g} "
                f"and {largest:g}, got {self.typical_noise:g}"
            )
        return levels_around(model.noise_levels, self.typical_noise, self.noise_spread, z, seed)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "time_weight": self.time_weight,
            "typical_noise": self.typical_noise,
            "noise_spread": self.noise_spread,
            "seed": self.seed,
        }


def _spared_slope(model: Any, log_sigma: tf.Tensor) -> tf.Tensor:
    """1 − r² times the derivative t ∂/∂t of the model's constant, (batch,), with r = t/(1+t).

    Its product with the target has the mean 0, as has the target at each level, and takes the
    target's noise out of the gradient in the constant, but for r²: so much of it is known from y if
    the data are normal with variance 1.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(log_sigma)
        constant = model.normalized_constant(log_sigma)
    slope = 0.5 * tape.gradient(constant, log_sigma)
    return slope * (1 - tf.square(tf.sigmoid(2 * log_sigma)))
