"""A figure as the paper draws it."""

from typing import Any

import numpy as np

from delvm_tf.plots.figure import new_figure
from delvm_tf.plots.labels import TEXT, End, name_ends
from delvm_tf.plots.palette import BLACK, DASHES, GREY, family_look
from trainers.experiments.paper.reports import AXES, HEADINGS
from trainers.experiments.paper.tables import FIGURES, METHODS, title
from trainers.experiments.paper.values import Place, Value, label

APART = 4.5  # points between the bars of two methods at one place
LEVEL = {"color": GREY, "linewidth": 1.2, "marker": ""}  # the look of a baseline
LEVEL_DASHES = (*DASHES, (0, (1, 3)))

Values = dict[Place, Value]


def draw(name: str, values: Values) -> Any:
    """Lines over filters, layers or units, points for a table; baselines as level lines.

    Each size of filters has a panel; names stand at the ends of the lines in the last. Methods of a
    family share colour and marker. Several seeds give bars of one standard deviation, beside each
    other. A cross at the bottom marks a place at which training diverged under all seeds.

    Returns:
        A matplotlib figure.
    """
    figure = FIGURES[name]
    measure = figure.measures[0]
    if figure.axis == "table":
        drawn = _points(values, measure)
    else:
        drawn = _panels(values, measure, figure.axis)
    drawn.suptitle(f"{name}: {figure.title}", fontsize=TEXT + 1)
    return drawn


def _panels(values: Values, measure: str, along: str) -> Any:
    sizes = list(dict.fromkeys(p.size for p in values if p.x is not None))
    drawn, axes = new_figure(10.0, 5.6, columns=len(sizes))
    looks = _looks(values)
    for ax, size in zip(axes[0], sizes, strict=True):
        ax.sharey(axes[0, 0])
        _lines(ax, {p: v for p, v in values.items() if p.size == size}, measure, looks, along)
        if size is not None:
            ax.set_title(f"{size}×{size}", fontsize=TEXT)
    for ax in axes[0, 1:]:
        ax.tick_params(labelleft=False)
    axes[0, 0].set_ylabel(HEADINGS[measure])
    axes[0, len(sizes) // 2].set_xlabel(f"number of {AXES[along]}")
    baselines = [p for p in values if p.x is None]
    levels = {p: {**LEVEL, "linestyle": d} for p, d in zip(baselines, LEVEL_DASHES, strict=False)}
    for ax in axes[0]:
        for place, look in levels.items():
            ax.axhline(values[place].mean(measure), zorder=1, **look)
    _bound(axes[0, 0])
    ends = {label(p): End(None, values[p].mean(measure), look) for p, look in levels.items()}
    for method, look in looks.items():
        kept = [
            p for p in values
            if p.method == method and p.size == sizes[-1] and not values[p].diverged
        ]  # fmt: skip
        y = values[kept[-1]].mean(measure) if kept else axes[0, 0].get_ylim()[0]
        ends[title(method)] = End(kept[-1].x if kept else np.nan, y, look)
    if any(values[p].diverged for p in values):
        lost = {"color": BLACK, "marker": "x", "linestyle": ""}
        ends["diverged"] = End(np.nan, axes[0, 0].get_ylim()[0], lost)
    name_ends(axes[0, -1], ends, width=26)
    return drawn


def _looks(values: Values) -> dict[str, dict[str, Any]]:
    """Of each method, in the order of the values."""
    looks: dict[str, dict[str, Any]] = {}
    members: dict[str, int] = {}
    for method in dict.fromkeys(p.method for p in values if p.x is not None):
        color = METHODS[method].color
        looks[method] = family_look(color, members.setdefault(color, 0)) | {"markersize": 6}
        members[color] += 1
    return looks


def _lines(
    ax: Any, values: Values, measure: str, looks: dict[str, dict[str, Any]], along: str
) -> None:
    from matplotlib.transforms import ScaledTranslation

    xs = sorted({p.x for p in values if p.x is not None})
    if along == "units":
        ax.set_xscale("log", base=2)
    for number, (method, look) in enumerate(looks.items()):
        places = [p for p in values if p.method == method]
        kept = [p for p in places if not values[p].diverged]
        spread = [values[p].of(measure) for p in kept]
        bars = [s.std(ddof=1) if len(s) > 1 else 0.0 for s in spread]
        beside = APART * (number - (len(looks) - 1) / 2) / 72 * any(bars)
        moved = ScaledTranslation(beside, 0, ax.figure.dpi_scale_trans)
        means = [s.mean() for s in spread]
        ax.errorbar(
            [p.x for p in kept], means, bars if any(bars) else None, capsize=2, elinewidth=1,
            linewidth=1.5, transform=ax.transData + moved, **look,
        )  # fmt: skip
        ends = [*np.subtract(means, bars), *np.add(means, bars)]
        ax.update_datalim([(p.x, end) for p, end in zip(2 * kept, ends, strict=True)])
        lost = [p.x for p in places if values[p].diverged]
        if lost:
            across = ax.get_xaxis_transform() + moved
            ax.plot(lost, [0.02] * len(lost), "x", color=look["color"], transform=across)
    ax.autoscale_view()
    ax.set_xticks(xs, [str(x) for x in xs])
    ax.minorticks_off()


def _bound(ax: Any) -> None:
    """Percent end at 0 and 100, wherever bars of the standard deviation do."""
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, -2.0), min(high, 102.0))


def _points(values: Values, measure: str) -> Any:
    """The best place of each method and the baselines, the highest above."""
    shown: dict[str, tuple[Value, dict[str, Any]]] = {}
    for method, look in _looks(values).items():
        places = [p for p in values if p.method == method]
        kept = [p for p in places if not values[p].diverged]
        place = max(kept, key=lambda p: values[p].mean(measure)) if kept else places[0]
        name = f"{title(method)}, {place.x} of {place.size}×{place.size}"
        shown[name] = values[place], look
    for place in values:
        if place.x is None:
            shown[label(place)] = values[place], {"color": GREY, "marker": "|", "markersize": 12}
    names = sorted(shown, key=lambda name: np.nan_to_num(shown[name][0].mean(measure), nan=-1))
    drawn, axes = new_figure(8.0, 1.2 + 0.32 * len(names))
    ax = axes[0, 0]
    for row, name in enumerate(names):
        value, look = shown[name]
        numbers = value.of(measure)
        if len(numbers):
            bar = numbers.std(ddof=1) if len(numbers) > 1 else None
            ax.errorbar(numbers.mean(), row, xerr=bar, capsize=3, **{**look, "linestyle": ""})
        ax.text(1.02, row, value.text(measure), transform=ax.get_yaxis_transform(), va="center")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.grid(axis="y", color="0.92")
    ax.set_axisbelow(True)
    ax.set_xlabel(HEADINGS[measure])
    return drawn
