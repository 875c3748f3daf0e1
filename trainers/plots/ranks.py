"""Mean ranks of methods over data sets, with the difference that counts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from delvm_tf.plots.figure import new_figure
from delvm_tf.plots.palette import BLUE, VERMILLION


def mean_ranks(frame: pd.DataFrame) -> pd.Series:
    """Mean rank of each method over sets, 1 being the best; equal figures share their ranks."""
    return frame.rank(axis=1, ascending=False).mean().sort_values()


def critical_difference(methods: int, sets: int, alpha: float = 0.05) -> float:
    """Difference of mean ranks beyond which two methods differ, by Nemenyi's test.

    q √(k(k+1)/6N), with q the studentised range of k methods over √2. Source: Demšar (2006).
    """
    if methods == 1:
        return 0.0
    q = stats.studentized_range.ppf(1 - alpha, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * sets)))


def plot_mean_ranks(frame: pd.DataFrame, title: str) -> Any:
    """A critical-difference diagram: methods by mean rank, and bars over those that do not differ.

    Args:
        frame: figures, (sets, methods), higher is better.
        title: above it.
    """
    ranks = mean_ranks(frame)
    width = critical_difference(len(ranks), len(frame))
    figure, axes = new_figure(8.0, 1.5 + 0.3 * len(ranks))
    ax = axes[0, 0]
    places = np.arange(len(ranks))
    for low, high in _groups(ranks.to_numpy(), width):
        ax.plot([ranks.iloc[low]] * 2, [low, high], color="0.8", linewidth=5, zorder=1)
    ax.plot(ranks, places, "o", color=BLUE)
    for place, rank in zip(places, ranks, strict=True):
        ax.annotate(f"{rank:.2f}", (rank, place), (9, 0), textcoords="offset points", va="center")
    first, last = ranks.iloc[0], max(ranks.iloc[0] + width, ranks.iloc[-1])
    ax.plot([first, first + width], [-1, -1], color=VERMILLION, linewidth=3)
    ax.set_yticks([-1, *places], [f"critical difference {width:.2f}", *ranks.index])
    ax.set(xlabel="mean rank, lower is better; grey joins those that do not differ", title=title)
    ax.set_ylim(len(ranks) - 0.3, -1.7)
    span = last - first or 1.0
    ax.set_xlim(first - 0.05 * span, last + 0.1 * span)
    return figure


def _groups(ranks: Sequence[float], width: float) -> list[tuple[int, int]]:
    """First and last of each largest group of methods that do not differ."""
    found: list[tuple[int, int]] = []
    for low in range(len(ranks)):
        high = max(k for k in range(len(ranks)) if ranks[k] - ranks[low] <= width)
        if high > low and (not found or high > found[-1][1]):
            found.append((low, high))
    return found
