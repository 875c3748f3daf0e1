"""Cells kept in files, one each, that are either whole or not there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from delvm_tf.storage.ownership import make_folder, read_json, write_json
from trainers.experiments.paper.cells import Cell


class CellStore:
    """Results of cells under their keys.

    Args:
        folder: made if it is not there.
        complain: gets a sentence for every file that cannot be used.

    Raises:
        OSError: if the folder cannot be written.
    """

    def __init__(self, folder: Path, complain: Callable[[str], None]):
        make_folder(folder)
        self.folder = folder
        self.complain = complain

    def get(self, cell: Cell) -> dict[str, Any] | None:
        """What was computed, or None if it is missing or damaged."""
        path = self._path(cell)
        if not path.exists():
            return None
        try:
            value = read_json(path)
            problem = _problem(cell, value)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            problem = str(error)
        if problem:
            self.complain(f"{path} is damaged ({problem}); it is computed again")
            return None
        return value

    def put(self, cell: Cell, value: dict[str, Any]) -> None:
        """Keep what was computed, with all that decided it."""
        write_json(self._path(cell), {"config": cell.config, **value})

    def _path(self, cell: Cell) -> Path:
        return self.folder / f"{cell.key}.json"


def _problem(cell: Cell, value: Any) -> str:
    """Why a file's contents are not a cell's; empty if they are."""
    if not isinstance(value, dict) or value.get("config") != cell.config:
        return "it does not hold this cell's configuration"
    results, diverged = value.get("results"), value.get("diverged")
    if not isinstance(results, dict) or not isinstance(diverged, str):
        return "results are missing"
    if not all(isinstance(r, dict) and r for r in results.values()):
        return "results are not numbers by name"
    missing = [depth for depth in cell.depths if str(depth) not in results]
    if cell.specification is not None and missing and not diverged:
        return f"results of {missing} layers are missing"
    if not isinstance(value.get("seconds"), int | float):
        return "its time is missing"
    return ""
