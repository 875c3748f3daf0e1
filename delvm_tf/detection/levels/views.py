"""The views of a table: columns by their size, by size over noise, and by rank and rarity."""

from typing import Any

import numpy as np
import tensorflow as tf
from scipy import stats

from delvm_tf.detection.levels.interpolation import Interpolation
from delvm_tf.detection.registry import register

KNOTS = 512  # of ranks, a column
EXTREME = 3.0  # the largest normal quantile within the training values
BOUND = 50.0  # beyond which no view goes
FEW, FEW_SHARE, MOST_VALUES = 10, 0.05, 1000  # distinct values of a column whose values are counted
LEAST_SPREAD = 0.3  # in nats, of the surprise
TAIL_WEIGHT, NOISES = 0.33, (0.2, 6.0)
ROUNDED = float(np.finfo("float32").eps)  # relative, of numbers as float32
EXACT = 4 * float(np.finfo("float32").eps)  # relative distance of values that are the same


@register()
class ColumnViews:
    """A table in three spaces, in each of which distances mean something else.

    - `sizes`: z-scores, z = (x − mean)/std;
    - `noises`: z over a noise of each column from its kurtosis κ, clip(1 + 0.33(κ − 3), 0.2, 6), so
      that heavy tails weigh less and flat columns more; columns of two values keep z. Source of the
      rule: K-DSM (2026), arXiv 2605.06955;
    - `ranks`: Φ⁻¹(mid-rank of x among the training values), within ±3, linear in between, going on
      by standard deviations beyond them, which is blind to units and tails; and beside it, of each
      column with few distinct values, the surprise of its value: −log (share of the training rows
      that have it), minus its mean, over its standard deviation (at least 0.3 nats). Values not
      seen count half a row. It tells codes apart that are near as numbers.

    All are cut at ±50. Columns that do not vary have z everywhere.

    Args:
        x: training rows, (n, d).
    """

    def __init__(self, x: np.ndarray):
        x = np.asarray(x, np.float64)
        self.mean, std = x.mean(axis=0), x.std(axis=0)
        self.varies = std > 1e-12 * (1 + np.abs(self.mean))
        self.std = np.where(self.varies, std, 1.0)
        z = (x - self.mean) / self.std
        found = [np.unique(column, return_counts=True) for column in x.T]
        two = np.array([len(values) <= 2 for values, _ in found])
        noise = np.clip(1 + TAIL_WEIGHT * (np.mean(z**4, axis=0) - 3), *NOISES)
        self.noise = np.where(two, 1.0, noise)
        self.first, self.final = x.min(axis=0), x.max(axis=0)
        quantiles = [
            _quantiles(*each) if len(each[0]) > 1 else (each[0], z[:1, k])
            for k, each in enumerate(found)
        ]
        self.ranks = Interpolation(*zip(*quantiles, strict=True))
        most = min(max(FEW, FEW_SHARE * len(x)), MOST_VALUES)
        self.counted = np.array([k for k, (v, _) in enumerate(found) if len(v) <= most], np.int32)
        shares = [found[k][1] / len(x) for k in self.counted]
        surprises = [-np.log(share) for share in shares]
        pairs = list(zip(surprises, shares, strict=True))
        self.center = np.array([np.sum(s * p) for s, p in pairs])
        spread = [np.sqrt(np.sum((s - np.sum(s * p)) ** 2 * p)) for s, p in pairs]
        self.spread = np.maximum(spread, LEAST_SPREAD)
        self.unseen = float(np.log(2 * len(x)))
        if pairs:
            self.values = Interpolation([found[k][0] for k in self.counted], surprises)

    def sizes(self, x: Any) -> tf.Tensor:
        """The z-scores of rows, (batch, d) float32: the space `sizes` alone."""
        return _bounded((tf.cast(x, tf.float64) - self.mean) / self.std)

    def __call__(self, x: Any) -> dict[str, tf.Tensor]:
        """The spaces of rows by name, (batch, columns) float32 each."""
        x = tf.cast(x, tf.float64)
        z = (x - self.mean) / self.std
        beyond = tf.nn.relu(x - self.final) - tf.nn.relu(self.first - x)
        ranks = [self.ranks(x) + beyond / self.std]
        if len(self.counted):
            surprise = self._surprise(tf.gather(x, self.counted, axis=1))
            ranks.append((surprise - self.center) / self.spread)
        spaces = {"sizes": z, "noises": z / self.noise, "ranks": tf.concat(ranks, axis=1)}
        return {name: _bounded(space) for name, space in spaces.items()}

    def rounding(self, x: Any) -> tf.Tensor:
        """The squared distance of z-scores within which rows are the same, (batch, 1) float64.

        That is, as float32 numbers in raw units.
        """
        z = tf.where(self.varies, tf.cast(x, tf.float64) / self.std, 0)
        z = tf.clip_by_value(z, -BOUND / ROUNDED, BOUND / ROUNDED)
        return ROUNDED**2 * (1 + tf.reduce_sum(tf.square(z), axis=1, keepdims=True))

    def by_column(self, views: tf.Tensor) -> tf.Tensor:
        """Numbers of the views of a space, added up for each column of the table, (batch, d)."""
        width = len(self.mean)
        if views.shape[1] == width:
            return views
        places = tf.one_hot(self.counted, width, dtype=views.dtype)
        return views[:, :width] + tf.matmul(views[:, width:], places)

    def _surprise(self, x: tf.Tensor) -> tf.Tensor:
        """−log of the share of each value, (batch, counted)."""
        slack = EXACT * tf.abs(x)
        value, surprise, _ = self.values.pieces_below(x + slack)
        unseen = tf.constant(self.unseen, tf.float64)
        return tf.where(tf.abs(value - x) <= slack, surprise, unseen)


def _bounded(views: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(views, -BOUND, BOUND), tf.float32)


def _quantiles(values: np.ndarray, counts: np.ndarray) -> tuple[Any, Any]:
    """Knots and normal quantiles of the mid-ranks of a column's distinct values."""
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    quantiles = np.clip(stats.norm.ppf(ranks), -EXTREME, EXTREME)
    if len(values) > KNOTS:
        places = np.searchsorted(quantiles, np.linspace(quantiles[0], quantiles[-1], KNOTS))
        kept = np.unique(np.r_[0, np.clip(places, 0, len(values) - 1), len(values) - 1])
        values, quantiles = values[kept], quantiles[kept]
    return values, quantiles
