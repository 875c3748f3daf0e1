"""Figures of the times of score matching."""

from pathlib import Path
from typing import Any

import pandas as pd

from delvm_tf.plots.figure import new_figure, save_figure
from delvm_tf.plots.labels import End, legend_beside, name_ends, round_ticks
from delvm_tf.plots.palette import BLUE, SKY, line_look

Row = dict[str, Any]


def plot_growth(rows: list[Row], path: Path) -> None:
    """Milliseconds an example over image size and over depth."""
    frame = pd.DataFrame(rows).astype({"ms an example": float})
    frame["method"] = frame["method"].replace(r"SM, auto.*", "SM, default", regex=True)
    sides, depths = frame[frame["depth"] == 2], frame[frame["side"] == rows[-1]["side"]]
    figure, axes = new_figure(10.0, 4.0, columns=2)
    looks = {name: line_look(k) for k, name in enumerate(dict.fromkeys(frame["method"]))}
    for axis, key, part, label in (
        (axes[0, 0], "side", sides, "side of the image"),
        (axes[0, 1], "depth", depths, "convolutional layers"),
    ):
        ends = {}
        for name, of_one in part.groupby("method", sort=False):
            times = of_one.groupby(key)["ms an example"].mean()
            axis.plot(times.index, times, **looks[str(name)])
            ends[str(name)] = End(times.index[-1], times.iloc[-1], looks[str(name)])
        axis.set_yscale("log")
        round_ticks(axis.yaxis)
        places = sorted(set(part[key]))
        axis.set_xticks(places, [str(place) for place in places])
        axis.set_xlabel(label)
        name_ends(axis, ends)
    axes[0, 0].set_ylabel("ms an example and step")
    save_figure(figure, path)


def plot_spacings(rows: list[Row], path: Path) -> None:
    """Error of the trace estimate against the cost of a step."""
    figure, axes = new_figure(6.5, 4.0)
    axis = axes[0, 0]
    columns = ("times the autoencoder", "relative to spacing 1")
    points = [[float(row[column]) for row in rows[:-1]] for column in columns]  # the last is exact
    axis.plot(*points, "o-", color=BLUE)
    for row, *at in zip(rows, *points, strict=False):
        axis.annotate(f"{row['spacing']}", at, (7, 4), textcoords="offset points")
    axis.set_xscale("log")
    axis.set_yscale("log")
    round_ticks(axis.xaxis)
    round_ticks(axis.yaxis)
    axis.margins(0.07)
    axis.set_xlabel("cost of a step, in steps of an autoencoder")
    axis.set_ylabel("variance, relative to one random probe")
    axis.set_title("lattice spacings")
    save_figure(figure, path)


def plot_methods(rows: list[Row], path: Path) -> None:
    """Every method's cost in steps of an autoencoder, network by network."""
    networks = list(dict.fromkeys(row["network"] for row in rows))
    figure, axes = new_figure(8.0, 0.8 + 0.22 * (len(rows) + len(networks)))
    axis = axes[0, 0]
    names: list[str] = []
    for network in networks:
        names.append(network)
        for row in (row for row in rows if row["network"] == network):
            cost, exact = float(row["times the autoencoder"]), row["exact"] == "yes"
            place = len(names)
            axis.plot([1, cost], [place, place], color=BLUE if exact else SKY, lw=2)
            axis.plot([cost], [place], "o" if exact else "s", color=BLUE if exact else SKY)
            text = f"{cost:.3g}"
            axis.annotate(text, (cost, place), (8, 0), textcoords="offset points", va="center")
            names.append(row["method"])
    axis.set_yticks(range(len(names)), names)
    for label in axis.get_yticklabels():
        if label.get_text() in networks:
            label.set_fontweight("bold")
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xscale("log")
    axis.set_xlim(axis.get_xlim()[0], 2 * axis.get_xlim()[1])  # room for the figures
    round_ticks(axis.xaxis)
    axis.plot([], [], "o-", color=BLUE, label="exact")
    axis.plot([], [], "s-", color=SKY, label="not exact")
    axis.set_xlabel("cost of a step, in steps of an autoencoder")
    legend_beside(axis, columns=2)
    save_figure(figure, path)
