"""Names and figures that stand beside what is drawn, and not on it."""

import itertools
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from delvm_tf.plots.palette import GREY

TEXT = 10  # points; a picture of ten inches is still read at half its size
LINE = 1.25  # height of a line of text, in its size
KEY = (9, 33)  # points from a panel to the sign before a name, and to its end
_POINTS = 72  # in an inch


class End(NamedTuple):
    """The end of a line, and what the line is called.

    Attributes:
        x: where it ends; None at the right edge of the panel.
        y: where it ends.
        look: colour, dashes and marker, for matplotlib's `plot`.
        bold: whether its name is.
    """

    x: float | None
    y: float
    look: dict[str, Any]
    bold: bool = False


def name_ends(axis: Any, ends: dict[str, End], size: float = TEXT, width: int = 40) -> None:
    """Names at the right of a panel in the order of the ends, with a leader from each end.

    A line that ends before the others has no leader: it would cross what is there.

    Args:
        axis: a panel with all its lines; its limits are kept from now on.
        ends: by name.
        size: of the text, in points.
        width: letters in a line of the text.
    """
    axis.set_xlim(*axis.get_xlim())
    axis.set_ylim(*axis.get_ylim())
    axis.figure.draw_without_rendering()
    edge, last = axis.get_xlim()[1], max((end.x for end in ends.values() if end.x), default=None)
    to_axes = axis.transData + axis.transAxes.inverted()
    names = sorted(ends, key=lambda name: ends[name].y)
    texts = {name: textwrap.fill(name, width) for name in names}
    wanted = [to_axes.transform((edge, ends[name].y))[1] for name in names]
    lines = np.array([1 + texts[name].count("\n") for name in names])
    places = spread(wanted, LINE * size / _in_points(axis, axis.bbox.height) * lines)
    for name, at in zip(names, places, strict=True):
        axis.annotate(
            texts[name], (1, at), (KEY[1] + 5, 0), xycoords="axes fraction",
            textcoords="offset points", annotation_clip=False, fontsize=size, va="center",
            fontweight="bold" if ends[name].bold else "normal", linespacing=1.0,
        )  # fmt: skip
    axis.figure.draw_without_rendering()  # which makes room for the names
    first, second = 1 + np.array(KEY) / _in_points(axis, axis.bbox.width)
    for name, at in zip(names, places, strict=True):
        end = ends[name]
        axis.plot(
            [first, (first + second) / 2, second], [at] * 3, **end.look, markevery=[1],
            transform=axis.transAxes, clip_on=False,
        )  # fmt: skip
        if end.x in (None, last):
            leader = axis.annotate(
                "", (edge if end.x is None else end.x, end.y), (first, at), xycoords="data",
                textcoords="axes fraction", annotation_clip=False, zorder=0,
                arrowprops={
                    "arrowstyle": "-", "color": GREY, "lw": 0.6, "shrinkA": 0,
                    "shrinkB": 0 if end.x is None else 6,
                },
            )  # fmt: skip
            leader.set_in_layout(False)


def _in_points(axis: Any, pixels: float) -> float:
    return float(pixels / axis.figure.dpi * _POINTS)


def spread(places: Sequence[float], apart: float | np.ndarray) -> list[float]:
    """Places in rising order, moved as little as needed to have room between them.

    Those that touch move as a block around their mean; all stay within 0 and 1 if they can.

    Args:
        places: in rising order.
        apart: from each to the next; or the room that each needs, half of it on each side.
    """
    if not len(places):
        return []
    # Without the room between them rising places must be kept in order: isotonic regression.
    needed = np.broadcast_to(apart, len(places))
    room = np.concatenate([[0.0], np.cumsum((needed[1:] + needed[:-1]) / 2)])
    blocks: list[list[float]] = []
    for value in np.asarray(places, float) - room:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) >= np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    flat = [np.mean(block) for block in blocks for _ in block]
    return list(np.clip(flat, 0, max(0, 1 - room[-1])) + room)


def legend_beside(axis: Any, title: str = "", columns: int = 1, below: bool = False) -> None:
    """A legend outside of the panel, above it or below, where it covers nothing.

    Args:
        axis: the panel.
        title: of the legend.
        columns: that it has.
        below: whether it stands below the whole picture.
    """
    if below:
        handles, names = axis.get_legend_handles_labels()
        axis.figure.legend(
            handles, names, title=title or None, loc="outside lower center", ncols=columns,
            fontsize=TEXT, frameon=False, handlelength=3.5,
        )  # fmt: skip
    else:
        axis.legend(
            title=title or None, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns,
            fontsize=TEXT, frameon=False, borderaxespad=0.2,
        )  # fmt: skip


def fit_tick_labels(*panels: Any, degrees: float = 35) -> None:
    """Turn the names below those panels of a figure where they do not fit side by side."""
    panels[0].figure.draw_without_rendering()
    gap = TEXT / 2 / _POINTS * panels[0].figure.dpi
    for axis in panels:
        boxes = [label.get_window_extent() for label in axis.get_xticklabels() if label.get_text()]
        if any(left.x1 + gap > right.x0 for left, right in itertools.pairwise(boxes)):
            for label in axis.get_xticklabels():
                label.set(rotation=degrees, ha="right", va="top", rotation_mode="anchor")


def round_ticks(axis: Any) -> None:
    """Ticks 1, 2, 5, 10, ... in plain figures on an axis (`axes.xaxis`) of logarithmic scale."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    subs = (1, 2, 5) if high < 200 * low else (1,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())
