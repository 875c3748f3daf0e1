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
    """A hair above the ⌈(m + 1)(1 − rate)⌉-th smallest of m normal scores.

    A new normal score is above it with a probability of at most `rate`, if it is exchangeable with
    these. That takes m ≥ 1/rate − 1 scores; with fewer it is the greatest, with a warning. The
    hair is 10⁻⁵ of the greatest score, or half the way to the next: no rounding moves the score of
    that row across it where the detector is served.
    """
    m = len(normal)
    above = math.floor((m + 1) * rate + 1e-9)  # 0.29 · 100 is 28.999…
    if above < 1:
        warn(
            f"{m} normal rows are too few for a false-alarm rate of {rate:g}, which takes "
            f"{math.ceil(1 / rate - 1e-9) - 1}: the threshold is their greatest score, and its "
            f"rate 1/{m + 1} = {1 / (m + 1):.2g}; give more rows, or a greater contamination"
        )
    lower = float(np.sort(normal)[m - max(above, 1)])
    greater = normal[normal > lower]
    hair = lower + 1e-5 * float(np.abs(normal).max())
    return min(hair, between(lower, float(greater.min()))) if len(greater) else hair


def between(lower: float, upper: float) -> float:
    """The middle of two scores, or the lower one if in float32 the middle is not below the upper.

    Models score in float32, where the middle of neighbours may round to the upper one.
    """
    middle = lower + (upper - lower) / 2
    with np.errstate(over="ignore"):
        return middle if np.float32(middle) < np.float32(upper) else lower


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
