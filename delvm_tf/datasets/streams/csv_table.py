"""Numbers of a .csv or .csv.gz file, one row of values per line."""

import codecs
import csv
import gzip
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow
from pyarrow import compute
from pyarrow import csv as arrow_csv

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import EXACT, INEXACT, Chunk
from delvm_tf.datasets.streams.reading import Reading, TableOptions, select

_BLOCK = 2**21  # bytes parsed at a time
_CELL = 256  # bytes of a cell, for which there is room in very long lines
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_INFINITE = re.compile(r"\s*[+-]?inf(inity)?\s*", re.IGNORECASE)
_BOOLEANS = {"True": "1", "true": "1", "TRUE": "1", "False": "0", "false": "0", "FALSE": "0"}
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
    start: int  # lines of the file before it
    number: int  # of its last line in the file, from 1
    cells: list[str]


def chunks(path: Path, reading: Reading) -> Iterator[Chunk]:
    """The rows as float64, without blank lines, each value the nearest to its text.

    Numbers have ASCII digits and the decimal mark of the options; True and False are 1 and 0.

    Raises:
        ContentsError: for values that are missing, not numbers, or integers that float64 cannot
            represent, and rows of different lengths, with row and line.
    """
    options = reading.table
    lines = _lines(path, options)
    first = next(lines, None)
    if first is None:
        return
    width = len(first.cells)
    _check_separator(first, options, path)
    names = first.cells if _is_header(first, options, path) else None
    selected = select(names, width, reading, path)
    wanted = [*selected.features, *([] if selected.label is None else [selected.label])]
    if names and next(lines, None) is None:
        return
    titles = [f"{k} ({names[k]!r})" if names and names[k] else str(k) for k in wanted]
    start = 0
    try:
        with _open(path) as file, _arrow_reader(file, first, bool(names), wanted, options) as found:
            for batch in found:
                parse = _Parser(path, options, bool(names), start)
                columns = [*zip(batch.columns, titles, strict=True)]
                y = None if selected.label is None else parse.labels(*columns.pop())
                x = np.stack([parse.numbers(*column) for column in columns], axis=1)
                yield Chunk(x, y, selected.names, selected.left_out)
                start += len(batch)
    except (pyarrow.ArrowInvalid, _QuoteError) as error:
        raise _explained(path, options, bool(names), width, error) from error


def _arrow_reader(
    file: IO[bytes], first: _Line, header: bool, wanted: list[int], options: TableOptions
) -> arrow_csv.CSVStreamingReader:
    """Batches of the columns that are wanted, as text: Arrow shall infer nothing."""
    width = len(first.cells)
    names = [str(k) for k in range(width)]
    return arrow_csv.open_csv(
        _Quotes(file, options.separator),
        arrow_csv.ReadOptions(
            block_size=max(_BLOCK, _CELL * width), column_names=names,
            skip_rows=first.number if header else first.start,
        ),
        arrow_csv.ParseOptions(
            delimiter=options.separator, newlines_in_values=True, ignore_empty_lines=width > 1,
            invalid_row_handler=lambda row: "skip" if row.text.isspace() else "error",
        ),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pyarrow.string()), strings_can_be_null=False,
            include_columns=[str(k) for k in wanted],
        ),
    )  # fmt: skip


class _QuoteError(Exception):
    """A quote that neither opens nor closes a cell, which Arrow would take for an ornament."""


class _Quotes(io.RawIOBase):
    """A file that checks quotes as it is read.

    The quotes of a file open and close cells in turn, where a doubled one closes and opens again:
    each has a separator, the end of a line or another quote at its outer side.
    """

    def __init__(self, file: IO[bytes], separator: str):
        self.file = file
        self.outside = np.isin(np.arange(256), np.frombuffer(f'"\r\n{separator}'.encode(), "u1"))
        self.last = b"\n"
        self.odd = False  # the number of quotes before `last`

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self.file.read(size)
        if b'"' in block or b'"' in self.last:
            data = np.frombuffer(self.last + (block or b"\n"), "u1")
            quotes = np.flatnonzero(data == ord('"'))
            opens, closes = quotes[self.odd :: 2], quotes[not self.odd :: 2]
            opens, closes = opens[opens > 0] - 1, closes[closes < len(data) - 1] + 1
            self.odd ^= bool((len(quotes) - (data[-1] == ord('"'))) % 2)
            if not self.outside[data[opens]].all() or not self.outside[data[closes]].all():
                raise _QuoteError("a quote stands within a cell")
        if not block and self.odd:
            raise _QuoteError("a quote is not closed")
        self.last = block[-1:]
        return block


def _open(path: Path) -> Any:
    """The text as bytes, without the mark of UTF-8 at its start."""
    packed = path.suffix.lower() == ".gz"
    with path.open("rb") as file:
        start = file.read(8)
    for magic, what in _PACKED.items():
        if start.startswith(magic) and not (packed and what == "gzip"):
            raise ContentsError(
                f"{path} is {what}, expected {'gzip' if packed else 'plain UTF-8 text'}; unpack or "
                f"convert it first"
            )
    text: Any = (gzip.open if packed else open)(path, "rb")
    if text.read(3) != codecs.BOM_UTF8:
        text.seek(0)
    return text


