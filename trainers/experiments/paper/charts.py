"""A figure as the paper draws it."""

from typing import Any

import numpy as np

from delvm_tf.plots.figure import new_figure
from trainers.experiments.paper.reports import AXES, HEADINGS
from trainers.experiments.paper.tables import FIGURES, METHODS, title
from trainers.experiments.paper.values import Place, Value, label

MARKERS = {3: "o", 5: "s", 7: "^", 9: "D", None: "o"}
DASHES = {3: "-", 5: "--", 7: "-.", 9: ":", None: "-"}
BASELINE_DASHES = ((0, (1, 1)), (0, (4, 1)), (0, (4, 1, 1, 1)), (0, (6, 3)), (0, (1, 4)))


def draw(name: str, values: dict[Place, Value]) -> Any:
    """Lines over filters, layers or units, bars for a table; baselines as level lines.

    Several seeds give bars of one standard deviation. A cross at the bottom marks a place at which
    training diverged under all seeds.

    Returns:
        A matplotlib figure.
    """
    figure = FIGURES[name]
    measure = figure.measures[0]
    drawn, axes = new_figure(9.5, 5.0)
    ax = axes[0, 0]
    if figure.axis == "table":
        _bars(ax, values, measure)
    else:
        _lines(ax, values, measure)
        ax.set_xlabel(f"number of {AXES[figure.axis]}")
        if figure.axis == "units":
            ax.set_xscale("log", base=2)
        xs = sorted({p.x for p in values if p.x is not None})
        ax.set_xticks(xs, [str(x) for x in xs])
        ax.minorticks_off()
    baselines = [p for p in values if p.x is None]
    for place, dash in zip(baselines, BASELINE_DASHES, strict=False):
        ax.axhline(values[place].mean(measure), color="black", lw=0.9, ls=dash, label=label(place))
    ax.set_ylabel(HEADINGS[measure])
    ax.set_title(f"{name}: {figure.title}", fontsize=9)
    ax.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return drawn


def _lines(ax: Any, values: dict[Place, Value], measure: str) -> None:
    lost: list[tuple[int, str]] = []
    for method, size in dict.fromkeys((p.method, p.size) for p in values if p.x is not None):
        places = [p for p in values if p[:2] == (method, size)]
        kept = [p for p in places if not values[p].diverged]
        lost += [(p.x or 0, METHODS[method].color) for p in places if values[p].diverged]
        spread = [values[p].of(measure) for p in kept]
        ax.errorbar(
            [p.x for p in kept], [s.mean() for s in spread],
            [s.std(ddof=1) if len(s) > 1 else 0.0 for s in spread],
            color=METHODS[method].color, marker=MARKERS[size], ls=DASHES[size], ms=4, lw=1.2,
            capsize=2, label=label(Place(method, size, None)),
        )  # fmt: skip
    for x, color in lost:
        ax.plot([x], [0.02], "x", color=color, transform=ax.get_xaxis_transform(), clip_on=False)
    if lost:
        ax.plot([], [], "kx", ls="", label="diverged")


def _bars(ax: Any, values: dict[Place, Value], measure: str) -> None:
    methods = dict.fromkeys(p.method for p in values if p.x is not None)
    best: list[tuple[str, Value]] = []
    for method in methods:
        places = [p for p in values if p.method == method]
        kept = [p for p in places if not values[p].diverged]
        place = max(kept, key=lambda p: values[p].mean(measure)) if kept else places[0]
        best.append((f"{title(method)}\n{place.x} of {place.size}×{place.size}", values[place]))
    heights = np.array([0.0 if v.diverged else v.mean(measure) for _, v in best])
    bars = ax.bar(range(len(best)), heights, 0.6, color=[METHODS[m].color for m in methods])
    ax.bar_label(bars, [v.text(measure) for _, v in best], fontsize=8)
    ax.set_xticks(range(len(best)), [text for text, _ in best], fontsize=7)
    if heights.any():
        ax.set_ylim(max(0, heights[heights > 0].min() - 5), min(100, heights.max() + 3))
