"""Anomaly scores of tables from energies at the noise levels that suit them."""

from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.detection import validation
from delvm_tf.detection.criterion import BATCH_SIZE, Criterion, by_batches, symbolic
from delvm_tf.detection.levels.energies import LevelEnergies
from delvm_tf.detection.levels.memory import distinct_rows
from delvm_tf.detection.levels.network import STEPS, trained
from delvm_tf.detection.levels.views import ColumnViews

MOST_ROWS, MOST_VALUES = 250_000, 10_000_000  # looked at; the training draws about as many rows
PRODUCTS, FEWEST, MOST = 20_000, 600, 4000  # distinct rows remembered: values, within these
CALIBRATION = 2000  # rows whose scores are the standard
MANY = 2 * BATCH_SIZE  # rows whose scores are computed by a compiled function


def rows_looked_at(columns: int) -> int:
    """How many rows of a table a `LevelDetector` looks at."""
    return min(MOST_ROWS, max(FEWEST, MOST_VALUES // columns))


class LevelDetector(Criterion):
    """Anomaly score: the evidence against a row by energies of noisy data, of any table.

    The columns are seen in three spaces (`ColumnViews`). In each an energy remembers rows
    (`DenoisingMemory`), at the noise level σ that denoises training rows best; in that of z-scores
    a noise-conditional DELVM, which learns all levels, generalises between them. What is against a
    row in a space is the `Evidence` of the memory's error ‖σ∇U‖²; with a network, the mean of that
    and of the evidence of the network's error at the level next to it. The score is
    ⅓ log Σ exp(3·evidence) over the spaces, close to the largest.

    Training and scoring cost the same for any number of rows: of d columns 10⁷/d are looked at, at
    most 250,000, and 20,000/d distinct ones remembered, at most 4,000; of both at least 600.

    Args:
        trusted: whether the rows of the training are known to be normal. What equals one of them is
            then as normal as can be; else it is scored as if that had not been there, so that
            strange rows of the training are found.
        steps: of the training of the network, of 256 rows each.
        seed: of everything that is drawn.
        verbose: progress of the training, as in Keras.

    Attributes:
        views_: the `ColumnViews`.
        energies_: the `LevelEnergies`.

    Examples:
        >>> rows = dv.detection.LevelDetector(steps=10)
        >>> detector = dv.AnomalyDetector(rows, contamination=0.1, epochs=1).fit(x)
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
        self.energies_ = LevelEnergies(
            self.views_, x[places], counts, x[:CALIBRATION], self.trusted, model
        )
        return self

    def anomaly(self, x: Any) -> tf.Tensor:
        """The evidence against rows x, (batch,) float64."""
        # Compiling takes as long as some thousand rows.
        many = not symbolic(x) and (not hasattr(x, "shape") or x.shape[0] >= MANY)
        return by_batches(self.energies_.compiled if many else self.energies_, x)

    def explained(self, x: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Contributions of columns, which sum to the score, and what rows should have been.

        In each space a column has the share (v − v̂)²/Σ(v − v̂)² of its views v, where v̂ is the mean
        of the remembered rows most like it; the spaces weigh by exp(3·evidence). What rows should
        have been is v̂ of their z-scores, in raw units.

        Returns:
            (batch, d) float64, and (batch, d) float32.
        """
        return self.energies_.explained(x)
