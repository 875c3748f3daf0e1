"""Tables of any size with columns of any kind: what they hold, and their rows some at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.dataset import Array
from delvm_tf.datasets.streams.csv_table import chunks as csv_chunks
from delvm_tf.datasets.streams.reading import Column, Reading, TableOptions, select
from delvm_tf.datasets.streams.stream import TABLES, files_of
from delvm_tf.datasets.tables import columns as reading
from delvm_tf.datasets.tables.cells import NOTHING, TEXT, ColumnOfText
from delvm_tf.datasets.tables.columns import KINDS, Kind, RefusedFileColumnsError, kind_of
from delvm_tf.datasets.tables.sources import Source, source_of
from delvm_tf.inputs.columns import listed
from delvm_tf.inputs.notices import warn
from delvm_tf.inputs.refusals import Refusal, Refusals

_ROWS = 2**13


class TableChunk(NamedTuple):
    """Some rows of a file.

    Attributes:
        file: which file.
        first: number of the first row in it, from 0, without the header and blank lines.
        table: the features, a pyarrow table.
        labels: integers, (rows,), or None.
    """

    file: Path
    first: int
    table: pa.Table
    labels: Array | None


class TableFiles:
    """The files of a table, which can be read again and again; made by `open_table`.

    Iterating gives pyarrow tables of some rows each, without labels. Detectors take it as their
    data: `fit`, `anomaly_score` and so on read it in bounded memory.

    Attributes:
        files: in the order in which they are read.
        names: of the columns that are features.

    Examples:
        >>> import pandas
        >>> table = pandas.DataFrame({"heat": [20.5, 21.0], "site": ["north", "south"]})
        >>> table.to_parquet("rows.parquet")
        >>> files = dv.datasets.open_table("*.parquet")
        >>> files.names
        ('heat', 'site')
        >>> [part.num_rows for part in files]
        [2]
    """

    def __init__(self, sources: Sequence[Source], options: TableOptions, kinds: Mapping[str, Kind]):
        self._sources = sources
        self._options = options
        self._given = dict(kinds)
        self.files = tuple(source.path for source in sources)
        self._types: dict[str, pa.DataType] | None = None  # of columns that were settled
        self._refused = Refusals()  # of the others
        self._labels: list[str | None] = []
        names: tuple[str, ...] | None = None
        for source in sources:
            wanted = Reading(table=options, names=names)
            found = select(source.names, len(source.names), wanted, source.path, source.index)
            names = found.names
            self._labels.append(None if found.label is None else source.names[found.label])
        assert names is not None  # every column of a source has one
        self.names = names
        if strange := [name for name in self._given if name not in names]:
            raise ValueError(_strange(strange, self._given, names, self.files[0]))
        if wrong := [kind for kind in self._given.values() if kind not in KINDS]:
            raise ValueError(f"unknown kind {wrong[0]!r}; expected one of {', '.join(KINDS)}")

    @property
    def kinds(self) -> dict[str, str]:
        """What each column holds: `number`, `boolean`, `date`, `text`, `nothing` (no values).

        Columns of text files are settled by all their cells, unless the kind was given. It takes a
        pass over the files, once. Columns of Parquet and Feather have the type that the file says,
        of which those that are none of these have pyarrow's name.

        Raises:
            ContentsError: for columns of which the files disagree, and those of text all of whose
                cells are numbers or dates that are written otherwise than expected.
        """
        settled = self._settled  # which finds what is refused, perhaps all columns
        if self._refused:
            raise self.refusing(self._refused.values())
        return {name: self._given.get(name) or kind_of(settled[name]) for name in self.names}

    def with_kinds(self, kinds: Mapping[str, Kind]) -> "TableFiles":
        """The same files, of which the columns and what they hold are known; others are left out.

        A cell that is something else is an error, and text stays text: "007" is not 7.

        Args:
            kinds: by name, in the order wanted, such as `Schema.kinds`.
        """
        return TableFiles(self._sources, replace(self._options, columns=tuple(kinds)), kinds)

    def without(self, names: Sequence[str]) -> "TableFiles | None":
        """The same files with fewer columns; None if none is left."""
        left = tuple(name for name in self.names if name not in names)
        if not left:
            return None
        given = {name: kind for name, kind in self._given.items() if name in left}
        return TableFiles(self._sources, replace(self._options, columns=left), given)

    def refusing(self, refusals: Iterable[Refusal]) -> ContentsError:
        """An error of columns that cannot be used, which says how to leave them out."""
        refusals = sorted(refusals, key=lambda refusal: self.names.index(refusal.column))
        names = [refusal.column for refusal in refusals]
        left = [name for name in self.names if name not in names]
        option = f"drop={names!r}"
        if self._options.columns is not None:
            option = f"columns={left!r}"
        known = self._options.columns is not None and self._given.keys() == {*self.names}
        return RefusedFileColumnsError(refusals, option if left and not known else None)

    def batches(self, rows: int = _ROWS) -> Iterator[TableChunk]:
        """The rows in order, at most `rows` at a time, in constant memory.

        Numbers are float64, truth values bool, dates and times microseconds, text strings. Missing
        cells are null (NaN in a column of numbers that Parquet or Feather have so).

        Raises:
            ContentsError: for cells that are not what their column holds, infinite numbers and
                integers that float64 cannot represent: file, row and value of the first one of
                each column, for which the files are read to their end, and all columns that are
                refused by `kinds`. For labels that are no integers.
        """
        if rows < 1:
            raise ValueError(f"rows must be positive, got {rows}")
        settled = {} if self._given.keys() == {*self.names} else self._settled
        refused = Refusals(self._refused)
        read = reading.Columns(self._given, settled, self._options.decimal)
        for source, label in zip(self._sources, self._labels, strict=True):
            start = 0
            wanted = [*self.names, *([] if label is None else [label])]
            for cells in source.batches(wanted):
                y = None if label is None else reading.labels(cells[label], label, source, start)
                found = {}
                for name in self.names:
                    if name not in refused:
                        with refused.noted():
                            found[name] = read(cells[name], name, source, start)
                table = pa.table(found)
                for k in range(0, 0 if refused else len(table), rows):
                    some = None if y is None else y[k : k + rows]
                    yield TableChunk(source.path, start + k, table.slice(k, rows), some)
                start += len(cells[self.names[0]])
        if refused:
            raise self.refusing(refused.values())

    def read(self) -> tuple[pa.Table, Array | None]:
        """All rows as one table, and the labels or None."""
        return self.joined(list(self.batches()))

    def joined(self, chunks: Sequence[TableChunk]) -> tuple[pa.Table, Array | None]:
        """Some chunks as one table, and the labels or None."""
        if not chunks:
            raise ContentsError(f"{self.files[0]} has no rows")
        labels = [chunk.labels for chunk in chunks if chunk.labels is not None]
        whole = pa.concat_tables([chunk.table for chunk in chunks])
        return whole, np.concatenate(labels) if labels else None

    def labels(self) -> Array | None:
        """The labels of all rows, (rows,) int64, read without the features; None if without."""
        found = []
        for source, label in zip(self._sources, self._labels, strict=True):
            if label is None:
                return None
            start = 0
            for cells in source.batches([label]):
                found.append(reading.labels(cells[label], label, source, start))
                start += len(found[-1])
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def __iter__(self) -> Iterator[pa.Table]:
        return (chunk.table for chunk in self.batches())

    @property
    def _settled(self) -> dict[str, pa.DataType]:
        """The types of columns whose kinds are not given, as far as they are not refused."""
        if self._types is None:
            self._types = self._settle()
        return self._types

    def _settle(self) -> dict[str, pa.DataType]:
        found: dict[str, pa.DataType] = {}
        text: dict[str, ColumnOfText] = {}
        where: dict[str, str] = {}
        unknown = [name for name in self.names if name not in self._given]
        for source in self._sources:
            for name in unknown:
                if name in source.types:
                    with self._refused.noted():
                        found[name] = _merged(found.get(name), source.types[name], name, source)
                else:
                    text.setdefault(name, ColumnOfText(self._options.decimal))
            untyped = [name for name in unknown if name not in source.types]
            for start, cells in source.text(untyped):
                for name in untyped:
                    column = text[name]
                    column.see(cells[name], start)
                    if column.other is not None and name not in where:
                        row, cell = column.other
                        where[name] = f"row {row} of {source.path} holds {cell!r}"
        for name, column in text.items():
            with self._refused.noted():
                _check(name, column, where.get(name))
                found[name] = _merged(found.get(name), column.type, name, self._sources[0])
        return found


def open_table(
    pattern: str | Path,
    label: Column | None = None,
    columns: Sequence[Column] | Column | None = None,
    drop: Sequence[Column] | Column = (),
    index: Sequence[Column] | Column = (),
    header: bool | None = None,
    separator: str = ",",
    decimal: Literal[".", ","] = ".",
    kinds: Mapping[str, Kind] | None = None,
) -> TableFiles:
    """Tables with columns of any kind, from files that need not fit in memory.

    A column of a .csv file is settled by all its cells: numbers if every one that is not missing is
    a number (integers with leading zeros are codes, and so text); truth values if all are true or
    false, True or False, TRUE or FALSE; dates if all are written as ISO 8601 says (2026-11-27,
    2026-11-27T13:30:00, the same with an offset, which become UTC, or 13:30:00); else text. White
    space around a cell does not count. Empty cells are missing, and in columns that are not text so
    are the spellings NA, N/A, NaN, NULL, None, ?, -, and the like; in a column of text these are
    text, a category as any other, unless it has nothing else. A column of text most of whose cells
    are numbers gets a warning, which names the first that is not. Without a header columns are
    called "0", "1", ....

    The columns of several files are matched by name. Folders `name=value` above a file are columns.

    Args:
        pattern: a folder, or a pattern such as `"data/*.csv"`, for files of one kind (.csv,
            .csv.gz, .parquet, .feather, .arrow).
        label: a column of integers or truth values, which is not a feature; 0 is normal, and 1
            abnormal.
        columns: the features, in this order; by default all columns that the others do not name.
        drop: columns to leave out.
        index: columns that number the rows; left out too.
        header: whether the first line of a .csv file names the columns. By default the types of the
            cells in the first two lines decide, and ambiguous ones are refused.
        separator: the character between the cells of a .csv file.
        decimal: the decimal mark of a .csv file, "." or ","; the latter also where commas separate
            the cells, if numbers stand in quotes.
        kinds: of columns that shall not be settled, `number`, `boolean`, `date` or `text`, by name:
            `{"postcode": "text"}`.

    Raises:
        FileNotFoundError: if no file fits the pattern.
        ContentsError: if the first lines are damaged, the columns of two files differ, or it is not
            clear what the columns mean.
        ValueError: for files that are no tables, of several formats, or impossible options.

    Examples:
        >>> import pandas
        >>> table = pandas.DataFrame({"heat": [20.5, None], "site": ["n", "s"], "ill": [0, 1]})
        >>> table.to_csv("rows.csv", index=False)
        >>> files = dv.datasets.open_table("*.csv", label="ill")
        >>> files.kinds
        {'heat': 'number', 'site': 'text'}
    """
    options = TableOptions(label, columns, drop, index, header, separator, decimal)
    files, reader = files_of(str(pattern))
    if reader not in TABLES:
        raise ValueError(f"{files[0]} is no table; expected .csv, .csv.gz, .parquet or .feather")
    expected = {name for name in (*options.named, *(kinds or ())) if isinstance(name, str)}
    sources: list[Source] = []
    for file in files:
        sources.append(source_of(file, options, reader is csv_chunks, expected))
        expected = expected or {*sources[0].names}
    return TableFiles(sources, options, kinds or {})


def _strange(
    strange: list[str], given: Mapping[str, Kind], names: tuple[str, ...], file: Path
) -> str:
    """What is wrong with kinds of columns that are not there."""
    parts = {name: listed(name, names) for name in strange}
    meant = {
        part: kind for name, kind in given.items() for part in parts.get(name, [name])
    }  # fmt: skip
    some = ", ".join(map(repr, strange))
    what = "which is no feature" if len(strange) == 1 else "which are no features"
    hint = f"; the names are kinds={meant!r}" if any(parts.values()) else ""
    return f"kinds names {some}, {what} of {file}{hint}"


def _merged(
    known: pa.DataType | None, found: pa.DataType, name: str, source: Source
) -> pa.DataType:
    if known in (None, NOTHING) or known == found:
        return found
    if found == NOTHING:
        return known
    reason = (
        f"{source.path}: the column {name!r} holds {kind_of(found)} ({found}), but "
        f"{kind_of(known)} ({known}) in another file"
    )
    raise RefusedFileColumnsError([Refusal(name, reason, ("write all files alike",))])


def _check(name: str, column: ColumnOfText, where: str | None) -> None:
    if column.odd == "numbers":
        mark, other = (".", ",") if column.decimal == "." else (",", ".")
        way = (
            f"pass decimal={other!r} if that is the decimal mark, or write numbers with {mark!r} "
            f"and without separators of thousands"
        )
        raise RefusedFileColumnsError([
            Refusal(
                name,
                f"the column {name!r} holds numbers with {other!r}: {where}",
                (way,),
                maybe_text=True,
            )
        ])  # fmt: skip
    if column.odd == "dates":
        raise RefusedFileColumnsError([
            Refusal(
                name,
                f"the column {name!r} holds dates that are not written as 2026-11-27: {where}",
                ("write dates so",),
                maybe_text=True,
            )
        ])  # fmt: skip
    if column.type == TEXT and 2 * column.numbers > column.cells:
        warn(
            f"the column {name!r} is text, for {where}, although {column.numbers} of its "
            f"{column.cells} cells are numbers; pass kinds={{{name!r}: 'number'}} to have such "
            f"cells refused, or 'text' if it is meant so"
        )
