"""Linear classifiers of features, by name."""

from collections.abc import Callable, Sequence
from typing import Protocol, Self

import numpy as np

from trainers.evaluation.low_rank import LowRankProbe
from trainers.evaluation.probe import LinearProbe
from trainers.evaluation.ridge import RidgeProbe


class Probe(Protocol):
    """A linear classifier that says how good features are.

    Attributes:
        l2_: the penalty taken.
    """

    l2_: float

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Learn from features (n, d) and classes 0, 1, … (n,)."""

    def score(self, X: np.ndarray, y: np.ndarray) -> float:
        """Share of the rows whose class is found."""


def _ridge(l2: Sequence[float] | None, epochs: int, codes: int, seed: int) -> Probe:
    return RidgeProbe(l2 or (0.003, 0.01, 0.03, 0.1), seed)


def _svm(l2: Sequence[float] | None, epochs: int, codes: int, seed: int) -> Probe:
    strengths = l2 or (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    return LinearProbe(strengths, epochs, minimum_steps=500, seed=seed, loss="squared_hinge")


def _logistic(l2: Sequence[float] | None, epochs: int, codes: int, seed: int) -> Probe:
    return LinearProbe(l2 or (1e-3, 1e-2, 0.03, 0.1, 0.3), epochs, minimum_steps=500, seed=seed)


def _low_rank(l2: Sequence[float] | None, epochs: int, codes: int, seed: int) -> Probe:
    strengths = l2 or [1e-3]
    if len(strengths) != 1:
        raise ValueError(f"a low-rank read-out takes one l2, got {list(strengths)}")
    return LowRankProbe(codes, l2=strengths[0], epochs=epochs, seed=seed)


READOUTS: dict[str, Callable[[Sequence[float] | None, int, int, int], Probe]] = {
    "ridge": _ridge,
    "svm": _svm,
    "logistic": _logistic,
    "low-rank": _low_rank,
}


def readout(name: str, l2: Sequence[float] | None, epochs: int, codes: int, seed: int) -> Probe:
    """A classifier of `READOUTS`.

    Args:
        name: of it.
        l2: penalties to choose from; those that are usual for it if None.
        epochs: passes over the features, of all but ridge.
        codes: at each place of an image.
        seed: of the classifier.

    Raises:
        ValueError: for an unknown name or settings out of range.
    """
    if name not in READOUTS:
        raise ValueError(f"unknown read-out {name!r}; expected one of {', '.join(READOUTS)}")
    return READOUTS[name](l2, epochs, codes, seed)
