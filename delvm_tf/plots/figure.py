"""A figure that needs no display, and its way to a file."""

import os
from pathlib import Path
from typing import Any

NORMAL_COLOR = "#2a6f97"
ABNORMAL_COLOR = "#c8553d"


def new_figure(width: float = 7.0, height: float = 4.0, rows: int = 1, columns: int = 1) -> Any:
    """A figure and its axes (rows × columns), sizes in inches.

    Raises:
        ImportError: if matplotlib is missing; the message says how to get it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'delvm_tf[plots]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def save_figure(figure: Any, path: str | os.PathLike[str]) -> Path:
    """Write a figure as a PNG that is either whole or not there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.png")
    try:
        figure.savefig(partial, dpi=130)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
