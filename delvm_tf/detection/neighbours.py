"""The anomaly score by distances to the nearest normal examples."""

from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.decomposition import PCA

from delvm_tf.detection import validation
from delvm_tf.detection.criterion import Criterion, by_batches, centred

BLOCK = 8192  # normal examples compared at a time
ROUNDED = float(np.finfo("float32").eps)  # relative, of numbers as float32


class NeighbourDistance(Criterion):
    """Anomaly score (1/k) Σᵢ ‖x − xᵢ‖ over the k nearest normal examples xᵢ.

    On the examples it was fitted on it is too good by one, for each is its own neighbour, unless
    they are left out. Cost: n·d multiply-adds per row, for n normal examples, which it keeps in
    float32.

    Args:
        n_neighbors: k; reduced to the number of examples if greater.
        n_components: principal components to measure distances in, for speed; all of X if None.
        seed: of the randomised decomposition.
        leave_out: whether a row that equals a normal example, as float32 numbers, is not compared
            with that one, so that the examples it was fitted on are scored as new ones are. Of
            several that are the same one is left out, and the others are neighbours.

    Attributes:
        kept_: the normal examples, centred, or their principal components; (n, d) float32.

    Examples:
        >>> normal = np.array([[0.0], [1.0], [10.0]])
        >>> near = dv.detection.NeighbourDistance(n_neighbors=2).fit(normal)
        >>> -near.score_samples(np.array([[3.0]])).round(6)  # (2 + 3)/2
        array([2.5])
    """

    flat = True
    leave_out = False  # of those that were saved when there was no such choice

    def __init__(
        self,
        n_neighbors: int = 5,
        n_components: int | None = None,
        seed: int = 0,
        leave_out: bool = False,
    ):
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.seed = seed
        self.leave_out = leave_out

    def fit(self, X: Any, y: Any = None) -> "NeighbourDistance":
        """Keep X, (n, d), or its principal components.

        Raises:
            ValueError: if there are to be no neighbours or components, or if a single example is
                to be left out.
        """
        X = validation.checked(self, X, reset=True, flat=True, rows=2 if self.leave_out else 1)
        if self.n_neighbors < 1 or (self.n_components is not None and self.n_components < 1):
            raise ValueError(
                f"n_neighbors and n_components must be positive, got {self.n_neighbors!r} and "
                f"{self.n_components!r}"
            )
        self.mean_, self.components_ = X.mean(axis=0, dtype=np.float64), None
        kept = by_batches(self._projected, X)
        if self.n_components is not None and self.n_components < min(X.shape):
            # Of centred rows: PCA takes the mean of float32 in float32.
            pca = PCA(self.n_components, svd_solver="randomized", random_state=self.seed)
            self.components_ = pca.fit(kept.numpy()).components_.T.astype(np.float64)
            kept = by_batches(self._projected, X)
        # A variable, for a graph holds two gigabytes of constants at most.
        self.kept_ = tf.Variable(kept, trainable=False)
        return self

    def anomaly(self, x: Any) -> tf.Tensor:
        """The mean distance, (batch,) float64."""
        return by_batches(self._mean_distance, x)

    def _projected(self, x: Any) -> tf.Tensor:
        z = centred(x, self.mean_)
        z = z if self.components_ is None else tf.matmul(z, self.components_)
        return tf.cast(z, tf.float32)

    def _mean_distance(self, x: Any) -> tf.Tensor:
        z = tf.cast(self._projected(x), tf.float64)
        kept, count = tf.convert_to_tensor(self.kept_), self.kept_.shape[0]
        wanted = self.n_neighbors + self.leave_out  # one more, for one may be left out
        nearness: list[tf.Tensor] = []
        places: list[tf.Tensor] = []
        for start in range(0, count, BLOCK):
            with tf.control_dependencies(nearness[-1:]):  # all blocks at once fill the memory
                part = tf.cast(kept[start : start + BLOCK], tf.float64)
            # Minus the squared distance, but for ‖z‖², which ranks nothing.
            near = 2 * tf.matmul(z, part, transpose_b=True) - tf.reduce_sum(tf.square(part), axis=1)
            values, found = tf.math.top_k(near, min(wanted, part.shape[0]))
            nearness.append(values)
            places.append(found + start)
        _, best = tf.math.top_k(tf.concat(nearness, axis=1), min(wanted, count))
        places = tf.gather(tf.concat(places, axis=1), best, batch_dims=1)
        neighbours = tf.cast(tf.gather(kept, places), tf.float64)
        squares = tf.reduce_sum(tf.square(z[:, tf.newaxis] - neighbours), axis=2)
        distances = tf.sqrt(squares)
        if self.leave_out:
            same = squares[:, :1] <= self._rounding(x, z)
            distances = tf.where(same, distances[:, 1:], distances[:, :-1])
        return tf.reduce_mean(distances, axis=1)

    def _rounding(self, x: Any, z: tf.Tensor) -> tf.Tensor:
        """The squared distance within which rows are the same, (batch, 1) float64.

        As float32 numbers rows and kept examples are off by half of `ROUNDED` of either.
        """
        raw = tf.cast(x, tf.float64)
        return ROUNDED**2 * sum(
            tf.reduce_sum(tf.square(each), axis=1, keepdims=True) for each in (raw, z)
        )
