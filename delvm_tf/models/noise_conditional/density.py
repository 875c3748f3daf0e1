"""A DELVM of all noise levels whose energies are densities in nats."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature import HalfSquaredNorm
from delvm_tf.curvature.sums import beside, sum_per_example
from delvm_tf.inputs.notices import warn
from delvm_tf.models.noise_conditional.energy_model import NoiseConditionalEnergyModel
from delvm_tf.models.reconstruction_model import BATCH_SIZE
from delvm_tf.networks.level_network import level_waves
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.dual_score_matching import DualScoreMatching
from delvm_tf.objectives.objective import Objective

SMALLEST, LARGEST = 0.01, 30.0
CONSTANT_UNITS = 32


@keras.saving.register_keras_serializable(package="delvm_tf")
class DensityDELVM(NoiseConditionalEnergyModel):
    """U(x, σ) = −log p_σ(x) in nats, p_σ being the density of the data with noise σε added.

    A `NoiseConditionalDELVM` with f = (u + s·a(u, log σ))/√(1+σ²), where s = σ/√(1+σ²), u =
    x/√(1+σ²), and a is linear in the network's output and starts at 0, and a constant c(σ):

        U = ½‖x/σ‖² − ½(1 + 1/σ²)‖f‖² + (d/2) log 2π(1+σ²) + c(σ)
          = ½‖u‖² − uᵀa/(σ√(1+σ²)) − ½‖a‖²/(1+σ²) + (d/2) log 2π(1+σ²) + c(σ)

    with c = d·κ(log σ)/(1+σ²) and κ a small network. Untrained it is N(0, 1+σ²), which is also what
    it tends to as σ → ∞, and what the density of centred data tends to. So no level's constant is
    free, once `DualScoreMatching` ties each to the next. In half precision the smallest levels are
    lost; use float32.

    `log_density` is that of the smallest level. For a smooth density p that is log p + (σ²/2)Δp/p
    up to O(σ⁴), which is right to O(σ⁴) on average over data from p. Data on a surface or of few
    values have no density, and log p_σ → ∞ as σ → 0. What training leaves is seen only where
    densities are known: see the documentation of objectives.

    Kinks, such as those of ReLU, make no density wrong: training takes first derivatives alone, and
    U is the integral of these. But then ∇U jumps, which fits a smooth density less well, and
    `flow_log_density`, which takes second derivatives, is wrong.

    Args:
        network: any Keras model of [x, log σ] whose output is flat, or has the positions of x;
            smooth activations, `dv.networks.level_ffnn((128, 128, 128), "silu", "he_normal")`.
        objective: `DualScoreMatching()`, and no other.
        normalization: see `EnergyModel`. With `"none"` the constants are right if values have means
            of about 0 and spreads of about 1, and a warning says so.
        scale: see `EnergyModel`; at most a fifth of the largest level.
        noise_levels: see `NoiseConditionalEnergyModel`.
        smallest_noise: the smallest level, 0.01 by default.
        largest_noise: the largest level, 30 by default.
        default_sigma: the level of `energy`, `score`, `features` and so on; the smallest by
            default.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        TypeError: if the network takes no noise level, or the objective is another.
        ValueError: for levels out of order, or a largest one too close to the spread of the data;
            when it is built, if the network's output has other positions than the data.

    Examples:
        >>> model = dv.DensityDELVM(dv.networks.level_ffnn((32, 32), "silu", "he_normal"))
        >>> model.adapt(x); model.compile(keras.optimizers.Adam(2e-3, clipnorm=1.0))
        >>> history = model.fit(x, epochs=2)
        >>> model.log_density(x).shape
        TensorShape([64])
    """

    outer = HalfSquaredNorm()
    _plain = False

    def __init__(
        self,
        network: Any,
        objective: Objective | None = None,
        normalization: str | InputNormalization | None = "center",
        scale: float = 1.0,
        noise_levels: int | Sequence[float] = 16,
        smallest_noise: float | None = None,
        largest_noise: float | None = None,
        default_sigma: float | None = None,
        **kwargs: Any,
    ):
        if isinstance(noise_levels, int):
            smallest_noise = SMALLEST if smallest_noise is None else smallest_noise
            largest_noise = LARGEST if largest_noise is None else largest_noise
        super().__init__(
            network, DualScoreMatching() if objective is None else objective, normalization, scale,
            noise_levels, smallest_noise, largest_noise, default_sigma, **kwargs,
        )  # fmt: skip
        self._check_spread()
        if default_sigma is None:
            self.default_sigma = self.noise_levels[-1]

    def _check_spread(self) -> None:
        """Whether data are small beside the largest level, where the density is to be normal."""
        if self.normalization.mode == "none":
            warn(
                f"{type(self).__name__} takes inputs as they are (normalization='none'); its "
                f"densities are right if they have means of about 0 and spreads of about 1, "
                f"otherwise use 'center' or 'zscore'"
            )
        elif self.normalization.scale > self.noise_levels[0] / 5:
            raise ValueError(
                f"the largest noise level must be at least five times the spread of the data, "
                f"scale={self.normalization.scale:g}, got {self.noise_levels[0]:g}; "
                f"densities of all levels hang on the largest"
            )

    def check_objective(self, objective: Any) -> None:
        """Refuse objectives that leave the constants of the levels as they are.

        Raises:
            TypeError: for any objective but `DualScoreMatching`.
        """
        super().check_objective(objective)
        if not isinstance(objective, DualScoreMatching):
            raise TypeError(
                f"{type(objective).__name__} leaves the constant of each level unlearned, so "
                f"{type(self).__name__} would have no densities; use "
                f"objective=dv.DualScoreMatching(), or dv.NoiseConditionalDELVM"
            )

    def build_parameters(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the network, the map from its output to a, and the network of the constant."""
        super().build_parameters(input_shape)
        shape = self.input_shape_or_none or ()
        given = tuple(self.network.compute_output_shape([tuple(input_shape), (None, 1)]))[1:]
        flat = len(given) == 1
        if not flat and given[:-1] != shape[:-1]:
            raise ValueError(
                f"the network gives {given[:-1]} positions, and the data have {shape[:-1]}; use "
                f"strides of 1 and padding 'same', or dense layers at the end (units=...)"
            )
        dtype = self.normalization.result_dtype
        self.size = math.prod(shape)

        def dense(units: int, inputs: int, activation: Any = None, kernel: str = "zeros") -> Any:
            layer = keras.layers.Dense(
                units, activation, kernel_initializer=kernel, dtype=dtype, autocast=False
            )
            layer.build((None, inputs))
            return layer

        self.head = dense(self.size if flat else shape[-1], given[-1])
        self.constant = [
            dense(CONSTANT_UNITS, 16, "silu", "glorot_uniform"), dense(1, CONSTANT_UNITS)
        ]  # fmt: skip

    def _direction(self, u: tf.Tensor, log_sigma: tf.Tensor) -> tf.Tensor:
        """The map a(u, log σ), shape of u."""
        output = tf.cast(self.network([u, log_sigma[:, tf.newaxis]], training=False), u.dtype)
        return tf.reshape(self.head(output), tf.shape(u))

    def level_output(self, u: tf.Tensor, log_sigma: tf.Tensor) -> tf.Tensor:
        """F = (u + s·a)/√(1+σ²), shape of u."""
        spread = tf.sqrt(1 + tf.exp(2 * log_sigma))
        gain = tf.exp(log_sigma) / spread
        return (u + beside(gain, u) * self._direction(u, log_sigma)) / beside(spread, u)

    def normalized_energy(self, z: tf.Tensor, log_sigma: Any = None) -> tf.Tensor:
        """U(z, σ), nats in normalised units, (batch,).

        By the second of the forms of the class, which does not cancel at small levels.
        """
        log_sigma = self.per_example(z, log_sigma)
        total = 1 + tf.exp(2 * log_sigma)
        u = z * beside(tf.math.rsqrt(total), z)
        a = self._direction(u, log_sigma)
        along = sum_per_example(u * a) * tf.exp(-log_sigma) * tf.math.rsqrt(total)
        half_squares = 0.5 * (sum_per_example(tf.square(u)) - sum_per_example(tf.square(a)) / total)
        return half_squares - along + self.normalized_constant(log_sigma)

    def normalized_constant(self, log_sigma: tf.Tensor) -> tf.Tensor:
        """The part of U that is the same for all x, (d/2) log 2π(1+σ²) + c(σ), (batch,)."""
        total = 1 + tf.exp(2 * log_sigma)
        hidden = level_waves(log_sigma[:, tf.newaxis], 8)
        for layer in self.constant:
            hidden = layer(hidden)
        normal = 0.5 * (math.log(2 * math.pi) + tf.math.log(total))
        return self.size * (normal + hidden[:, 0] / total)

    def normalized_energy_and_derivatives(
        self, z: tf.Tensor, log_sigma: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """U, (batch,), its gradient, shape of z, and t ∂U/∂t with t = σ², (batch,).

        Cost: a pass forward and one back.
        """
        log_sigma = self.per_example(z, log_sigma)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([z, log_sigma])
            energy = self.normalized_energy(z, log_sigma)
        gradient, slope = tape.gradient(energy, [z, log_sigma])
        return energy, gradient, 0.5 * slope

    def normalized_energy_and_reconstruction(
        self, z: tf.Tensor, log_sigma: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """U, (batch,), and x̂ = z − σ²∇U, shape of z."""
        log_sigma = self.per_example(z, log_sigma)
        energy, gradient, _ = self.normalized_energy_and_derivatives(z, log_sigma)
        return energy, z - beside(tf.exp(2 * log_sigma), z) * gradient

    def normalized_gradient(self, z: tf.Tensor, log_sigma: Any = None) -> tf.Tensor:
        """∇U, shape of z."""
        return self.normalized_energy_and_derivatives(z, log_sigma)[1]

    def log_density(
        self, x: Any, batch_size: int = BATCH_SIZE, sigma: float | None = None
    ) -> tf.Tensor:
        """The logarithm of the density of x in nats, in raw units, (batch,).

        That of the data with noise of the smallest level, or of another level σ, in normalised
        units, on them. In raw units log p(x) = −U(z, σ) + log |det ∂z/∂x|; another unit of x adds a
        constant. Costs a pass forward, and with `normalization="zca"` a determinant of d × d.
        """
        sigma = self.noise_levels[-1] if sigma is None else sigma
        return self.apply("log_density", self._log_density, x, batch_size, self._log(sigma))

    def _log_density(self, z: tf.Tensor, log_sigma: Any = None) -> tf.Tensor:
        stretch = tf.cast(self.normalization.log_determinant(), z.dtype)
        return stretch - self.normalized_energy(z, log_sigma)

    def bits_per_dimension(
        self, x: Any, batch_size: int = BATCH_SIZE, sigma: float | None = None
    ) -> tf.Tensor:
        """−log₂ of the density of x over its number of values d, (batch,); see `log_density`.

        Whole numbers, such as pixels from 0 to 255, need uniform noise from 0 to 1 added first, as
        in the literature, or their density is not that of a probability.
        """
        return -self.log_density(x, batch_size, sigma) / (self.size * math.log(2))

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {k: v for k, v in super().get_config().items() if k != "visible_bias"}
