"""Results that are written piece by piece, and are either whole or not there."""

import json
import os
import shutil
from pathlib import Path
from typing import Any


class Results:
    """A folder of results in the making, beside where it will be.

    The folder appears under its own name when all is done. Until then it is called `….partial`, and
    the same configuration goes on with the pieces that are there.

    Args:
        output: the folder to be.
        config: what the results depend on, as JSON.

    Raises:
        OSError: if the folder cannot be written.
    """

    def __init__(self, output: Path, config: dict[str, Any]):
        self.output = output
        self.folder = output.with_name(output.name + ".partial")
        written = self.folder / "config.json"
        config = json.loads(json.dumps(config))
        if not written.exists() or read_json(written) != config:
            shutil.rmtree(self.folder, ignore_errors=True)
            make_folder(self.folder)
            write_json(written, config)

    def __contains__(self, piece: str) -> bool:
        return self._path(piece).exists()

    def __getitem__(self, piece: str) -> Any:
        return read_json(self._path(piece))

    def __setitem__(self, piece: str, value: Any) -> None:
        write_json(self._path(piece), value)

    def _path(self, piece: str) -> Path:
        return self.folder / f"{piece}.json"

    def finish(self, pieces: list[str]) -> None:
        """Drop the pieces, and give the folder its name."""
        for piece in pieces:
            self._path(piece).unlink()
        if self.output.exists():
            shutil.rmtree(self.output)
        self.folder.replace(self.output)


def make_folder(path: Path) -> None:
    """Make a folder, or say that it cannot be written.

    Raises:
        OSError: what the path is, and what to do.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot write to {path}: {error}; choose another folder") from error


def read_json(path: Path) -> Any:
    """Contents of a JSON file."""
    return json.loads(path.read_text())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that is either whole or not there."""
    write_text(path, json.dumps(value, indent=1))


def write_text(path: Path, text: str) -> None:
    """Write a file that is either whole or not there."""
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    os.replace(partial, path)
