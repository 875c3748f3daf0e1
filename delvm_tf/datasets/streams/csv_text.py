"""The lines of a .csv or .csv.gz file, and its columns as text."""

import codecs
import csv
import gzip
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow
from pyarrow import csv as arrow_csv

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.reading import TableOptions

_BLOCK = 2**21  # bytes parsed at a time
_CELL = 256  # bytes of a cell, for which there is room in very long lines
_PACKED = {
    b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd", b"PAR1": "Parquet", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip


class Line(NamedTuple):
    """A line of cells."""

    start: int  # lines of the file before it
    number: int  # of its last line in the file, from 1
    cells: list[str]


class CsvText(NamedTuple):
    """A .csv or .csv.gz file as text.

    Attributes:
        path: of the file.
        options: its separator.
        first: its first line.
        second: its second one, if there are two.
        header: whether the first line names the columns.
        block: bytes parsed at a time, if more than usual.
    """

    path: Path
    options: TableOptions
    first: Line
    second: Line | None
    header: bool = False
    block: int = 0

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.first.cells)

    @property
    def names(self) -> list[str] | None:
        """Names of the columns, "" for one without; None if the first line is a row."""
        return self.first.cells if self.header else None

    def batches(self, wanted: list[int]) -> Iterator[pyarrow.RecordBatch]:
        """The cells of some columns, as they are written.

        Raises:
            ContentsError: for rows of different lengths, text that is not UTF-8, characters NUL and
                misplaced quotes, with row and line.
        """
        if self.header and self.second is None:
            return
        try:
            with _open(self.path) as file, self._arrow_reader(file, wanted) as found:
                yield from found
        except (pyarrow.ArrowInvalid, _TextError) as error:
            raise self._explained(error) from error

    def line_of(self, row: int) -> int:
        """The number of the line, from 1, at which a row ends."""
        lines = _lines(self.path, self.options)
        return next(itertools.islice(lines, row + self.header, None)).number

    def check_blank(self) -> None:
        """Refuse blank lines in a file of one column, which may be missing values."""
        if self.width == 1:
            for _ in _lines(self.path, self.options):
                pass

    def _arrow_reader(self, file: IO[bytes], wanted: list[int]) -> arrow_csv.CSVStreamingReader:
        """Batches of the columns that are wanted, as text: Arrow shall infer nothing."""
        width, separator = self.width, self.options.separator
        names = [str(k) for k in range(width)]

        def handle(row: arrow_csv.InvalidRow) -> str:
            blank = row.text.isspace() and separator not in row.text
            return "skip" if blank else "error"

        return arrow_csv.open_csv(
            _Quotes(file, separator),
            arrow_csv.ReadOptions(
                block_size=max(_BLOCK, _CELL * width, self.block), column_names=names,
                skip_rows=self.first.number if self.header else self.first.start,
            ),
            arrow_csv.ParseOptions(
                delimiter=separator, newlines_in_values=True,
                ignore_empty_lines=width > 1,
                invalid_row_handler=handle,
            ),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pyarrow.string()), strings_can_be_null=False,
                include_columns=[str(k) for k in wanted],
            ),
        )  # fmt: skip

    def _explained(self, error: Exception) -> ContentsError:
        """Why Arrow stopped, with the row and the line, which are sought from the start."""
        for row, line in enumerate(_lines(self.path, self.options), -int(self.header)):
            if len(line.cells) != self.width:
                hint = "the file is damaged or has another format"
                if self.width == 1 and self.options.separator == ",":
                    hint = "if these are decimal commas, pass decimal=',' and separator=';'"
                return ContentsError(
                    f"{self.path}: row {row} (line {line.number}) has {len(line.cells)} values, "
                    f"expected {self.width} as in the first line; {hint}"
                )
        return ContentsError(
            f"{self.path} cannot be read ({error}); it is damaged or has another format"
        )


def open_csv(path: Path, options: TableOptions) -> CsvText | None:
    """A file without a header, until something else is known; None if it is empty.

    Raises:
        ContentsError: if it is no text, or has apparently another separator.
    """
    lines = _lines(path, options)
    first = next(lines, None)
    if first is None:
        return None
    second = next(lines, None)
    _check_separator(first, second, options, path)
    return CsvText(path, options, first, second)