def _lines(path: Path, options: TableOptions) -> Iterator[_Line]:
    """The lines that are not blank; in a file of one column a blank one is a missing value."""
    width = None
    escape = "surrogateescape"  # so that the line of wrong bytes is known
    with _open(path) as binary, io.TextIOWrapper(binary, "utf-8", escape, "") as file:
        reader = csv.reader(file, delimiter=options.separator, strict=True)
        while True:
            start = reader.line_num
            try:
                cells = next(reader, None)
                "".join(cells or ()).encode()
            except (csv.Error, UnicodeError) as error:
                raise ContentsError(
                    f"{path}: line {reader.line_num} cannot be read ({error}); expected "
                    f'UTF-8 text with cells quoted by " if necessary; the file is damaged or has '
                    f"another format"
                ) from error
            if cells is None:
                return
            # A first line of white space may be the name of a column.
            blank = not cells or (width is not None and len(cells) == 1 and cells[0].isspace())
            if not blank:  # "" in quotes is a cell
                width = width or len(cells)
                yield _Line(start, reader.line_num, cells)
            elif width == 1:
                raise ContentsError(
                    f"{path}: line {reader.line_num} is blank in a file of one column, so a value "
                    f"may be missing; remove the line or fill it"
                )


def _explained(
    path: Path, options: TableOptions, header: bool, width: int, error: Exception
) -> ContentsError:
    """Why Arrow stopped, with the row and the line, which are sought from the start."""
    for row, line in enumerate(_lines(path, options), -int(header)):
        if len(line.cells) != width:
            return ContentsError(
                f"{path}: row {row} (line {line.number}) has {len(line.cells)} values, expected "
                f"{width} as in the first line; the file is damaged or has another format"
            )
    return ContentsError(f"{path} cannot be read ({error}); it is damaged or has another format")


def _check_separator(first: _Line, options: TableOptions, path: Path) -> None:
    if len(first.cells) == 1:
        for other in (";", "\t", "|", ",", ":", " "):
            known = (options.separator, options.decimal)
            if other not in known and other in first.cells[0].strip():
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
    points = [cell.replace(options.decimal, ".") for cell in cells]
    kinds = {_kind(cell) for cell in points}
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
    if kinds <= {"number", "missing", ""} and "number" in kinds and not _may_number(points):
        return False
    raise ContentsError(
        f"{path}: line {first.number} is {shown!r}, which may be names or data; pass "
        f"header=True if it names the columns, header=False if it is the first row (from a "
        f"program: --header or --no-header)"
    )


def _kind(cell: str) -> str:
    cell = cell.strip()
    if _NUMBER.fullmatch(cell) or _INFINITE.fullmatch(cell) or cell in _BOOLEANS:
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
    kept = [_BOOLEANS.get(cell, cell) for cell in kept]
    if not all(map(_NUMBER.fullmatch, kept)):
        return False
    if all(map(_SAVETXT.fullmatch, kept)):
        return False
    values = [float(c) for c in kept]
    ordered = values in (sorted(values), sorted(values, reverse=True))
    return ordered or all(map(_INTEGER.fullmatch, kept))


class _Parser(NamedTuple):
    """Cells to numbers; errors say where."""

    path: Path
    options: TableOptions
    header: bool
    start: int  # number of the first row

    def numbers(self, column: pyarrow.StringArray, title: str) -> np.ndarray:
        """A column as float64."""
        cells = column
        if self.options.decimal == ",":
            point = compute.index(compute.match_substring(cells, "."), True).as_py()
            if point >= 0:
                raise self._refused(point, title, cells[point].as_py())
            cells = compute.replace_substring(cells, ",", ".")
        values = _cast(cells)
        if values is None:
            cells = compute.utf8_trim_whitespace(cells)
            values = _cast(cells)
        if values is None:
            texts = [_BOOLEANS.get(cell, cell) for cell in cells.to_pylist()]
            for i, text in enumerate(texts):
                if not _NUMBER.fullmatch(text):
                    raise self._refused(i, title, column[i].as_py())
            values = np.array([float(text) for text in texts])
        for i in map(int, np.flatnonzero(~(np.abs(values) < EXACT))):
            text = cells[i].as_py()
            if not _NUMBER.fullmatch(text):  # nan or inf
                raise self._refused(i, title, text)
            if _INTEGER.fullmatch(text) and np.isfinite(values[i]) and int(text) != int(values[i]):
                raise self._error(i, title, f"is {text}, {INEXACT}")
        return values

    def labels(self, column: pyarrow.StringArray, title: str) -> np.ndarray:
        """A column of labels: all integers of 64 bits, else numbers."""
        cells = column.to_pylist()
        if all(map(_INTEGER.fullmatch, cells)):
            values = [int(cell) for cell in cells]
            if all(-(2**63) <= value < 2**63 for value in values):
                return np.array(values, "int64")
        return self.numbers(column, title)

    def _refused(self, i: int, title: str, text: str) -> ContentsError:
        text = text.strip()
        if text in _MISSING:
            return self._error(i, title, f"is missing ({text!r}); fill it or remove the row")
        if _INFINITE.fullmatch(text):
            return self._error(i, title, f"is infinite ({text!r}); fill it or remove the row")
        hint = "leave the column out with drop=, or convert it to numbers"
        if text.startswith("#"):
            hint = "remove comments"
        elif self.options.decimal == "," and "." in text:
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
        line = next(itertools.islice(_lines(self.path, self.options), row + self.header, None))
        return ContentsError(
            f"{self.path}: row {row} (line {line.number}), column {title}, {problem}"
        )


def _cast(cells: pyarrow.StringArray) -> np.ndarray | None:
    try:
        return cells.cast(pyarrow.float64()).to_numpy()
    except pyarrow.ArrowInvalid:
        return None
