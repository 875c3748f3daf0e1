"""Denoising score matching of an energy that knows the noise level, at all levels."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.differentiability import require_differentiable
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.objectives.noise_levels import drawn_levels
from delvm_tf.objectives.objective import Objective, ObjectiveValue


@keras.saving.register_keras_serializable(package="delvm_tf")
class NoiseConditionalScoreMatching(Objective):
    """J = E[ ½‖σ∇E(x + σε, σ) − ε‖² ] with ε ~ N(0, I) and σ drawn anew for each example.

    The levels are the model's: one of its ladder, all as likely, or with `continuous` any between
    its ends, log-uniformly. The minimiser is at each level E(·, σ) = −log of the data's
    density convolved with N(0, σ²I), up to a constant that may differ from level to level;
    `DualScoreMatching` learns that too. As σ∇E − ε = (x − x̂)/σ, it is the error of denoising in
    units of the noise, E[½‖(x − x̂(x + σε))/σ‖²].

    While training, the reconstruction error that is reported is that of the noisy input,
    ‖σ∇E(x + σε)‖²; in `evaluate` it is that of x at the model's `default_sigma`.

    Source: Song and Ermon (2019), Generative modeling by estimating gradients of the data
    distribution, eq. 5 and 6 with the weight σ². Cost: ∇E and its gradient in the weights.

    Args:
        continuous: whether any level between the ends of the ladder is learned, and not only those
            on it.
        seed: seed of noise and levels.

    Raises:
        TypeError: for a model that has one energy for all levels, or if `continuous` is no bool.

    Examples:
        >>> objective = dv.NoiseConditionalScoreMatching(continuous=True)
        >>> model = dv.NoiseConditionalDELVM(dv.networks.level_ffnn(), objective=objective)
    """

    term_names = ("denoising",)
    noise_conditional = True

    def __init__(self, continuous: bool = False, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(continuous, bool):
            raise TypeError(f"continuous must be True or False, got {continuous!r}")
        self.continuous = continuous
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def compute(self, model: Any, z: tf.Tensor, training: bool) -> ObjectiveValue:
        """½‖(x − x̂)/σ‖² of each example, x̂ being the reconstruction of x + σε."""
        if training:
            specs = [
                tf.TensorSpec((None, *z.shape[1:]), z.dtype), tf.TensorSpec((None,), z.dtype)
            ]  # fmt: skip
            require_differentiable(type(self).__name__, model.normalized_reconstruction, specs)
        seed = noise.next_seed(self.seed_generator)
        levels = drawn_levels(model.noise_levels, self.continuous, z, noise.fold(seed, 0))
        drawn = tf.ensure_shape(noise.normal(tf.shape(z), noise.fold(seed, 1), z.dtype), z.shape)
        sigma = tf.reshape(tf.exp(levels), (-1,) + (1,) * (z.shape.rank - 1))
        noisy = z + sigma * drawn
        reconstruction = model.normalized_reconstruction(noisy, levels)
        denoising = 0.5 * sum_per_example(tf.square((z - reconstruction) / sigma))
        if training:
            error = sum_per_example(tf.square(tf.stop_gradient((noisy - reconstruction) / sigma)))
        else:
            error = sum_per_example(model.normalized_squared_residual(z))
        return ObjectiveValue(
            loss=denoising,
            terms={"denoising": denoising},
            reconstruction_error=error,
            watched=(denoising, 0.5 * sum_per_example(tf.square(drawn))),
        )

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {**super().get_config(), "continuous": self.continuous, "seed": self.seed}
