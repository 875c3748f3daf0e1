"""Anomaly scores of tables from energies at several noise levels."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.detection import validation
from delvm_tf.detection.criterion import BATCH_SIZE, Criterion, by_batches, symbolic
from delvm_tf.detection.levels.compiled import Compiled
from delvm_tf.detection.levels.evidence import Evidence
from delvm_tf.detection.levels.memory import DenoisingMemory, distinct_rows
from delvm_tf.detection.levels.network import STEPS, errors, trained
from delvm_tf.detection.levels.views import ColumnViews
from delvm_tf.detection.registry import register

MOST_ROWS, MOST_VALUES = 250_000, 10_000_000  # looked at; the training draws about as many rows
PRODUCTS, FEWEST, MOST = 20_000, 600, 4000  # distinct rows remembered: values, within these
CALIBRATION = 2000  # rows whose scores are the standard
MANY = 4 * BATCH_SIZE  # rows whose scores are computed by a compiled function
SHARPNESS = 3.0  # of the maximum over spaces
LEAST = 1e-6  # squared distance of a column, for rows that are remembered
LEARNED = "sizes"  # the space in which a network learns too


@register()
class Space:
    """What the energies of rows in one space say against a row.

    Args:
        rows: distinct ones of the training, (n, d) float32.
        counts: how often each of them occurs, (n,).
        usual: some rows of the training, whose scores are the standard, (m, d) float32.
        trusted: see `LevelDetector`.
        model: a noise-conditional model of the rows of the training, or None.
    """

    def __init__(
        self, rows: tf.Tensor, counts: np.ndarray, usual: tf.Tensor, trusted: bool, model: Any
    ):
        self.memory, self.model = DenoisingMemory(rows, counts), model
        self.remembered = Evidence(by_batches(lambda x: self.memory(x)[0], usual).numpy())
        self.memory.forgets = not trusted
        if model is not None:
            self.learned = Evidence(
                by_batches(lambda x: errors(model, tf.constant(x)), usual).numpy()
            )

    def __call__(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The evidence against rows, (batch,) float64, and what they should be, (batch, d)."""
        found, expected = self.memory(x)
        evidence = tf.reduce_mean(self.remembered(found), axis=1)
        if self.model is not None:
            learned = tf.reduce_mean(self.learned(errors(self.model, x)), axis=1)
            evidence = (evidence + learned) / 2
        return evidence, expected

    compiled = Compiled(__call__)


def rows_looked_at(columns: int) -> int:
    """How many rows of a table a `LevelDetector` looks at."""
    return min(MOST_ROWS, max(1, MOST_VALUES // columns))


class LevelDetector(Criterion):
    """Anomaly score: the evidence against a row at several noise levels, of a table of any columns.

    The columns are seen in three spaces (`ColumnViews`). In each an energy remembers rows
    (`DenoisingMemory`); in that of z-scores a noise-conditional DELVM learns them besides, and
    generalises. What is against a row in a space is the mean of the `Evidence` of the memory's
    errors ‖σ∇U‖² at two noise levels; with a network, the mean of that and of the evidence of the
    network's errors at two larger ones. The score is ⅓ log Σ exp(3·evidence) over the spaces,
    close to the largest.

    Training and scoring cost the same for any number of rows: of d columns 10⁷/d are looked at, and
    at most 250,000; 20,000/d distinct ones are remembered, at least 600 and at most 4,000.

    Args:
        trusted: whether the rows of the training are known to be normal. What equals one of them is
            then as normal as can be; else it is scored as if that had not been there, so that
            strange rows of the training are found.
        steps: of the training of the network, of 256 rows each.
        seed: of everything that is drawn.
        verbose: progress of the training, as in Keras.

    Attributes:
        views_: the `ColumnViews`.
        spaces_: by name, each `Space`.

    Example:
        >>> detector = dv.AnomalyDetector(dv.detection.LevelDetector(), epochs=1).fit(x_normal)
    """

    flat = True

    def __init__(self, trusted: bool = False, steps: int = STEPS, seed: int = 0, verbose: Any = 0):
        self.trusted = trusted
        self.steps = steps
        self.seed = seed
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, callbacks: Any = ()) -> "LevelDetector":
        """Learn from X, (n, d), all normal."""
        X = validation.checked(self, X, reset=True, flat=True, rows=2)
        x = X[np.random.default_rng(self.seed).permutation(len(X))[: rows_looked_at(X.shape[1])]]
        self.views_ = ColumnViews(x)
        rows = by_batches(self.views_.sizes, x).numpy()
        model = trained(rows, self.steps, self.seed, self.verbose, callbacks)
        del rows
        places, counts = distinct_rows(x, int(np.clip(PRODUCTS // x.shape[1], FEWEST, MOST)))
        views = self.views_(np.concatenate([x[places], x[:CALIBRATION]]))
        self.spaces_ = {
            name: Space(
                rows[: len(places)], counts, rows[len(places) :], self.trusted,
                model if name == LEARNED else None,
            )
            for name, rows in views.items()
        }  # fmt: skip
        return self

    def anomaly(self, x: Any) -> tf.Tensor:
        """The evidence against rows x, (batch,) float64."""
        # Compiling takes as long as some thousand rows.
        many = not symbolic(x) and (not hasattr(x, "shape") or x.shape[0] >= MANY)
        return by_batches(functools.partial(self._anomaly, compiled=many), x)

    def explained(self, x: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Contributions of columns, which sum to the score, and what rows should have been.

        In each space a column has the share (v − v̂)²/Σ(v − v̂)² of its views v, where v̂ is the mean
        of the remembered rows most like it; the spaces weigh by exp(3·evidence). What rows should
        have been is v̂ of their z-scores, in raw units.

        Returns:
            (batch, d) float64, and (batch, d) float32.
        """
        views = self.views_(x)
        found = {name: space(views[name]) for name, space in self.spaces_.items()}
        shares = []
        for name, (_, expected) in found.items():
            residual = tf.square(views[name] - expected)
            by_column = tf.cast(self.views_.by_column(residual), tf.float64) + LEAST
            shares.append(by_column / tf.reduce_sum(by_column, axis=1, keepdims=True))
        together = SHARPNESS * tf.stack([evidence for evidence, _ in found.values()], axis=1)
        score = tf.reduce_logsumexp(together, axis=1, keepdims=True) / SHARPNESS
        weights = tf.nn.softmax(together, axis=1)[:, :, tf.newaxis]
        contributions = score * tf.reduce_sum(weights * tf.stack(shares, axis=1), axis=1)
        mean = tf.cast(found["sizes"][1], tf.float64) * self.views_.std + self.views_.mean
        return contributions, tf.cast(mean, tf.float32)

    def _anomaly(self, x: Any, compiled: bool = False) -> tf.Tensor:
        views = self.views_.compiled(x) if compiled else self.views_(x)
        evidence = [
            (space.compiled if compiled else space)(views[name])[0]
            for name, space in self.spaces_.items()
        ]
        return tf.reduce_logsumexp(SHARPNESS * tf.stack(evidence, axis=1), axis=1) / SHARPNESS
