"""Sums over the values of each example."""

from typing import Any

import tensorflow as tf


def sum_per_example(t: tf.Tensor) -> tf.Tensor:
    """Sum over all axes but the first: (batch, ...) to (batch,)."""
    return tf.reduce_sum(tf.reshape(t, (tf.shape(t)[0], -1)), axis=1)


@tf.custom_gradient
def squared_norms(t: tf.Tensor) -> Any:
    """The squared norm of each example, (batch, ...) to (batch,); its gradient in one pass."""

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return t * tf.reshape(2.0 * upstream, (-1,) + (1,) * (t.shape.rank - 1))

    return sum_per_example(tf.square(t)), gradient
