"""Figures of the times of score matching."""

from pathlib import Path
from typing import Any

import pandas as pd

from delvm_tf.plots.figure import new_figure, save_figure

Row = dict[str, Any]


def plot_growth(rows: list[Row], path: Path) -> None:
    """Milliseconds an example over image size and over depth."""
    frame = pd.DataFrame(rows).astype({"ms an example": float})
    frame["method"] = frame["method"].replace(r"SM, auto.*", "SM, default", regex=True)
    sides, depths = frame[frame["depth"] == 2], frame[frame["side"] == rows[-1]["side"]]
    figure, axes = new_figure(9.0, 3.8, columns=2)
    for axis, key, part, label in (
        (axes[0, 0], "side", sides, "side of the image"),
        (axes[0, 1], "depth", depths, "convolutional layers"),
    ):
        part.pivot_table("ms an example", key, "method").plot(ax=axis, style="o-", logy=True)
        axis.set_xlabel(label)
        axis.set_ylabel("ms an example and step")
        axis.legend(frameon=False)
    save_figure(figure, path)


def plot_spacings(rows: list[Row], path: Path) -> None:
    """Error of the trace estimate against the cost of a step."""
    figure, axes = new_figure(5.5, 3.8)
    axis = axes[0, 0]
    columns = ("times the autoencoder", "relative to spacing 1")
    points = [[float(row[column]) for row in rows[:-1]] for column in columns]  # the last is exact
    axis.plot(*points, "o-")
    for row, *at in zip(rows, *points, strict=False):
        axis.annotate(f" {row['spacing']}", at)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("cost of a step, in steps of an autoencoder")
    axis.set_ylabel("variance, relative to one random probe")
    axis.set_title("lattice spacings")
    save_figure(figure, path)


def plot_methods(rows: list[Row], path: Path) -> None:
    """Every method's cost, network by network."""
    figure, axes = new_figure(8.0, 0.27 * len(rows) + 1.2)
    axis = axes[0, 0]
    labels = [f"{r['network']}: {r['method']}" for r in rows]
    colors = ["#2a6f97" if r["exact"] == "yes" else "#9fbfd1" for r in rows]
    axis.barh(labels, [float(r["times the autoencoder"]) for r in rows], color=colors)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.tick_params(labelsize=7)
    axis.set_xlabel("cost of a step, in steps of an autoencoder (dark: exact)")
    save_figure(figure, path)
