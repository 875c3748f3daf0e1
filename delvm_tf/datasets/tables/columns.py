"""The cells of a column as what the column holds, or an error that says where."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from pyarrow import compute, types

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.dataset import Array
from delvm_tf.datasets.streams.chunk import EXACT, ROUNDED, whole_labels
from delvm_tf.datasets.tables import cells as parsing
from delvm_tf.datasets.tables.cells import BOOLEAN, DATES, NOTHING, NUMBER, PARSERS, TEXT
from delvm_tf.datasets.tables.sources import Source
from delvm_tf.inputs.refusals import CORRECT, Refusal, RefusedColumnsError

Way = Callable[[pa.StringArray, str], pa.Array | None]
Kind = Literal["number", "boolean", "date", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# How text of a kind may be written, all cells of a column alike.
_WAYS: dict[str, Sequence[Way]] = {
    "number": (parsing.numbers, parsing.truths),
    "boolean": (parsing.booleans,),
    "date": tuple(PARSERS[kind] for kind in DATES),
}
_NAMES = {NUMBER: "number", BOOLEAN: "boolean", TEXT: "text", NOTHING: "nothing"}


class RefusedFileColumnsError(ContentsError, RefusedColumnsError):
    """Columns of files that cannot be used; see `RefusedColumnsError`."""


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
        self.ways: dict[str, Sequence[Way]] = {}  # of given kinds, by the cells so far

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
                raise _refused(name, f"{source.place(row)}, column {name!r}, is infinite")
        return found

    def _typed(self, cells: pa.Array, name: str, kind: str, source: Source, start: int) -> pa.Array:
        own = source.types[name]
        wanted = self.settled.get(name) or _type_of(kind, own)
        if own == NOTHING:
            return pa.nulls(len(cells), wanted)
        if kind_of(own) != kind and (kind_of(own), kind) != ("boolean", "number"):
            raise _refused(
                name, f"{source.path}: the column {name!r} holds {kind_of(own)} ({own}), expected "
                f"{kind}", "convert such columns",
            )  # fmt: skip
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
            raise _refused(
                name, f"{source.path}: the column {name!r} cannot be read after row {start} "
                f"({error})",
            ) from error  # fmt: skip
        if wanted == NUMBER and not types.is_floating(cells.type):
            floats = found.to_numpy(zero_copy_only=False)
            for k in map(int, np.flatnonzero(np.abs(floats) >= EXACT)):
                if int(cells[k].as_py()) != int(floats[k]):
                    raise _refused(
                        name,
                        f"{source.place(start + k)}, column {name!r}, is {cells[k]}, {ROUNDED}",
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
        ways = self.ways.get(name) or _WAYS[kind]
        if name in self.settled:
            ways = [PARSERS[self.settled[name]]]
        parsed = {way: cells for way in ways if (cells := way(known, self.decimal)) is not None}
        if parsed:
            self.ways[name] = [*parsed]
            found = next(iter(parsed.values()))
            if kind == "number" and (bad := parsing.rounded(found, known)) is not None:
                raise _refused(
                    name,
                    f"{source.place(start + bad)}, column {name!r}, is {known[bad]}, {ROUNDED}",
                )
            return found
        for k in range(len(known)):
            ways = [way for way in ways if way(known.slice(k, 1), self.decimal) is not None]
            if not ways:  # unlike those before
                break
        raise _refused(
            name,
            f"{source.place(start + k)}, column {name!r}, holds {known[k].as_py()!r}, not a {kind}",
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


def _refused(name: str, reason: str, remedy: str = CORRECT) -> RefusedFileColumnsError:
    return RefusedFileColumnsError([Refusal(name, reason, (remedy,))])
