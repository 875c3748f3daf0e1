"""Sums over the values of each example, and numbers of each example or probe beside them."""

from typing import Any

import tensorflow as tf


def sum_per_example(t: tf.Tensor) -> tf.Tensor:
    """Sum over all axes but the first: (batch, ...) to (batch,)."""
    return tf.reduce_sum(tf.reshape(t, (tf.shape(t)[0], -1)), axis=1)


def beside(values: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """A number of each example, (batch,), or one of all, so that it multiplies t, (batch, ...)."""
    return tf.reshape(values, (-1,) + (1,) * (t.shape.rank - 1))


@tf.custom_gradient
def squared_norms(t: tf.Tensor) -> Any:
    """The squared norm of each example, (batch, ...) to (batch,); its gradient in one pass."""

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return t * tf.reshape(2.0 * upstream, (-1,) + (1,) * (t.shape.rank - 1))

    return sum_per_example(tf.square(t)), gradient


def for_each_probe(t: tf.Tensor, probes: Any, batch: Any) -> tf.Tensor:
    """(P or 1, batch or 1, ...) broadcast and flattened to (P·batch, ...)."""
    rest = tf.shape(t)[2:]
    full = tf.broadcast_to(t, tf.concat([[probes, batch], rest], axis=0))
    return tf.ensure_shape(
        tf.reshape(full, tf.concat([[probes * batch], rest], axis=0)), (None, *t.shape[2:])
    )


def sum_over_probes(t: tf.Tensor, probes: Any, batch: Any) -> tf.Tensor:
    """(P·batch, ...) to (batch, ...)."""
    shape = tf.concat([[probes, batch], tf.shape(t)[1:]], axis=0)
    return tf.reduce_sum(tf.reshape(t, shape), axis=0)
