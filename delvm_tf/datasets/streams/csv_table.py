"""Numbers of a .csv or .csv.gz file, one row of values per line."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
from pyarrow import compute

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import EXACT, INEXACT, Chunk
from delvm_tf.datasets.streams.csv_cells import BOOLEANS, INFINITE, INTEGER, MISSING, NUMBER
from delvm_tf.datasets.streams.csv_header import is_header
from delvm_tf.datasets.streams.csv_text import CsvText, open_csv
from delvm_tf.datasets.streams.reading import Reading, select


def chunks(path: Path, reading: Reading) -> Iterator[Chunk]:
    """The rows as float64, without blank lines, each value the nearest to its text.

    Numbers have ASCII digits and the decimal mark of the options; True and False are 1 and 0.

    Raises:
        ContentsError: for values that are missing, not numbers, or integers that float64 cannot
            represent, and rows of different lengths, with row and line.
    """
    text = open_csv(path, reading.table)
    if text is None:
        return
    text = text._replace(header=is_header(text.first, reading.table, path))
    names = text.names
    selected = select(names, text.width, reading, path)
    wanted = [*selected.features, *([] if selected.label is None else [selected.label])]
    titles = [f"{k} ({names[k]!r})" if names and names[k] else str(k) for k in wanted]
    start = 0
    for batch in text.batches(wanted):
        parse = Parser(text, start)
        columns = [*zip(batch.columns, titles, strict=True)]
        y = None if selected.label is None else parse.labels(*columns.pop())
        x = np.stack([parse.numbers(*column) for column in columns], axis=1)
        yield Chunk(x, y, selected.names, selected.left_out)
        start += len(batch)


class Parser(NamedTuple):
    """Cells to numbers; errors say where."""

    text: CsvText
    start: int  # number of the first row

    def numbers(self, column: pyarrow.StringArray, title: str) -> np.ndarray:
        """A column as float64."""
        cells = column
        if self.text.options.decimal == ",":
            point = compute.index(compute.match_substring(cells, "."), True).as_py()
            if point >= 0:
                raise self._refused(point, title, cells[point].as_py())
            cells = compute.replace_substring(cells, ",", ".")
        values = _cast(cells)
        if values is None:
            cells = compute.utf8_trim_whitespace(cells)
            values = _cast(cells)
        if values is None:
            texts = [BOOLEANS.get(cell, cell) for cell in cells.to_pylist()]
            for i, text in enumerate(texts):
                if not NUMBER.fullmatch(text):
                    raise self._refused(i, title, column[i].as_py())
            values = np.array([float(text) for text in texts])
        for i in map(int, np.flatnonzero(~(np.abs(values) < EXACT))):
            text = cells[i].as_py()
            if not NUMBER.fullmatch(text):  # nan or inf
                raise self._refused(i, title, text)
            if INTEGER.fullmatch(text) and np.isfinite(values[i]) and int(text) != int(values[i]):
                raise self._error(i, title, f"is {text}, {INEXACT}")
        return values

    def labels(self, column: pyarrow.StringArray, title: str) -> np.ndarray:
        """A column of labels: all integers of 64 bits, else numbers."""
        cells = column.to_pylist()
        if all(map(INTEGER.fullmatch, cells)):
            values = [int(cell) for cell in cells]
            if all(-(2**63) <= value < 2**63 for value in values):
                return np.array(values, "int64")
        return self.numbers(column, title)

    def _refused(self, i: int, title: str, text: str) -> ContentsError:
        text = text.strip()
        if text in MISSING:
            return self._error(i, title, f"is missing ({text!r}); fill it or remove the row")
        if INFINITE.fullmatch(text):
            return self._error(i, title, f"is infinite ({text!r}); fill it or remove the row")
        hint = "leave the column out with drop=, or convert it to numbers"
        if text.startswith("#"):
            hint = "remove comments"
        elif self.text.options.decimal == "," and "." in text:
            hint = "with decimal=',' write numbers without points, also between thousands"
        elif "," in text:
            hint = (
                "write numbers with a decimal point, or pass decimal=',', and without thousands "
                "separators"
            )
        elif other := next((c for c in ";\t|" if c in text), None):
            hint = f"pass separator={other!r} if that separates the cells"
        return self._error(i, title, f"holds {text!r}, not a number; {hint}")

    def _error(self, i: int, title: str, problem: str) -> ContentsError:
        row = self.start + i
        return ContentsError(
            f"{self.text.path}: row {row} (line {self.text.line_of(row)}), column {title}, "
            f"{problem}"
        )


def _cast(cells: pyarrow.StringArray) -> np.ndarray | None:
    try:
        return cells.cast(pyarrow.float64()).to_numpy()
    except pyarrow.ArrowInvalid:
        return None