class _TextError(Exception):
    """What Arrow would take for text, or fail at: wrong quotes, NUL, or what is not UTF-8.

    A quote is wrong that neither opens nor closes a cell.
    """


class _Quotes(io.RawIOBase):
    """A file that checks quotes as it is read, and that it is UTF-8 without NUL.

    The quotes of a file open and close cells in turn, where a doubled one closes and opens again:
    each has a separator, the end of a line or another quote at its outer side.
    """

    def __init__(self, file: IO[bytes], separator: str):
        self.file = file
        self.outside = np.isin(np.arange(256), np.frombuffer(f'"\r\n{separator}'.encode(), "u1"))
        self.last = b"\n"
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.odd = False  # the number of quotes before `last`

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self.file.read(size)
        if b"\0" in block:
            raise _TextError("it has characters NUL")
        if not block.isascii() or self.decoder.getstate()[0]:
            try:
                self.decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise _TextError(str(error)) from error
        if b'"' in block or b'"' in self.last:
            data = np.frombuffer(self.last + (block or b"\n"), "u1")
            quotes = np.flatnonzero(data == ord('"'))
            opens, closes = quotes[self.odd :: 2], quotes[not self.odd :: 2]
            opens, closes = opens[opens > 0] - 1, closes[closes < len(data) - 1] + 1
            self.odd ^= bool((len(quotes) - (data[-1] == ord('"'))) % 2)
            if not self.outside[data[opens]].all() or not self.outside[data[closes]].all():
                raise _TextError("a quote stands within a cell")
        if not block and self.odd:
            raise _TextError("a quote is not closed")
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


def _lines(path: Path, options: TableOptions) -> Iterator[Line]:
    """The lines that are not blank; in a file of one column a blank one is a missing value."""
    width, blanks = None, 0
    escape = "surrogateescape"  # so that the line of wrong bytes is known
    with _open(path) as binary, io.TextIOWrapper(binary, "utf-8", escape, "") as file:
        reader = csv.reader(file, delimiter=options.separator, strict=True)
        while True:
            start = reader.line_num
            try:
                cells = next(reader, None)
                text = "".join(cells or ())
                text.encode()
            except (csv.Error, UnicodeError) as error:
                raise ContentsError(
                    f"{path}: line {reader.line_num} cannot be read ({error}); expected "
                    f'UTF-8 text with cells quoted by " if necessary; the file is damaged or has '
                    f"another format"
                ) from error
            if "\0" in text:
                raise ContentsError(
                    f"{path}: line {reader.line_num} has characters NUL; the file is damaged, or "
                    f"in another encoding such as UTF-16: write it as UTF-8"
                )
            if cells is None:
                return
            # A first line of white space may be the name of a column.
            row = width is not None or options.header is False
            blank = not cells or (row and len(cells) == 1 and cells[0].isspace())
            if not blank:  # "" in quotes is a cell
                if width is None and blanks and len(cells) == 1 and not options.header:
                    raise _may_be_missing(path, blanks)
                width = width or len(cells)
                yield Line(start, reader.line_num, cells)
            elif width == 1:
                raise _may_be_missing(path, reader.line_num)
            blanks = reader.line_num if blank else blanks


def _may_be_missing(path: Path, line: int) -> ContentsError:
    return ContentsError(
        f"{path}: line {line} is blank in a file of one column, so a value may be missing; remove "
        f"the line or fill it"
    )


def _check_separator(first: Line, second: Line | None, options: TableOptions, path: Path) -> None:
    """Refuse lines that look as if another character separated their cells.

    What stands in the first line alone is part of the name of the only column.
    """
    texts = ["".join(line.cells) for line in (first, second) if line is not None]
    others: tuple[str, ...] = (";", "\t", "|", ",", ":", " ")
    if len(first.cells) > 1:
        # Unquoted decimal commas are taken for separators if they are told to be both.
        if options.separator != options.decimal or any("," in text for text in texts):
            return
        others = (";", "\t", "|")
    known = (options.separator, options.decimal)
    for other in others:
        everywhere = all(other in text for text in texts)
        if other not in known and everywhere and any(other in text.strip() for text in texts):
            has = "" if len(first.cells) > 1 else f"no {options.separator!r} but "
            raise ContentsError(
                f"{path}: line {first.number} has {has}{other!r}; pass separator={other!r} if that "
                f"separates the cells"
                + ("" if other != " " else ", else header= and names without blanks")
            )
