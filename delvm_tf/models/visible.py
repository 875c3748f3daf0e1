"""The quadratic part of an energy: the Gaussian that the rest departs from."""

import math
from typing import Any

import keras
import tensorflow as tf

PRECISIONS = ("scalar", "diagonal", "full")


@keras.saving.register_keras_serializable(package="delvm_tf")
class QuadraticVisible(keras.layers.Layer):
    """q(z) = ½ zᵀΛz, with Λ = I or a learned positive definite precision that starts there.

    A learned Λ carries the Gaussian bulk of the data, so that the network need not.

    Args:
        precision: None for the identity, `"scalar"`, `"diagonal"`, or `"full"` (d² weights).

    Raises:
        ValueError: for an unknown precision.
    """

    def __init__(self, precision: str | None = None, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        if precision is not None and precision not in PRECISIONS:
            raise ValueError(
                f"unknown visible_precision {precision!r}; expected None or one of "
                f"{', '.join(PRECISIONS)}"
            )
        self.precision = precision

    def build(self, input_shape: Any) -> None:
        """Create the square root L of Λ = LᵀL for inputs of `input_shape[1:]`."""
        self.size = math.prod(input_shape[1:])
        if self.precision is not None:
            shape: tuple[int, ...] = {
                "scalar": (), "diagonal": tuple(input_shape[1:]), "full": (self.size, self.size),
            }[self.precision]  # fmt: skip
            initializer = keras.initializers.Identity() if self.precision == "full" else "ones"
            dtype = "float64" if self.variable_dtype == "float64" else "float32"
            self.root = self.add_weight(
                name="root", shape=shape, dtype=dtype, initializer=initializer, autocast=False
            )
        self.built = True

    def _times_root(self, z: tf.Tensor, transpose: bool) -> tf.Tensor:
        root = tf.convert_to_tensor(self.root)
        if self.precision != "full":
            return z * root
        flat = tf.reshape(z, (-1, self.size))
        return tf.reshape(tf.matmul(flat, root, transpose_b=transpose), tf.shape(z))

    def energy(self, z: tf.Tensor) -> tf.Tensor:
        """½ zᵀΛz, shape (batch,)."""
        u = z if self.precision is None else self._times_root(z, transpose=True)
        return 0.5 * tf.reduce_sum(tf.square(tf.reshape(u, (-1, self.size))), axis=1)

    def gradient(self, z: tf.Tensor) -> tf.Tensor:
        """Λz, shape of z."""
        if self.precision is None:
            return z
        return self._times_root(self._times_root(z, transpose=True), transpose=False)

    def laplacian(self, z: tf.Tensor) -> tf.Tensor:
        """The trace of Λ for each example, shape (batch,)."""
        if self.precision is None:
            trace = tf.cast(self.size, z.dtype)
        else:
            trace = tf.reduce_sum(tf.square(tf.convert_to_tensor(self.root)))
            trace = trace * self.size if self.precision == "scalar" else trace
        return tf.fill((tf.shape(z)[0],), trace)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {**super().get_config(), "precision": self.precision}
