"""Figures of how detectors grow, with the lines named beside their ends."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from delvm_tf.plots.figure import new_figure, save_figure

# Colours that are told apart without red or green (Okabe and Ito 2008); markers say the same.
THIN, THICK = 1.8, 3.2
STYLES = [
    ("#000000", "o", THICK), ("#0072b2", "s", THIN), ("#e69f00", "^", THIN), ("#009e73", "D", THIN),
    ("#d55e00", "v", THIN), ("#cc79a7", "P", THIN), ("#56b4e9", "X", THIN),
]  # fmt: skip
TEXT = 15
APART = 0.085  # of the height of a panel, from name to name

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
    ends = {}
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
            ends[name] = (sizes[-1], seconds[-1], style)
    axis.set_xscale("log")
    axis.set_yscale("log")
    known = sorted({size for sizes, *_ in lines.values() for size in sizes})
    axis.set_xticks(known, [f"{size:,}" for size in known])
    axis.set_xticks([], minor=True)
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("")
    if any(stopped is not None for *_, stopped in lines.values()):
        axis.axhline(limit, color="0.6", lw=1, zorder=0)
        place = (known[0], limit)
        axis.annotate(
            f"limit, {limit:g} s", place, (0, 4), textcoords="offset points", fontsize=TEXT - 2,
            color="0.4",
        )  # fmt: skip
    axis.grid(True, color="0.9")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=TEXT - 1)
    _name_ends(axis, ends)


def _name_ends(axis: Any, ends: dict[str, tuple[float, float, Any]]) -> None:
    """Names at the right of the panel, in the order of the ends, each with a line to its end."""
    low, high = axis.get_xlim()
    to_axes = axis.transData + axis.transAxes.inverted()
    axis.set_xlim(low, high)
    axis.set_ylim(*axis.get_ylim())
    names = sorted(ends, key=lambda name: ends[name][1])
    wanted = [to_axes.transform(ends[name][:2])[1] for name in names]
    for name, at in zip(names, spread(wanted, APART), strict=True):
        x, y, (color, marker, width) = ends[name]
        axis.annotate(
            "", (x, y), (1.04, at), xycoords="data", textcoords="axes fraction",
            annotation_clip=False, zorder=0,
            arrowprops={"arrowstyle": "-", "color": "0.65", "lw": 0.8, "shrinkA": 0, "shrinkB": 7},
        )  # fmt: skip
        key = axis.plot([1.04], [at], marker, color=color, ms=8, transform=axis.transAxes)
        key[0].set_clip_on(False)
        axis.text(
            1.06, at, name, transform=axis.transAxes, fontsize=TEXT, va="center_baseline",
            fontweight="bold" if width > THIN else "normal",
        )  # fmt: skip


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Places in rising order, moved as little as needed to be so far from each other.

    Those that touch move as a block around their mean; all stay within 0 and 1 if they can.
    """
    # Without the room between them rising places must be kept in order: isotonic regression.
    room = apart * np.arange(len(places))
    blocks: list[list[float]] = []
    for value in np.asarray(places, float) - room:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) >= np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    flat = [np.mean(block) for block in blocks for _ in block]
    return list(np.clip(flat, 0, max(0, 1 - room[-1])) + room) if flat else []
