"""How far the codes of an image are from those of the images most like it."""

import numpy as np
import tensorflow as tf

from delvm_tf.detection.images.components import principal_components
from delvm_tf.detection.neighbours import NeighbourDistance
from delvm_tf.detection.registry import register

NEIGHBOURS = 3
COMPONENTS = 256
SHRUNK = 0.25  # exponent of the variances that components are divided by; ½ whitens
LEAST_STD = 0.01  # of a code, in units of the mean one
USUAL = 1000  # training images whose distances are the standard
LEAST_SPREAD, FLOOR = 0.05, 1e-3  # of log distances, and of distances as a part of the median


@register()
class Nearness:
    """Anomaly score (log δ − median)/(5% to 95% range) of the mean distance δ to three images.

    Distances are those of codes over their standard deviations, in 256 principal components over
    the fourth root of their variances λ, halfway to whitening. Median and range are those of log δ
    of training images to the three others nearest to them.

    Args:
        codes: of the training, (n, d) float32.
        seed: of the decomposition.
    """

    def __init__(self, codes: np.ndarray, seed: int):
        std = codes.std(axis=0, dtype=np.float64)
        std += LEAST_STD * std.mean() if std.any() else 1.0
        mean = codes.mean(axis=0, dtype=np.float64)
        z = ((codes - mean) / std).astype(np.float32)
        count = min(COMPONENTS, len(codes) - 1, codes.shape[1])
        directions, variances = principal_components(z, count, seed)
        kernel = directions / std[:, np.newaxis] / np.maximum(variances, 1e-9) ** SHRUNK
        self.kernel = tf.Variable(kernel, dtype=tf.float32, trainable=False)
        self.mean = tf.Variable(mean, dtype=tf.float32, trainable=False)
        views = self._views(codes).numpy()
        self.memory = NeighbourDistance(NEIGHBOURS).fit(views)
        # The nearest one is the image itself, at no distance.
        others = NeighbourDistance(NEIGHBOURS + 1).fit(views)
        usual = others.anomaly(views[:USUAL]).numpy() * (NEIGHBOURS + 1) / NEIGHBOURS
        self.floor = float(FLOOR * np.median(usual)) or 1e-6
        logs = np.log(usual + self.floor)
        low, self.median, high = map(float, np.quantile(logs, [0.05, 0.5, 0.95]))
        self.spread = max(high - low, LEAST_SPREAD)

    def __call__(self, codes: tf.Tensor) -> tf.Tensor:
        """The scores, (batch,) float64, of codes, (batch, d)."""
        distance = self.memory.anomaly(self._views(codes))
        return (tf.math.log(distance + self.floor) - self.median) / self.spread

    def _views(self, codes: tf.Tensor) -> tf.Tensor:
        return tf.matmul(codes - self.mean, self.kernel)
