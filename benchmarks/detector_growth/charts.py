"""Figures of how detectors grow, with the lines named beside their ends."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from delvm_tf.plots.figure import new_figure, save_figure
from delvm_tf.plots.labels import End, name_ends
from delvm_tf.plots.palette import BLACK, GREY, MARKERS, PALETTE

THIN, THICK = 1.8, 3.2
# The first, which is compared with the others, is black and thick.
COLORS = (BLACK, *PALETTE[:-1])
STYLES = [
    (color, marker, THIN if number else THICK)
    for number, (color, marker) in enumerate(zip(COLORS, MARKERS, strict=False))
]
TEXT = 14

Line = tuple[Sequence[float], Sequence[float], float | None]  # sizes, seconds, stopped at a size


def plot_growth(panels: dict[str, dict[str, Line]], label: str, limit: float, path: Path) -> None:
    """Seconds of each method against a size, both on logarithmic scales.

    Args:
        panels: by title, the lines by method, in the same order of methods.
        label: of the size.
        limit: seconds after which a method was stopped; hollow markers stand there.
        path: of the PNG file.
    """
    figure, axes = new_figure(10.0, 4.4 * len(panels), rows=len(panels))
    for axis, (title, lines) in zip(axes[:, 0], panels.items(), strict=True):
        _panel(axis, lines, limit)
        axis.set_title(title, fontsize=TEXT + 1, loc="left")
        axis.set_ylabel("seconds", fontsize=TEXT)
        axis.set_xlabel(label, fontsize=TEXT)
    save_figure(figure, path)


def _panel(axis: Any, lines: dict[str, Line], limit: float) -> None:
    ends: dict[str, End] = {}
    for (name, (sizes, seconds, stopped)), style in zip(lines.items(), STYLES, strict=False):
        color, marker, width = style
        sizes, seconds = list(sizes), list(seconds)
        look = {"color": color, "lw": width, "ms": 8}
        axis.plot(sizes, seconds, marker + "-", **look)
        if stopped is not None:
            axis.plot([*sizes[-1:], stopped], [*seconds[-1:], limit], ":", **look)
            axis.plot([stopped], [limit], marker, mfc="white", mew=2, **look)
            sizes, seconds = [*sizes, stopped], [*seconds, limit]
        if sizes:
            key = {"color": color, "marker": marker, "linestyle": "", "markersize": 8}
            ends[name] = End(sizes[-1], seconds[-1], key, bold=width > THIN)
    axis.set_xscale("log")
    axis.set_yscale("log")
    known = sorted({size for sizes, *_ in lines.values() for size in sizes})
    axis.set_xticks(known, [f"{size:,}" for size in known])
    axis.set_xticks([], minor=True)
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("")
    if any(stopped is not None for *_, stopped in lines.values()):
        axis.axhline(limit, color=GREY, lw=1, zorder=0)
        look = {"color": GREY, "marker": "", "linestyle": "-", "linewidth": 1}
        ends[f"limit, {limit:g} s"] = End(None, limit, look)
    axis.grid(True, color="0.9")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=TEXT - 1)
    name_ends(axis, ends, TEXT)
