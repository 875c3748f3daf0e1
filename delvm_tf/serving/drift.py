"""Whether the scores of today are those of the training data."""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from delvm_tf.inputs.arrays import as_values

# Limits of the population stability index that are customary in credit scoring.
STABLE, DRIFTED = 0.1, 0.25


@dataclass(frozen=True)
class ScoreHistogram:
    """Shares of scores between quantiles, as a model card holds them.

    Args:
        edges: inner edges of the bins, ascending; the outer ones are ±∞.
        fractions: share of each bin, one more than edges.
        rows: number of scores.

    Examples:
        >>> histogram = dv.serving.ScoreHistogram.of(np.arange(100.0), bins=4)
        >>> histogram.edges
        (24.75, 49.5, 74.25)
        >>> histogram.fractions, histogram.rows
        ((0.25, 0.25, 0.25, 0.25), 100)
    """

    edges: tuple[float, ...]
    fractions: tuple[float, ...]
    rows: int

    @classmethod
    def of(cls, scores: Any, bins: int = 10) -> Self:
        """The histogram of scores in bins of as equal a share as ties allow.

        Raises:
            ValueError: for fewer than two scores, values that are not finite, or fewer than 2 bins.
        """
        scores = _checked(scores)
        if len(scores) < 2 or bins < 2:
            raise ValueError(
                f"a histogram needs two or more scores and bins, got {len(scores)} and {bins}"
            )
        edges = np.unique(np.quantile(scores, np.arange(1, bins) / bins))
        fractions = _counts(scores, edges) / len(scores)
        return cls(tuple(edges.tolist()), tuple(fractions.tolist()), len(scores))

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The histogram of a model card.

        Raises:
            ValueError: for what is no histogram.
        """
        try:
            edges = tuple(float(e) for e in value["edges"])
            fractions = tuple(float(f) for f in value["fractions"])
            rows = int(value["rows"])
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"expected edges, fractions and rows, got {value!r}") from error
        whole = math.isclose(sum(fractions), 1, abs_tol=1e-6) and min(fractions) >= 0
        ascending = all(a < b for a, b in itertools.pairwise(edges))
        if len(fractions) != len(edges) + 1 or rows < 2 or not whole or not ascending:
            raise ValueError(f"edges, fractions and rows do not make a histogram: {value!r}")
        return cls(edges, fractions, rows)


class DriftMonitor:
    """Counts live scores and compares their shares with those of the training data.

    Population stability index, Σ_b (q_b − p_b) ln(q_b / p_b), with shares p of training and q of
    live scores, each with half a count added to every bin, so that empty bins are no infinity. It
    is the symmetric Kullback-Leibler divergence of the two. Customary limits: below 0.1 stable,
    above 0.25 drifted.

    Args:
        reference: histogram of the training scores, `card.scores`.

    Raises:
        TypeError: if the reference is no histogram.

    Examples:
        >>> reference = dv.serving.ScoreHistogram.of(np.arange(1000.0))  # or that of a `ModelCard`
        >>> monitor = dv.serving.DriftMonitor(reference)
        >>> monitor.update(np.arange(500.0, 1000.0))
        >>> monitor.index > 0.25, monitor.verdict
        (True, 'drifted')
    """

    def __init__(self, reference: ScoreHistogram):
        if not isinstance(reference, ScoreHistogram):
            raise TypeError(
                f"the reference must be a ScoreHistogram, got {reference!r}; a card has one, "
                f"card.scores, if the model was exported with a detector, or pass "
                f"ScoreHistogram.of(training_scores)"
            )
        self.reference = reference
        self.counts = np.zeros(len(reference.fractions), np.int64)

    @property
    def rows(self) -> int:
        """Number of live scores so far."""
        return int(self.counts.sum())

    def update(self, scores: Any) -> None:
        """Count more live scores, (n,).

        Those that overflowed, to NaN or infinity of either sign, count among the highest.

        Raises:
            ValueError: for an array that is not one-dimensional.
        """
        scores = _checked(scores, finite=False)
        scores = np.where(np.isfinite(scores), scores, np.inf)
        self.counts += _counts(scores, np.asarray(self.reference.edges))

    @property
    def index(self) -> float:
        """The population stability index; NaN before there are scores."""
        if not self.rows:
            return math.nan
        expected = np.asarray(self.reference.fractions) * self.reference.rows
        p, q = _smoothed(expected), _smoothed(self.counts)
        return float(np.sum((q - p) * np.log(q / p)))

    @property
    def expected_index(self) -> float:
        """About what chance alone gives without drift, (bins − 1)(1/n + 1/m)."""
        bins = len(self.counts)
        return (bins - 1) * (1 / self.reference.rows + 1 / self.rows) if self.rows else math.nan

    @property
    def verdict(self) -> str:
        """`"stable"`, `"shifted"`, `"drifted"`; or `"too few"` where chance alone can shift it."""
        if not self.rows or 3 * self.expected_index > STABLE:
            return "too few"
        return ("stable", "shifted", "drifted")[(self.index > STABLE) + (self.index > DRIFTED)]


def _smoothed(counts: np.ndarray) -> np.ndarray:
    return (counts + 0.5) / (counts.sum() + 0.5 * len(counts))


def _counts(scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(edges, scores, side="left"), minlength=len(edges) + 1)


def _checked(scores: Any, finite: bool = True) -> np.ndarray:
    scores = np.asarray(as_values(scores, "scores"), np.float64)
    if scores.ndim != 1 or (finite and not np.isfinite(scores).all()):
        raise ValueError(
            f"expected finite scores (n,), got shape {scores.shape} with "
            f"{np.count_nonzero(~np.isfinite(scores))} NaN or infinite"
        )
    return scores
