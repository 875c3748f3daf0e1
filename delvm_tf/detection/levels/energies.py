"""Energies of a table at the noise levels that suit it, and what they say against its rows."""

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
LEVEL_ROWS = 1000  # by which noise levels are chosen


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
        self._choose_levels(usual[:LEVEL_ROWS])
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

    def _choose_levels(self, x: np.ndarray) -> None:
        views, halves, itself = self._distances(x)
        for name, memory in self.memories.items():
            memory.choose_level(views[name], halves[name], itself)

    def _distances(self, x: Any) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], Any]:
        """Views of x, half their squared distances to remembered rows, and which of these it is."""
        views = self.views(x)
        halves = {name: memory.halves(views[name]) for name, memory in self.memories.items()}
        if not self.forgets:
            return views, halves, None
        # In one space for all, for rounding moves views differently.
        place = tf.argmin(halves["sizes"], axis=1, output_type=tf.int32)
        distance = 2 * tf.reduce_min(halves["sizes"], axis=1)
        return views, halves, (place, distance <= self.views.rounding(x)[:, 0])

    def _seen(self, x: Any) -> tuple[tf.Tensor, dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Errors of the memories and of the network, (batch, 4), views, what these should be."""
        views, halves, itself = self._distances(x)
        found, means = [], {}
        for name, memory in self.memories.items():
            error, means[name] = memory(views[name], halves[name], itself)
            found.append(error)
        found.append(errors(self.model, views[LEARNED], self.memories[LEARNED].sigma))
        return tf.stack(found, axis=1), views, means

    def _by_space(self, found: tf.Tensor) -> tf.Tensor:
        """The evidence against rows in each space, (batch, spaces) float64."""
        *remembered, learned = tf.unstack(self.evidence(found), axis=1)
        place = [*self.memories].index(LEARNED)
        remembered[place] = (remembered[place] + learned) / 2
        return tf.stack(remembered, axis=1)


def _joined(evidence: tf.Tensor) -> tf.Tensor:
    """Close to the largest over spaces, (batch, 1)."""
    return tf.reduce_logsumexp(SHARPNESS * evidence, axis=1, keepdims=True) / SHARPNESS
