"""Piecewise linear functions of each column, in Python and in graphs."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from delvm_tf.detection.registry import register


@register()
class Interpolation:
    """A piecewise linear function of each column, constant beyond its knots.

    Args:
        knots: of each column, ascending; one or more.
        values: there.
    """

    def __init__(self, knots: Sequence[np.ndarray], values: Sequence[np.ndarray]):
        most = max([2, *map(len, knots)])

        def table(parts: Sequence[np.ndarray], fill: float | None) -> np.ndarray:
            rows = [
                np.concatenate([p, np.full(most - len(p), p[-1] if fill is None else fill)])
                for p in np.asarray(parts, object)
            ]
            return np.array(rows, np.float64).reshape(len(rows), most)

        self.knots = table([np.asarray(k, np.float64) for k in knots], np.inf)
        self.values = table([np.asarray(v, np.float64) for v in values], None)
        self.last = np.array([len(k) - 1 for k in knots], np.int32)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """The functions of x, (batch, columns) float64, each of its column."""
        return self.at(x, self.below(x))

    def below(self, x: tf.Tensor) -> tf.Tensor:
        """The number of the last knot that is not greater, (columns, batch); 0 below the first."""
        place = tf.searchsorted(tf.constant(self.knots), tf.transpose(x), side="right") - 1
        return tf.clip_by_value(place, 0, self.last[:, np.newaxis])

    def at(self, x: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        """The functions of x between the knots `place` and `place + 1`."""
        after = tf.minimum(place + 1, self.last[:, np.newaxis])
        left, right = (tf.gather(self.knots, k, batch_dims=1) for k in (place, after))
        low, high = (tf.gather(self.values, k, batch_dims=1) for k in (place, after))
        width = right - left
        share = tf.where(width > 0, (tf.transpose(x) - left) / tf.where(width > 0, width, 1), 0)
        return tf.transpose(low + tf.clip_by_value(share, 0, 1) * (high - low))
