"""Mean ranks of methods over data sets, with the difference that counts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats


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
    from matplotlib.figure import Figure

    ranks = mean_ranks(frame)
    width = critical_difference(len(ranks), len(frame))
    figure = Figure(figsize=(8, 1.2 + 0.28 * len(ranks)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(ranks))
    axes.plot(ranks, places, "o", color="#0072B2")
    for place, (name, rank) in enumerate(ranks.items()):
        axes.text(rank + 0.08, place, f"{name}  {rank:.2f}", va="center", fontsize=9)
    for low, high in _groups(ranks.to_numpy(), width):
        axes.plot([ranks.iloc[low]] * 2, [low, high], color="#999999", linewidth=4, alpha=0.5)
    axes.plot([ranks.iloc[0], ranks.iloc[0] + width], [-1, -1], color="#D55E00", linewidth=3)
    axes.text(ranks.iloc[0], -1.3, f"critical difference {width:.2f}", fontsize=9, va="bottom")
    axes.set(xlabel="mean rank, lower is better", title=title, ylim=(len(ranks), -2))
    axes.set_xlim(ranks.min() - 0.3, ranks.max() + 0.3 * (ranks.max() - ranks.min()) + 1)
    axes.yaxis.set_visible(False)
    return figure


def _groups(ranks: Sequence[float], width: float) -> list[tuple[int, int]]:
    """First and last of each largest group of methods that do not differ."""
    found: list[tuple[int, int]] = []
    for low in range(len(ranks)):
        high = max(k for k in range(len(ranks)) if ranks[k] - ranks[low] <= width)
        if high > low and (not found or high > found[-1][1]):
            found.append((low, high))
    return found
