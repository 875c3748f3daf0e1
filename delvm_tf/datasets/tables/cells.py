"""Cells of text as numbers, truth values, dates or text; what a column of them holds."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from pyarrow import compute

from delvm_tf.datasets.streams.chunk import EXACT
from delvm_tf.datasets.streams.csv_cells import BOOLEANS, MISSING

NUMBER, BOOLEAN, TEXT, NOTHING = pa.float64(), pa.bool_(), pa.string(), pa.null()
POINT, INSTANT, TIME = pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.time64("us")

_MISSING = pa.array(sorted(MISSING))
_WORDS = pa.array([*BOOLEANS])
_TRUE = pa.array([word for word, value in BOOLEANS.items() if value == "1"])
_TIME = r"^\d\d:\d\d(:\d\d(\.\d{1,6})?)?$"
_PADDED = r"^[+-]?0\d+$"  # codes, such as those of places
_PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
# Numbers and dates that are written otherwise than expected: with thousands separators, another
# decimal mark, or the day first.
_COMMAS = r"^[+-]?(\d+,\d+|\d{1,3}(,\d{3})+(\.\d+)?|\d*\.?\d*)([eE][+-]?\d+)?$"
_POINTS = r"^[+-]?(\d+\.\d+|\d{1,3}(\.\d{3})+(,\d+)?|\d*,?\d*)([eE][+-]?\d+)?$"
_DATES = r"^(\d{1,2}[./-]\d{1,2}[./-]\d{4}|\d{4}[./]\d{1,2}[./]\d{1,2})([ T].*)?$"


def present(cells: pa.StringArray) -> pa.StringArray:
    """Cells without white space around them, null where one of the spellings says missing."""
    cells = compute.utf8_trim_whitespace(cells)
    return compute.if_else(compute.is_in(cells, _MISSING), None, cells)


def texts(cells: pa.StringArray) -> pa.StringArray:
    """Text without white space around it, null where nothing is left."""
    cells = compute.utf8_trim_whitespace(cells)
    return compute.if_else(compute.equal(cells, ""), None, cells)


def numbers(cells: pa.StringArray, decimal: str) -> pa.DoubleArray | None:
    """Present cells as numbers; None if one is something else."""
    if decimal == ",":
        if _any(compute.match_substring(cells, ".")):
            return None
        cells = compute.replace_substring(cells, ",", ".")
    try:
        values = cells.cast(NUMBER)
    except pa.ArrowInvalid:
        return None
    return None if _any(compute.is_nan(values)) else values  # "nan(1)"


def truths(cells: pa.StringArray, decimal: str) -> pa.DoubleArray | None:
    """Present cells as 1 and 0, which may also be written as words of truth."""
    ones = compute.if_else(compute.is_in(cells, _TRUE), "1", "0")
    values = numbers(compute.if_else(compute.is_in(cells, _WORDS), ones, cells), decimal)
    return values if values is not None and {*values.unique().to_pylist()} <= {0, 1, None} else None


def booleans(cells: pa.StringArray, decimal: str) -> pa.BooleanArray | None:
    """Present cells as truth values."""
    if not _all(compute.is_in(cells.drop_null(), _WORDS)):
        return None
    return compute.if_else(compute.is_valid(cells), compute.is_in(cells, _TRUE), None)


def _points(cells: pa.StringArray, decimal: str) -> pa.TimestampArray | None:
    return _cast(cells, POINT)


def _instants(cells: pa.StringArray, decimal: str) -> pa.TimestampArray | None:
    return _cast(cells, INSTANT)


def _times(cells: pa.StringArray, decimal: str) -> pa.Time64Array | None:
    if not _all(compute.match_substring_regex(cells, _TIME)):
        return None
    found = _cast(compute.binary_join_element_wise("1970-01-01", cells, " "), POINT)
    return None if found is None else found.cast(TIME)


PARSERS: dict[pa.DataType, Callable[[pa.StringArray, str], pa.Array | None]] = {
    NUMBER: numbers, BOOLEAN: booleans, POINT: _points, INSTANT: _instants, TIME: _times,
}  # fmt: skip
DATES = (POINT, INSTANT, TIME)


class ColumnOfText:
    """What a column holds, settled as its cells come by.

    Attributes:
        other: the first cell that is no number where some are, or None.
        numbers: how many cells are numbers.
        cells: how many are not missing.
    """

    def __init__(self, decimal: str):
        self.decimal = decimal
        self.other: tuple[int, str] | None = None
        self.numbers = 0
        self.cells = 0
        self._possible = [*PARSERS]
        self._patterns = [_COMMAS if decimal == "." else _POINTS, _DATES]
        self._mark = "," if decimal == "." else "."
        self._marked = False  # whether a cell has the mark that is not the decimal one

    def see(self, cells: pa.StringArray, start: int) -> None:
        """Take cells into account, of which `start` is the number of the first."""
        cells = present(cells)
        known = cells.drop_null()
        if not len(known):
            return
        self.cells += len(known)
        self._possible = [k for k in self._possible if self._may_be(k, known)]
        if NUMBER in self._possible:
            self.numbers += len(known)
            if _DATES in self._patterns:
                self._patterns.remove(_DATES)
            return
        self._patterns = [
            p for p in self._patterns if _all(compute.match_substring_regex(known, p))
        ]
        if self._possible:
            return
        self._marked |= _any(compute.match_substring(known, self._mark))
        plain = compute.and_(
            compute.match_substring_regex(cells, self._plain),
            compute.invert(compute.match_substring_regex(cells, _PADDED)),
        )
        self.numbers += compute.sum(plain).as_py()
        if self.other is None and (k := compute.index(plain, False).as_py()) >= 0:
            self.other = start + k, cells[k].as_py()

    @property
    def type(self) -> pa.DataType:
        """What the column holds, so far."""
        if not self.cells:
            return NOTHING
        return self._possible[0] if self._possible else TEXT

    @property
    def odd(self) -> str | None:
        """What all cells of text look like that is no text: `numbers` or `dates`."""
        if self.type != TEXT or not self._patterns:
            return None
        if _DATES in self._patterns:
            return "dates"
        return "numbers" if self._marked else None

    @property
    def _plain(self) -> str:
        return _PLAIN if self.decimal == "." else _PLAIN.replace(r"\.", ",")

    def _may_be(self, kind: pa.DataType, known: pa.StringArray) -> bool:
        values = PARSERS[kind](known, self.decimal)
        if values is None or kind != NUMBER:
            return values is not None
        floats = values.to_numpy()
        with np.errstate(invalid="ignore"):
            whole = known.filter(pa.array(floats == np.rint(floats)))
        return not _any(compute.match_substring_regex(whole, _PADDED))


def rounded(values: pa.DoubleArray, cells: pa.StringArray) -> int | None:
    """The place of the first integer that float64 cannot represent, or None."""
    floats = values.to_numpy(zero_copy_only=False)
    for k in map(int, np.flatnonzero(np.abs(floats) >= EXACT)):
        text = cells[k].as_py().lstrip("+")
        if text.lstrip("-").isdigit() and int(text) != int(floats[k]):
            return k
    return None


def _cast(cells: pa.StringArray, kind: pa.DataType) -> pa.Array | None:
    try:
        return cells.cast(kind)
    except pa.ArrowInvalid:
        return None


def _any(mask: pa.BooleanArray) -> bool:
    return bool(compute.any(mask, min_count=0).as_py())


def _all(mask: pa.BooleanArray) -> bool:
    return bool(compute.all(mask, min_count=0).as_py())
