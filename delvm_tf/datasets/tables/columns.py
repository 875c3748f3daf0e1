"""The cells of a column as what the column holds, or an error that says where."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from pyarrow import compute, types

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.dataset import Array
from delvm_tf.datasets.streams.chunk import EXACT, INEXACT, whole_labels
from delvm_tf.datasets.tables import cells as parsing
from delvm_tf.datasets.tables.cells import BOOLEAN, DATES, NOTHING, NUMBER, PARSERS, TEXT
from delvm_tf.datasets.tables.sources import Source

Kind = Literal["number", "boolean", "date", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_NAMES = {NUMBER: "number", BOOLEAN: "boolean", TEXT: "text", NOTHING: "nothing"}


def kind_of(kind: pa.DataType) -> str:
    """The name of a type."""
    return _NAMES.get(kind) or ("date" if types.is_temporal(kind) else str(kind))


class Columns:
    """Reads the cells of columns.

    Args:
        given: kinds of columns.
        settled: types of the others.
        decimal: the decimal mark of text.
    """

    def __init__(self, given: Mapping[str, Kind], settled: Mapping[str, pa.DataType], decimal: str):
        self.given = given
        self.settled = settled
        self.decimal = decimal
        self.dates: dict[str, pa.DataType] = {}  # of given kinds, from the first cells on

    def __call__(self, cells: pa.Array, name: str, source: Source, start: int) -> pa.Array:
        """Cells of a file, from a row on, as what their column holds."""
        kind = self.given.get(name) or kind_of(self.settled[name])
        if name in source.types:
            found = self._typed(cells, name, kind, source, start)
        else:
            found = self._parsed(cells, name, kind, source, start)
        if kind == "number" and len(found):
            floats = found.to_numpy(zero_copy_only=False)
            if np.isinf(floats).any():
                row = start + int(np.flatnonzero(np.isinf(floats))[0])
                raise ContentsError(
                    f"{source.place(row)}, column {name!r}, is infinite; fill it or remove the row"
                )
        return found

    def _typed(self, cells: pa.Array, name: str, kind: str, source: Source, start: int) -> pa.Array:
        own = source.types[name]
        wanted = self.settled.get(name) or _type_of(kind, own)
        if own == NOTHING:
            return pa.nulls(len(cells), wanted)
        if kind_of(own) != kind and (kind_of(own), kind) != ("boolean", "number"):
            raise ContentsError(
                f"{source.path}: the column {name!r} holds {kind_of(own)} ({own}), expected "
                f"{kind}; convert it"
            )
        if types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if types.is_boolean(cells.type) and wanted == NUMBER:
            cells = cells.cast("uint8")
        try:
            # Nanoseconds may be cut, and integers are looked at below; years must not overflow.
            # Arrow rounds decimals twice, but not their text.
            exact = cells.cast(TEXT) if types.is_decimal(cells.type) else cells
            found = exact.cast(
                options=compute.CastOptions(
                    wanted, allow_time_truncate=True, allow_float_truncate=True
                )
            )
        except pa.ArrowException as error:
            raise ContentsError(
                f"{source.path}: the column {name!r} cannot be read after row {start} ({error}); "
                f"correct it, or leave it out with drop="
            ) from error
        if wanted == NUMBER and not types.is_floating(cells.type):
            floats = found.to_numpy(zero_copy_only=False)
            for k in map(int, np.flatnonzero(np.abs(floats) >= EXACT)):
                if int(cells[k].as_py()) != int(floats[k]):
                    raise ContentsError(
                        f"{source.place(start + k)}, column {name!r}, is {cells[k]}, {INEXACT}"
                    )
        return found

    def _parsed(
        self, cells: pa.Array, name: str, kind: str, source: Source, start: int
    ) -> pa.Array:
        if kind == "text":
            return parsing.texts(cells)
        known = parsing.present(cells)
        if kind == "nothing" or known.null_count == len(known):
            return pa.nulls(len(cells), self.settled.get(name) or _type_of(kind, NOTHING))
        if name in self.settled:
            parsers = [self.settled[name]]
        elif kind == "date":
            parsers = [self.dates[name]] if name in self.dates else [*DATES]
        else:
            parsers = [NUMBER if kind == "number" else BOOLEAN]
        parse = {**PARSERS, NUMBER: parsing.numbers_or_words}
        for each in parsers:
            found = parse[each](known, self.decimal)
            if found is None:
                continue
            if kind == "date":
                self.dates[name] = each
            elif each == NUMBER and (bad := parsing.rounded(found, known)) is not None:
                raise ContentsError(
                    f"{source.place(start + bad)}, column {name!r}, is {known[bad]}, {INEXACT}"
                )
            return found
        for k, cell in enumerate(known):
            one = known.slice(k, 1)
            if cell.is_valid and all(parse[each](one, self.decimal) is None for each in parsers):
                break
        raise ContentsError(
            f"{source.place(start + k)}, column {name!r}, holds {cell.as_py()!r}, not a {kind}; "
            f"correct it, empty the cell if the value is not known, or remove the row"
        )


def labels(cells: pa.Array, name: str, source: Source, start: int) -> Array:
    """Labels as integers, (rows,)."""
    if name in source.types:
        found = cells
    else:
        cells = parsing.present(cells)
        found = next(
            (y for parse in (_integers, parsing.booleans, parsing.numbers)
             if (y := parse(cells, ".")) is not None), cells,
        )  # fmt: skip
    if found.null_count:
        row = start + compute.index(compute.is_null(found), True).as_py()
        raise ContentsError(
            f"{source.place(row)}, column {name!r}, has no label; fill it or remove the row"
        )
    if kind_of(found.type) not in ("number", "boolean") and not types.is_integer(found.type):
        raise ContentsError(
            f"{source.path}: the labels in the column {name!r} are {kind_of(found.type)}, such as "
            f"{found[0].as_py()!r}; write 0 for normal rows and 1 for abnormal ones"
        )
    return whole_labels(found.to_numpy(zero_copy_only=False), start, source.path)


def _integers(cells: pa.StringArray, decimal: str) -> pa.Int64Array | None:
    try:
        return cells.cast("int64")
    except pa.ArrowInvalid:
        return None


def _type_of(kind: str, own: pa.DataType) -> pa.DataType:
    if kind == "date":
        return own if own != NOTHING else DATES[0]
    return {name: found for found, name in _NAMES.items()}[kind]
