"""Several scores as one: what each says against a row being like those of the training."""

from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.detection.levels.interpolation import Interpolation
from delvm_tf.detection.registry import register

CLOSE = 0.02  # of the spread: scores that count as one
ROUNDING = 1e-5  # of float32 scores, as a part of the median or of 1: they are the median
FAR = 0.1  # weight of the distance, which tells apart what is beyond all rows


@register()
class Evidence:
    """−log p̂ + 0.1 sign(t) log(1 + |t|) of each score.

    p̂ is the share of training rows that reach it, and t = (score − median)/(5% to 95% range).
    Averaged over scores the first term is Fisher's way to combine p-values: no single score counts
    for more than log(n + 1), so a wild one harms little. The second goes on rising beyond.

    Args:
        scores: of rows that count as new, (n, scores).
    """

    def __init__(self, scores: np.ndarray):
        scores = np.asarray(scores, np.float64)
        self.median = np.median(scores, axis=0)
        self.rounding = ROUNDING * np.maximum(1, np.abs(self.median))
        scores = np.where(np.abs(scores - self.median) <= self.rounding, self.median, scores)
        low, high = np.quantile(scores, [0.05, 0.95], axis=0)
        least = 1e-9 * np.maximum(1, np.abs(self.median))
        self.spread = np.maximum(high - low, least)
        self.tails = Interpolation(*zip(*map(_tail, scores.T, self.spread), strict=True))

    def __call__(self, scores: tf.Tensor) -> tf.Tensor:
        """The evidence of scores, (batch, scores) float64."""
        scores = tf.cast(scores, tf.float64)
        same = tf.abs(scores - self.median) <= self.rounding
        scores = tf.where(same, tf.constant(self.median), scores)
        t = (scores - self.median) / self.spread
        return self.tails(scores) + FAR * tf.sign(t) * tf.math.log1p(tf.abs(t))


def _tail(scores: np.ndarray, spread: float) -> tuple[Any, Any]:
    """Distinct scores, and −log (1 + rows that reach them)/(1 + rows).

    Those closer than 2% of the spread are one, or rounding would move a score from one to the next.
    """
    values, counts = np.unique(scores, return_counts=True)
    reach = np.cumsum(counts[::-1])[::-1]
    tail = -np.log((1 + reach) / (1 + len(scores)))
    bins = np.floor((values - values[0]) / (CLOSE * spread))
    kept = np.flatnonzero(np.diff(bins, prepend=-1))
    values, tail = values[kept], tail[kept]
    # Beyond all rows counts one step more.
    return np.r_[values, scores.max() + CLOSE * spread], np.r_[tail, np.log(1 + len(scores))]
