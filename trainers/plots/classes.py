"""Figures of one class against the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

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
    means = pd.DataFrame(table).drop(columns="seed").groupby("method", sort=False).mean()
    best = means.nlargest(KEPT, "mean")
    classes = best.columns.drop("mean")
    figure, axes = new_figure(9.0, 4.5)
    ax = axes[0, 0]
    for method, row in best.iterrows():
        ax.plot(classes, row[classes], marker="o", lw=1, label=f"{method} ({row['mean']:.4f})")
    ax.axhline(0.5, color="black", linestyle=":", lw=1)
    ax.set_ylabel(label)
    ax.set_xlabel("normal class")
    ax.tick_params(axis="x", labelrotation=30)
    ax.legend(title=f"mean {label}", fontsize=8)
    return figure
