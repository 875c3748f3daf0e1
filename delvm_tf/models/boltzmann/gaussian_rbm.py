"""The restricted Boltzmann machine with Gaussian visible and binary hidden units."""

import math
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.models.boltzmann import factorial
from delvm_tf.models.boltzmann.rbm import RealRBM
from delvm_tf.networks.arguments import layer_kernel_initializer, positive_ints
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.objective import Objective


@keras.saving.register_keras_serializable(package="delvm_tf")
class GaussianRBM(RealRBM):
    """E(x, h) = ½‖x−b‖² − hᵀ(Wᵀx + c), h binary, with learned W, b and c.

    Free energy E(x) = ½‖x−b‖² − Σₖ softplus(wₖᵀx + cₖ), a mixture of 2^units Gaussians. Given h, x
    is N(b + Wh, I), or N(b + Λ⁻¹Wh, Λ⁻¹) with a learned precision; given x, P(hₖ=1) = σ(wₖᵀx + cₖ).
    Inputs of any shape are flattened. Score matching has a closed form here.

    Source: Hinton and Salakhutdinov (2006); Swersky et al. (2011) for score matching.

    Args:
        units: hidden units.
        objective: how it is learned; `ContrastiveDivergence()` by default.
        normalization: see `ReconstructionModel`.
        scale: factor on the normalised inputs, 1/σ of the visible noise.
        visible_precision: None for unit noise, or a learned `"scalar"` or `"diagonal"` precision.
        kernel_initializer: a Keras initializer's name or instance.
        seed: makes the initial weights reproducible.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        ValueError: for units that are no positive integer, or an unknown precision.

    Examples:
        >>> model = dv.GaussianRBM(units=256, normalization="zscore")
        >>> model.adapt(x); model.compile(keras.optimizers.Adam(1e-3))
        >>> history = model.fit(x, epochs=10)
        >>> model.sample(100, "gibbs", steps=50).shape
        TensorShape([100, 6])
    """

    def __init__(
        self,
        units: int = 256,
        objective: Objective | None = None,
        normalization: str | InputNormalization | None = "center",
        scale: float = 1.0,
        visible_precision: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        seed: int | None = None,
        **kwargs: Any,
    ):
        (units,) = positive_ints("units", [units])
        dtype = kwargs.get("dtype")
        dense = keras.layers.Dense(
            units,
            kernel_initializer=layer_kernel_initializer(kernel_initializer, seed, 0),
            dtype=dtype,
            name="dense",
        )
        flatten = keras.layers.Flatten(dtype=dtype, name="flatten")
        super().__init__(
            keras.Sequential([flatten, dense], name="rbm"),
            objective=objective,
            normalization=normalization,
            scale=scale,
            visible_precision=visible_precision,
            visible_bias="each",
            **kwargs,
        )
        self.units = units
        self.kernel_initializer = kernel_initializer
        self.seed = seed

    # Parameters, in the type of z.

    @property
    def kernel(self) -> tf.Tensor:
        """W, (inputs, units)."""
        return tf.cast(self.network.layers[-1].kernel, self.normalization.result_dtype)

    @property
    def hidden_bias(self) -> tf.Tensor:
        """The bias c, (units,)."""
        return tf.cast(self.network.layers[-1].bias, self.normalization.result_dtype)

    @property
    def _bias_and_precision(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The bias b and the diagonal of Λ, (inputs,) each."""
        b = tf.reshape(tf.convert_to_tensor(self.visible.mean), (-1,))
        if self.visible.precision is None:
            return b, tf.ones_like(b)
        root = tf.reshape(tf.convert_to_tensor(self.visible.root), (-1,))
        return b, tf.broadcast_to(tf.square(root), tf.shape(b))

    # The two conditionals, and what stacks need of them.

    def hidden_logits(self, z: tf.Tensor) -> tf.Tensor:
        """Wᵀz + c, the log odds of the hidden units, (batch, units)."""
        return self.potential.output(z)

    def sample_hidden(self, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """A draw of h given z, (batch, units)."""
        return self.outer.sample_hidden(self.hidden_logits(z), seed)

    def visible_mean(self, h: tf.Tensor) -> tf.Tensor:
        """The mean b + Λ⁻¹Wh of z given h, (batch, ...)."""
        return self.sample_visible(h, None, 0.0)

    def sample_visible(self, h: tf.Tensor, seed: tf.Tensor, visible_noise: float) -> tf.Tensor:
        """A draw of z given h, (batch, ...), with a factor on its noise."""
        pulled = tf.matmul(h, self.kernel, transpose_b=True)
        shape = (-1, *(self.input_shape_or_none or ()))
        return self.visible.sample(tf.reshape(pulled, shape), seed, visible_noise)

    def expected_visible_energy(self, z: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        """E[−log p(z|h)] over independent bits h of the given mean μ, (batch,).

        ½(z−ẑ)ᵀΛ(z−ẑ) + ½Σₖ μₖ(1−μₖ) wₖᵀΛ⁻¹wₖ − ½log det(Λ/2π), with ẑ = b + Λ⁻¹Wμ.

        Args:
            z: normalised inputs, (batch, ...).
            mean: μ, (batch, units).
        """
        _, precision = self._bias_and_precision
        residual = tf.reshape(z - self.visible_mean(mean), (-1, self.visible.size))
        powers = tf.linalg.matvec(tf.square(self.kernel), 1.0 / precision, transpose_a=True)
        log_determinant = tf.reduce_sum(tf.math.log(precision))
        constant = 0.5 * self.visible.size * math.log(2.0 * math.pi)
        return (
            0.5 * sum_per_example(precision * tf.square(residual))
            + 0.5 * tf.linalg.matvec(factorial.variance(mean), powers)
            - 0.5 * log_determinant
            + constant
        )

    def gibbs_step(self, state: tf.Tensor, seed: tf.Tensor, visible_noise: float) -> tf.Tensor:
        """Draw h given x, then x given h: one round of exact block Gibbs sampling."""
        h = self.sample_hidden(state, noise.fold(seed, 0))
        return self.sample_visible(h, noise.fold(seed, 1), visible_noise)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_initializer": keras.saving.serialize_keras_object(self.kernel_initializer),
            "seed": self.seed,
        }
