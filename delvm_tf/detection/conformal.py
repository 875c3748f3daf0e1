"""What the scores of normal rows that no training saw say of a new one.

Vovk, Gammerman, Shafer (2005), Algorithmic Learning in a Random World; Bates, Candès, Lei, Romano,
Sesia (2023), Testing for outliers with conformal p-values, Annals of Statistics 51.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.stats import false_discovery_control

from delvm_tf.inputs.notices import warn


def score_of_rate(normal: np.ndarray, rate: float) -> float:
    """The ⌈(m + 1)(1 − rate)⌉-th smallest of m normal scores, raised by a hair.

    A new normal score is above it with a probability of at most `rate`, if it is exchangeable with
    these. That takes m ≥ 1/rate − 1 scores; with fewer it is the greatest, with a warning.
    """
    m = len(normal)
    above = math.floor((m + 1) * rate + 1e-9)  # 0.29 · 100 is 28.999…
    if above < 1:
        warn(
            f"{m} normal rows are too few for a false-alarm rate of {rate:g}, which takes "
            f"{math.ceil(1 / rate - 1e-9) - 1}: the threshold is their greatest score, and its "
            f"rate 1/{m + 1} = {1 / (m + 1):.2g}; give more rows, or a greater contamination"
        )
    return float(raised(np.sort(normal))[m - max(above, 1)])


def kept_rate(normal: int, rate: float) -> float:
    """What rate `score_of_rate` keeps with m normal scores: 1/(m + 1) where they are too few."""
    return max(rate, 1 / (normal + 1))


def raised(normal: np.ndarray) -> np.ndarray:
    """Normal scores that no rounding of their own rows reaches, where a detector is served.

    The hair, 10⁻⁵ of the greatest, makes p-values greater and alarms fewer, and so keeps promises.
    """
    return normal + 1e-5 * np.abs(normal).max()


def count_reaching(scores: tf.Tensor, reference: np.ndarray) -> tf.Tensor:
    """How many of the sorted reference scores are at least as great as each score, int32.

    A binary search of gathers alone, which every runtime knows. Cost: log₂ m gathers.
    """
    steps = len(reference).bit_length()
    padded = np.full(2**steps, np.inf)
    padded[: len(reference)] = reference
    table = tf.constant(padded, scores.dtype)
    below = tf.zeros_like(scores, tf.int32)
    for step in (2**k for k in reversed(range(steps))):
        further = tf.gather(table, below + (step - 1)) < scores
        below = tf.where(further, below + step, below)
    return len(reference) - below


def selected(p_values: Any, rate: float) -> np.ndarray:
    """Which of the p-values Benjamini and Hochberg's rule takes at a false discovery rate."""
    if not 0 < rate < 1:
        raise ValueError(f"fdr must lie between 0 and 1, got {rate!r}")
    return false_discovery_control(p_values) <= rate
