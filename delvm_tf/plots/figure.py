"""Figures without a display, and writing them to files."""

import os
from pathlib import Path
from typing import Any

from delvm_tf.plots.palette import PALETTE
from delvm_tf.storage.ownership import made_folder, refuse_foreign_file, whole
from delvm_tf.storage.paths import local_path

_SOFTWARE = "delvm_tf"  # written into the file to recognise it
_written: set[Path] = set()  # in this process


def new_figure(width: float = 7.0, height: float = 4.0, rows: int = 1, columns: int = 1) -> Any:
    """A figure and its axes (rows × columns), sizes in inches; ImportError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'delvm_tf[plots]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_prop_cycle(color=PALETTE)
    return figure, axes


def save_figure(figure: Any, path: str | os.PathLike[str]) -> Path:
    """Write a figure as a PNG, completely or not at all.

    Raises:
        FileExistsError: if there is a file that this function did not write.
        ValueError: if the name does not end in `.png`, or the path is an address such as `gs://`.
        OSError: if the file cannot be written.
    """
    path = local_path(path, "the path of the figure")
    if path.suffix.lower() != ".png":
        raise ValueError(f"figures are PNG files, so the name must end in .png, got {path}")
    place = path.resolve()
    refuse_foreign_file(path, place in _written or _is_ours(path))
    with made_folder(path.parent), whole(path) as partial:
        figure.savefig(partial, dpi=130, format="png", metadata={"Software": _SOFTWARE})
    _written.add(place)
    return path


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return b"Software\0" + _SOFTWARE.encode() in file.read(2**12)
