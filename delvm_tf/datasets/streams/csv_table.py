"""Numbers of a .csv file, one row of values per line."""

import csv
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import EXACT, Chunk
from delvm_tf.datasets.streams.reading import Reading, TableOptions, select

_CELLS = 2**17  # parsed at a time
_PLAIN = re.compile(r"[0-9+\-.eE \t]*")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_INFINITE = re.compile(r"\s*[+-]?inf(inity)?\s*", re.IGNORECASE)
_BOOLEAN = {text: float(text.lower() == "true")
            for text in ("True", "False", "true", "false", "TRUE", "FALSE")}  # fmt: skip
_BOOLEAN_TEXT = {text: str(int(value)) for text, value in _BOOLEAN.items()}
_SAVETXT = re.compile(r"[+-]?\d\.\d{18}e[+-]\d+")
# What pandas, R, SQL and people write for a missing value.
_MISSING = {
    "", "?", "-", "--", ".", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-nan",
    "-NaN", "NAN", "NaT", "NULL", "null", "None", "none",
}  # fmt: skip
_PACKED = {
    b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd", b"PAR1": "Parquet", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip


class _Line(NamedTuple):
    number: int  # of the line in the file, from 1
    cells: list[str]


def chunks(path: Path, reading: Reading) -> Iterator[Chunk]:
    """The rows as float64, without blank lines.

    Numbers have a decimal point and ASCII digits; True and False are 1 and 0.

    Raises:
        ContentsError: for values that are missing, not numbers, or integers that float64 cannot
            represent, and rows of different lengths, with row and line.
    """
    _check_text(path)
    options = reading.table
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = _lines(csv.reader(file, delimiter=options.separator, strict=True), path)
        first = next(lines, None)
        if first is None:
            return
        width = len(first.cells)
        _check_separator(first, options, path)
        names = first.cells if _is_header(first, options, path) else None
        selected = select(names, width, reading, path)
        wanted = [*selected.features, *([] if selected.label is None else [selected.label])]
        titles = [f"{k} ({names[k]!r})" if names and names[k] else str(k) for k in wanted]
        rows = lines if names else itertools.chain([first], lines)
        step = max(1, _CELLS // width)
        start = 0
        while some := list(itertools.islice(rows, step)):
            _check_widths(some, width, start, path)
            parse = _Parser(some, start, path)
            x = parse.columns(selected.features, titles)
            y = None if selected.label is None else parse.labels(wanted[-1], titles[-1])
            yield Chunk(x, y, selected.names, selected.left_out)
            start += len(some)


def _check_text(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(8)
    for magic, what in _PACKED.items():
        if start.startswith(magic):
            raise ContentsError(
                f"{path} is {what}, expected plain UTF-8 text; unpack or convert it first"
            )


def _lines(reader: Any, path: Path) -> Iterator[_Line]:
    """The lines that are not blank; in a file of one column a blank one is a missing value."""
    width = None
    while True:
        try:
            cells = next(reader, None)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ContentsError(
                f"{path}: line {reader.line_num + 1} cannot be read ({error}); expected "
                f'UTF-8 text with cells quoted by " if necessary; the file is damaged or has '
                f"another format"
            ) from error
        if cells is None:
            return
        number = reader.line_num
        # A first line of white space may be the name of a column.
        blank = not cells or (width is not None and len(cells) == 1 and cells[0].isspace())
        if not blank:  # "" in quotes is a cell
            width = width or len(cells)
            yield _Line(number, cells)
        elif width == 1:
            raise ContentsError(
                f"{path}: line {number} is blank in a file of one column, so a value may be "
                f"missing; remove the line or fill it"
            )


def _check_separator(first: _Line, options: TableOptions, path: Path) -> None:
    if len(first.cells) == 1:
        for other in (";", "\t", "|", ",", ":", " "):
            if other != options.separator and other in first.cells[0].strip():
                raise ContentsError(
                    f"{path}: line {first.number} has no {options.separator!r} but {other!r}; pass "
                    f"separator={other!r} if that separates the cells"
                    + ("" if other != " " else ", else header= and names without blanks")
                )


def _is_header(first: _Line, options: TableOptions, path: Path) -> bool:
    """Whether the first line names the columns; see `TableOptions`."""
    if options.header is not None:
        return options.header
    cells = first.cells
    kinds = {_kind(cell) for cell in cells}
    shown = options.separator.join(cells[:8]) + (" ..." if len(cells) > 8 else "")
    if cells[0].lstrip().startswith("#"):
        raise ContentsError(
            f"{path}: line {first.number} is {shown!r}, apparently a comment; remove it, or pass "
            f"header=True if it names the columns"
        )
    if kinds <= {"text", ""} and "text" in kinds:
        if quoted := [c for c in cells if len(c) > 1 and c[0] == c[-1] == "'"]:
            raise ContentsError(f"{path}: {quoted[0]} is quoted by ', expected \"")
        if escaped := [c for c in cells if '\\"' in c or "\\\\" in c]:
            raise ContentsError(
                f"{path}: {escaped[0]} has backslashes as escapes, expected doubled quotes"
            )
        return True
    if kinds <= {"number", "missing", ""} and "number" in kinds and not _may_number(cells):
        return False
    raise ContentsError(
        f"{path}: line {first.number} is {shown!r}, which may be names or data; pass "
        f"header=True if it names the columns, header=False if it is the first row (from a "
        f"program: --header or --no-header)"
    )


def _kind(cell: str) -> str:
    cell = cell.strip()
    if _NUMBER.fullmatch(cell) or _INFINITE.fullmatch(cell) or cell in _BOOLEAN:
        return "number"
    if not cell:
        return ""
    return "missing" if cell in _MISSING else "text"


def _may_number(cells: list[str]) -> bool:
    """Whether numbers may be names of columns: 0, 1, 2, ..., lags, years, wavelengths, True, False.

    Those are distinct, and integers or in order. Names do not look like numbers of `np.savetxt`.
    """
    cells = [cell.strip() for cell in cells]
    if not all(cells[1:-1]):  # only an index, or what follows a trailing comma, may lack a name
        return False
    kept = [cell for cell in cells if cell]
    if len(set(kept)) < len(kept):
        return False
    kept = [_BOOLEAN_TEXT.get(cell, cell) for cell in kept]
    if not all(map(_NUMBER.fullmatch, kept)):
        return False
    if all(map(_SAVETXT.fullmatch, kept)):
        return False
    values = [float(c) for c in kept]
    ordered = values in (sorted(values), sorted(values, reverse=True))
    return ordered or all(map(_INTEGER.fullmatch, kept))


def _check_widths(lines: list[_Line], width: int, start: int, path: Path) -> None:
    for k, line in enumerate(lines):
        if len(line.cells) != width:
            raise ContentsError(
                f"{path}: row {start + k} (line {line.number}) has {len(line.cells)} values, "
                f"expected {width} as in the first line; the file is damaged or has another format"
            )


class _Parser:
    """Cells to numbers; errors say where."""

    def __init__(self, lines: list[_Line], start: int, path: Path):
        self.lines = lines
        self.start = start
        self.path = path

    def columns(self, wanted: list[int], titles: list[str]) -> np.ndarray:
        """Some columns as float64, (rows, columns)."""
        cells = [line.cells[k] for line in self.lines for k in wanted]
        if _PLAIN.fullmatch("".join(cells)):  # the usual case, all at once
            try:
                values = np.array([float(cell) for cell in cells])
            except ValueError:
                pass
            else:
                if (np.abs(values) < EXACT).all():
                    return values.reshape(len(self.lines), -1)
        pairs = zip(wanted, titles, strict=False)
        return np.stack([self.column(k, title) for k, title in pairs], axis=1)

    def column(self, k: int, title: str) -> np.ndarray:
        """A column as float64."""
        cells = [line.cells[k] for line in self.lines]
        try:
            if not _PLAIN.fullmatch("".join(cells)):
                raise ValueError("not only digits")
            values = np.array([float(cell) for cell in cells])
        except ValueError:
            values = np.array([self._value(i, cell, title) for i, cell in enumerate(cells)])
        for i in map(int, np.flatnonzero(np.abs(values) >= EXACT)):
            integer = np.isfinite(values[i]) and _INTEGER.fullmatch(cells[i])
            if integer and int(cells[i]) != int(values[i]):
                self._refuse(
                    i, title, f"is {cells[i]}, an integer that float64 cannot represent; leave "
                    f"the column out with drop= if it numbers the rows",
                )  # fmt: skip
        return values

    def labels(self, k: int, title: str) -> np.ndarray:
        """A column of labels: all integers of 64 bits, else numbers."""
        cells = [line.cells[k] for line in self.lines]
        if all(_INTEGER.fullmatch(cell) for cell in cells):
            values = [int(cell) for cell in cells]
            if all(-(2**63) <= value < 2**63 for value in values):
                return np.array(values, "int64")
        return self.column(k, title)

    def _value(self, i: int, cell: str, title: str) -> float:
        text = cell.strip()
        if _NUMBER.fullmatch(text):
            return float(text)
        if text in _BOOLEAN:
            return _BOOLEAN[text]
        if text in _MISSING:
            self._refuse(i, title, f"is missing ({cell!r}); fill it or remove the row")
        if _INFINITE.fullmatch(text):
            self._refuse(i, title, f"is infinite ({cell!r}); fill it or remove the row")
        hint = "leave the column out with drop=, or convert it to numbers"
        if text.startswith("#"):
            hint = "remove comments"
        elif "," in text:
            hint = "write numbers with a decimal point and without thousands separators"
        elif other := next((c for c in ";\t|" if c in text), None):
            hint = f"pass separator={other!r} if that separates the cells"
        self._refuse(i, title, f"holds {cell!r}, not a number; {hint}")

    def _refuse(self, i: int, title: str, problem: str) -> NoReturn:
        raise ContentsError(
            f"{self.path}: row {self.start + i} (line {self.lines[i].number}), column {title}, "
            f"{problem}"
        )
