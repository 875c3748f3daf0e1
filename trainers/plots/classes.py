"""Figures of one class against the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from delvm_tf.plots.figure import new_figure

KEPT = 6


def plot_class_scores(table: Sequence[Mapping[str, Any]], label: str = "AUROC") -> Any:
    """A line per method over the normal classes, for the methods with the highest means.

    Args:
        table: a row per method and seed: `method`, `seed`, a figure for each class, and `mean`.
            Seeds are averaged.
        label: what the figures are.

    Returns:
        A matplotlib figure with at most six methods, the best first.
    """
    classes = [name for name in table[0] if name not in ("method", "seed", "mean")]
    methods = {
        method: np.mean(
            [[row[c] for c in [*classes, "mean"]] for row in table if row["method"] == method],
            axis=0,
        )
        for method in dict.fromkeys(row["method"] for row in table)
    }
    best = sorted(methods, key=lambda method: -methods[method][-1])[:KEPT]
    figure, axes = new_figure(9.0, 4.5)
    ax = axes[0, 0]
    for method in best:
        values = methods[method]
        ax.plot(classes, values[:-1], marker="o", lw=1, label=f"{method} ({values[-1]:.4f})")
    ax.axhline(0.5, color="black", linestyle=":", lw=1)
    ax.set_ylabel(label)
    ax.set_xlabel("normal class")
    ax.tick_params(axis="x", labelrotation=30)
    ax.legend(title=f"mean {label}", fontsize=8)
    return figure
