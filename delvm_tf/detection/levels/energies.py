"""Energies of a table at several noise levels, and what they say against its rows."""

from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.detection.criterion import by_batches
from delvm_tf.detection.levels.compiled import Compiled
from delvm_tf.detection.levels.evidence import Evidence
from delvm_tf.detection.levels.memory import DenoisingMemory
from delvm_tf.detection.levels.network import errors
from delvm_tf.detection.levels.views import ColumnViews
from delvm_tf.detection.registry import register

SHARPNESS = 3.0  # of the maximum over spaces
LEAST = 1e-6  # squared distance of a column, for rows that are remembered
LEARNED = "sizes"  # the space in which a network learns too
# Of the evidence of errors in a space: two of the memory of each, then two of the network.
WEIGHTS = {
    "sizes": (0.25, 0.25, 0, 0, 0, 0, 0.25, 0.25),
    "noises": (0, 0, 0.5, 0.5, 0, 0, 0, 0),
    "ranks": (0, 0, 0, 0, 0.5, 0.5, 0, 0),
}


@register()
class LevelEnergies:
    """Scores of rows, (batch, d) in raw units, by memories in three spaces and a network in one.

    Args:
        views: of the columns.
        rows: distinct rows of the training, (n, d).
        counts: how often each of them occurs, (n,).
        usual: rows of the training whose errors are the standard, (m, d).
        trusted: see `LevelDetector`.
        model: a noise-conditional model of the z-scores.
    """

    def __init__(
        self, views: ColumnViews, rows: np.ndarray, counts: np.ndarray, usual: np.ndarray,
        trusted: bool, model: Any,
    ):  # fmt: skip
        self.views, self.model = views, model
        self.memories = {name: DenoisingMemory(kept, counts) for name, kept in views(rows).items()}
        self.forgets = True
        self.evidence = Evidence(by_batches(lambda x: self._seen(x)[0], usual).numpy())
        self.forgets = not trusted

    def __call__(self, x: Any) -> tf.Tensor:
        """The scores, (batch,) float64."""
        found, _, _ = self._seen(x)
        return _joined(self._by_space(found))[:, 0]

    compiled = Compiled(__call__)

    def explained(self, x: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Contributions of columns to the scores, (batch, d) float64, and what rows should be.

        The latter (batch, d) float32. See `LevelDetector.explained`.
        """
        found, views, means = self._seen(x)
        shares = []
        for name, mean in means.items():
            by_column = self.views.by_column(tf.square(views[name] - mean))
            by_column = tf.cast(by_column, tf.float64) + LEAST
            shares.append(by_column / tf.reduce_sum(by_column, axis=1, keepdims=True))
        evidence = self._by_space(found)
        weights = tf.nn.softmax(SHARPNESS * evidence, axis=1)[:, :, tf.newaxis]
        share = tf.reduce_sum(weights * tf.stack(shares, axis=1), axis=1)
        mean = tf.cast(means["sizes"], tf.float64) * self.views.std + self.views.mean
        return _joined(evidence) * share, tf.cast(mean, tf.float32)

    def _seen(self, x: Any) -> tuple[tf.Tensor, dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Errors, (batch, 8), the views, and what these should have been."""
        views = self.views(x)
        halves = {name: memory.halves(views[name]) for name, memory in self.memories.items()}
        same = None
        if self.forgets:
            # In one space for all, for rounding moves views differently.
            same = 2 * halves["sizes"] <= self.views.rounding(x)
        found, means = [], {}
        for name, memory in self.memories.items():
            error, means[name] = memory(views[name], halves[name], same)
            found.append(error)
        found.append(errors(self.model, views[LEARNED]))
        return tf.concat(found, axis=1), views, means

    def _by_space(self, found: tf.Tensor) -> tf.Tensor:
        """The evidence against rows in each space, (batch, spaces) float64."""
        weights = np.array([WEIGHTS[name] for name in self.memories], np.float64)
        return tf.matmul(self.evidence(found), tf.constant(weights), transpose_b=True)


def _joined(evidence: tf.Tensor) -> tf.Tensor:
    """Close to the largest over spaces, (batch, 1)."""
    return tf.reduce_logsumexp(SHARPNESS * evidence, axis=1, keepdims=True) / SHARPNESS
