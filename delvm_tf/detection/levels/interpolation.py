"""Piecewise linear functions of each column, in Python and in graphs."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from delvm_tf.detection.registry import register

STEEPEST = 1e300  # slope, so that no distance times it is NaN


@register()
class Interpolation:
    """A piecewise linear function of each column, constant beyond its knots.

    Args:
        knots: of each column, ascending; one or more.
        values: there.
    """

    def __init__(self, knots: Sequence[np.ndarray], values: Sequence[np.ndarray]):
        most = max([2, *map(len, knots)])

        def table(parts: Sequence[np.ndarray], fill: float) -> np.ndarray:
            filled = np.full((len(parts), most), fill)
            for row, part in zip(filled, parts, strict=True):
                row[: len(part)] = part
            return filled

        slopes = [_slopes(*each) for each in zip(knots, values, strict=True)]
        self.knots = table(knots, np.inf)
        self.pieces = np.stack([table(each, 0.0) for each in (knots, values, slopes)], axis=2)
        self.first = np.array([k[0] for k in knots], np.float64)
        self.final = np.array([k[-1] for k in knots], np.float64)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """The functions of x, (batch, columns) float64, each of its column."""
        x = tf.minimum(tf.maximum(x, self.first), self.final)
        knot, value, slope = self.pieces_below(x)
        return value + slope * (x - knot)

    def pieces_below(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The last knot that is not above x or else the first, its value, and the slope there.

        Each (batch, columns).
        """
        place = tf.searchsorted(tf.constant(self.knots), tf.transpose(x), side="right") - 1
        place = tf.maximum(place, 0)
        # One look-up, for each costs as much as the search.
        pieces = tf.gather(tf.constant(self.pieces), place, batch_dims=1)
        return tuple(tf.unstack(tf.transpose(pieces, (2, 1, 0)), num=3))


def _slopes(knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """From each knot to the next, and 0 from the last; finite where knots all but coincide."""
    with np.errstate(over="ignore"):
        slopes = np.diff(values) / np.diff(knots)
    return np.r_[np.clip(slopes, -STEEPEST, STEEPEST), 0.0]
