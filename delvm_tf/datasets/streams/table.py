"""Numbers of a .csv file, one row of values per line."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import Chunk

LABELS = ("y", "label", "class", "target")
_LINES = 1000


def chunks(path: Path, labels: bool) -> Iterator[Chunk]:
    """The rows as float32; a first line that is not numbers names the columns.

    Labels are the column called y, label, class or target; the last one if there are no names.
    Without labels a column of such a name is left out all the same.
    """
    with path.open(encoding="utf-8-sig") as file:
        first = file.readline()
        names = _names(first)
        lines = file if names else itertools.chain([first], file)
        column = next((i for i, n in enumerate(names or ()) if n.lower() in LABELS), None)
        if labels and column is None:
            if names:
                raise ContentsError(
                    f"{path}: no column is called {', '.join(LABELS)}; it has {', '.join(names)}"
                )
            column = -1
        while some := list(itertools.islice(lines, _LINES)):
            values = np.loadtxt(some, delimiter=",", ndmin=2)
            if not len(values):
                continue
            if names and values.shape[1] != len(names):
                raise ContentsError(f"{path}: {values.shape[1]} values for {len(names)} columns")
            x = values if column is None else np.delete(values, column, axis=1)
            yield Chunk(x.astype("float32"), None if column is None else values[:, column])


def _names(line: str) -> list[str]:
    cells = [cell.strip().strip('"') for cell in line.split(",")]
    try:
        for cell in cells:
            float(cell)
    except ValueError:
        return cells
    return []
