"""The quadratic part of an energy: the Gaussian that the rest departs from."""

import math
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise

PRECISIONS = ("scalar", "diagonal", "full", "zero")
BIASES = ("each", "channel")


@keras.saving.register_keras_serializable(package="delvm_tf")
class QuadraticVisible(keras.layers.Layer):
    """q(z) = ½ (z−b)ᵀΛ(z−b), with Λ = I or a learned positive definite precision that starts there.

    A learned Λ carries the Gaussian bulk of the data, so that the network need not.

    Args:
        precision: None for the identity, `"scalar"`, `"diagonal"`, or `"full"` (d² weights) for a
            learned one, `"zero"` for q = 0.
        bias: None for b = 0, `"each"` for a learned bias of every value, `"channel"` for one of
            every channel (the last axis).

    Raises:
        ValueError: for an unknown precision or bias, or a bias without a quadratic part.
    """

    def __init__(self, precision: str | None = None, bias: str | None = None, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        for name, value, known in (
            ("visible_precision", precision, PRECISIONS),
            ("visible_bias", bias, BIASES),
        ):
            if value is not None and value not in known:
                raise ValueError(
                    f"unknown {name} {value!r}; expected None or one of {', '.join(known)}"
                )
        if precision == "zero" and bias is not None:
            raise ValueError(
                f"visible_bias={bias!r} has no effect without a quadratic part; choose another "
                f"visible_precision than 'zero', or visible_bias=None"
            )
        self.precision = precision
        self.bias = bias

    @property
    def is_zero(self) -> bool:
        """Whether there is no quadratic part."""
        return self.precision == "zero"

    def build(self, input_shape: Any) -> None:
        """Create the square root L of Λ = LᵀL and the bias, for inputs of `input_shape[1:]`."""
        shape = tuple(input_shape[1:])
        self.size = math.prod(shape)
        dtype = "float64" if self.variable_dtype == "float64" else "float32"
        if self.precision not in (None, "zero"):
            self.root = self.add_weight(
                name="root",
                shape={"scalar": (), "diagonal": shape, "full": (self.size, self.size)}[
                    self.precision
                ],
                dtype=dtype,
                initializer=keras.initializers.Identity() if self.precision == "full" else "ones",
                autocast=False,
            )
        if self.bias is not None:
            self.mean = self.add_weight(
                name="visible_bias",
                shape=shape if self.bias == "each" else shape[-1:],
                dtype=dtype,
                initializer="zeros",
                autocast=False,
            )
        self.built = True

    def _centered(self, z: tf.Tensor) -> tf.Tensor:
        return z if self.bias is None else z - self.mean

    def _times_root(self, z: tf.Tensor, transpose: bool) -> tf.Tensor:
        root = tf.convert_to_tensor(self.root)
        if self.precision != "full":
            return z * root
        flat = tf.reshape(z, (-1, self.size))
        return tf.reshape(tf.matmul(flat, root, transpose_b=transpose), tf.shape(z))

    def _divided_by_root(self, z: tf.Tensor, transpose: bool) -> tf.Tensor:
        """L⁻¹z, or L⁻ᵀz."""
        root = tf.convert_to_tensor(self.root)
        if self.precision != "full":
            return z / root
        flat = tf.reshape(z, (-1, self.size))
        solved = tf.linalg.solve(root, tf.transpose(flat), adjoint=transpose)
        return tf.reshape(tf.transpose(solved), tf.shape(z))

    def energy(self, z: tf.Tensor) -> tf.Tensor:
        """½ (z−b)ᵀΛ(z−b), shape (batch,)."""
        if self.is_zero:
            return tf.zeros(tf.shape(z)[:1], z.dtype)
        u = self._centered(z)
        u = u if self.precision is None else self._times_root(u, transpose=True)
        return 0.5 * tf.reduce_sum(tf.square(tf.reshape(u, (-1, self.size))), axis=1)

    def gradient(self, z: tf.Tensor) -> tf.Tensor:
        """Λ(z−b), shape of z."""
        if self.is_zero:
            return tf.zeros_like(z)
        u = self._centered(z)
        if self.precision is None:
            return u
        return self._times_root(self._times_root(u, transpose=True), transpose=False)

    def laplacian(self, z: tf.Tensor) -> tf.Tensor:
        """The trace of Λ for each example, shape (batch,)."""
        if self.is_zero:
            return tf.zeros(tf.shape(z)[:1], z.dtype)
        if self.precision is None:
            trace = tf.cast(self.size, z.dtype)
        else:
            trace = tf.reduce_sum(tf.square(tf.convert_to_tensor(self.root)))
            trace = trace * self.size if self.precision == "scalar" else trace
        return tf.fill((tf.shape(z)[0],), trace)

    def sample(self, linear: tf.Tensor, seed: tf.Tensor, noise_level: float) -> tf.Tensor:
        """A draw from the density ∝ exp(linearᵀz − q(z)), N(b + Λ⁻¹linear, Λ⁻¹).

        Args:
            linear: (batch, ...).
            seed: of the noise.
            noise_level: factor on the noise; 0 for the mean, without drawing any.

        Raises:
            ValueError: if there is no quadratic part.
        """
        if self.is_zero:
            raise ValueError("without a quadratic part x given h has no density")
        z = linear
        if self.precision is not None:
            z = self._divided_by_root(z, transpose=True)
        if noise_level:
            z += noise_level * noise.normal(tf.shape(z), seed, z.dtype)
        if self.precision is not None:
            z = self._divided_by_root(z, transpose=False)
        return z if self.bias is None else z + self.mean

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {**super().get_config(), "precision": self.precision, "bias": self.bias}
