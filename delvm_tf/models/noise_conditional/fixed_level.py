"""A network of (x, log σ) at one σ: a plain network of x."""

from typing import Any

import keras
import tensorflow as tf


class FixedLevel(keras.layers.Layer):
    """f(·, log σ) of a noise-conditional model at a fixed σ."""

    def __init__(self, model: Any, log_sigma: float):
        super().__init__(autocast=False, dtype=model.dtype_policy, name="fixed_level")
        self.network = model.network
        self._output = model.level_output
        self.log_sigma = log_sigma
        self.built = True

    def call(self, u: tf.Tensor) -> tf.Tensor:
        """f(u, log σ)."""
        return self._output(u, tf.fill(tf.shape(u)[:1], tf.constant(self.log_sigma, u.dtype)))
