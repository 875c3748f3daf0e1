"""Figures of densities in the plane."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from delvm_tf.plots.figure import new_figure
from delvm_tf.plots.labels import TEXT
from delvm_tf.plots.palette import ABNORMAL_COLOR, NORMAL_COLOR

PANEL = 2.6  # inches; four side by side are read at half their size
TITLE = TEXT + 2  # points


def plot_densities(
    log_densities: Mapping[str, Any], half_width: float, points: Any = None, columns: int = 4
) -> Any:
    """Densities side by side, in one colour scale.

    Args:
        log_densities: by title, log p on a grid, (side, side), rows of equal second coordinate.
        half_width: the grids reach from −half_width to half_width.
        points: data, (n, 2), shown in a panel of its own.
        columns: panels in a row.

    Returns:
        A matplotlib figure. The first density sets the scale: brightest at its peak, and beyond.
    """
    grids = {title: np.asarray(grid, np.float64) for title, grid in log_densities.items()}
    count = len(grids) + (points is not None)
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = new_figure(PANEL * columns, (PANEL + 0.25) * rows, rows, columns)
    panels = list(axes.ravel())
    peak = float(np.exp(next(iter(grids.values()))).max())
    if points is not None:
        panel = panels.pop(0)
        sample = np.asarray(points)
        panel.scatter(sample[:, 0], sample[:, 1], s=1, alpha=0.3, color=NORMAL_COLOR)
        _frame(panel, f"data ({len(sample):,} points)", half_width)
    for title, grid in grids.items():
        panel = panels.pop(0)
        _shade(panel, grid, half_width, peak)
        _frame(panel, title, half_width)
    for panel in panels:
        panel.set_axis_off()
    return figure


def plot_trajectories(
    trajectory: Any, log_density: Any, half_width: float, shown: int = 6, title: str = "chains"
) -> Any:
    """Paths of some chains over a density, and where all chains ended.

    Args:
        trajectory: places at the recorded steps, (T, n, 2).
        log_density: log p on a grid, (side, side), rows of equal second coordinate.
        half_width: the grid reaches from −half_width to half_width.
        shown: chains whose path is drawn.
        title: of the left panel.
    """
    places = np.asarray(trajectory)
    figure, axes = new_figure(10.0, 5.0, 1, 2)
    grid = np.asarray(log_density, np.float64)
    for panel in axes[0]:
        _shade(panel, grid, half_width, float(np.exp(grid).max()))
    for chain in range(min(shown, places.shape[1])):
        (line,) = axes[0, 0].plot(places[:, chain, 0], places[:, chain, 1], lw=0.8)
        axes[0, 0].plot(*places[0, chain], "o", ms=5, color=line.get_color())
    _frame(axes[0, 0], title, half_width)
    axes[0, 1].scatter(places[-1, :, 0], places[-1, :, 1], s=4, color=ABNORMAL_COLOR, alpha=0.6)
    _frame(axes[0, 1], f"ends of {places.shape[1]:,} chains", half_width)
    return figure


def _shade(panel: Any, grid: np.ndarray, half_width: float, peak: float) -> None:
    edge = half_width * (1 + 1 / (len(grid) - 1))  # half a pixel further than its centre
    panel.imshow(
        np.exp(np.minimum(grid, np.log(peak) + 1.0)), origin="lower", cmap="Greys", vmin=0.0,
        vmax=peak, extent=(-edge, edge, -edge, edge), interpolation="bilinear",
    )  # fmt: skip


def _frame(panel: Any, title: str, half_width: float) -> None:
    panel.set_title(title, fontsize=TITLE)
    panel.set_xlim(-half_width, half_width)
    panel.set_ylim(-half_width, half_width)
    panel.set_aspect("equal")
    panel.set_xticks([])
    panel.set_yticks([])
