"""Figures of one class against the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from delvm_tf.plots.figure import new_figure
from delvm_tf.plots.labels import legend_beside
from delvm_tf.plots.palette import line_look

KEPT = 6


def plot_class_scores(table: Sequence[Mapping[str, Any]], label: str = "AUROC") -> Any:
    """A row per normal class with a point per method, for the methods with the highest means.

    Args:
        table: a row per method and seed: `method`, `seed`, a figure for each class, and `mean`.
            Seeds are averaged.
        label: what the figures are.

    Returns:
        A matplotlib figure with at most six methods, the best first.
    """
    means = pd.DataFrame(table).drop(columns="seed").groupby("method", sort=False).mean()
    best = means.nlargest(KEPT, "mean")
    classes = list(best.columns.drop("mean"))
    figure, axes = new_figure(8.0, 1.4 + 0.36 * len(classes) + 0.2 * len(best))
    ax = axes[0, 0]
    ax.axvline(0.5, color="black", linestyle=":", lw=1)
    for number, (method, row) in enumerate(best.iterrows()):
        look = {**line_look(number), "linestyle": ""}
        name = f"{method} ({row['mean']:.4f})"
        ax.plot(row[classes], range(len(classes)), label=name, ms=7, alpha=0.85, **look)
    ax.set_yticks(range(len(classes)), classes)
    ax.set_ylim(len(classes) - 0.5, -0.5)
    ax.grid(axis="y", color="0.9")
    ax.set_axisbelow(True)
    ax.set_xlabel(f"{label} of each normal class")
    legend_beside(ax, f"mean {label}", below=True)
    return figure
