"""Sums over the values of each example."""

import tensorflow as tf


def sum_per_example(t: tf.Tensor) -> tf.Tensor:
    """Sum over all axes but the first: (batch, ...) to (batch,)."""
    return tf.reduce_sum(tf.reshape(t, (tf.shape(t)[0], -1)), axis=1)
