"""The table that `delvm fit` is given: its rows, labels, and where each row stands."""

import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow

import delvm_tf as dv
from delvm.chosen_rows import ChosenRows
from delvm.columns import described
from delvm.protocol import read_labels
from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams import TableOptions
from delvm_tf.datasets.tables import TableFiles
from delvm_tf.inputs.columns import listed
from delvm_tf.inputs.draws import draws
from delvm_tf.schema import arrow
from delvm_tf.schema.learning import all_refused

ROWS_AT_ONCE = 10_000  # of a table that is read in parts


class Given(NamedTuple):
    """A table, in memory if it is small.

    Attributes:
        source: its files.
        sample: the features of some rows, a pyarrow table.
        sampled: the numbers of these rows; all of a table in memory, else a random part, in order.
        missing: cells of each column in all rows.
        abnormal: which rows are, (n,) bool; None without labels.
        starts: number of the first row of each file.
        rows: number of all rows, n.
        options: by which it was read.
    """

    source: TableFiles
    sample: Any
    sampled: np.ndarray
    missing: dict[str, int]
    abnormal: np.ndarray | None
    starts: np.ndarray
    rows: int
    options: TableOptions

    @property
    def in_memory(self) -> bool:
        """Whether all rows are in the sample."""
        return len(self.sampled) == self.rows

    def tables(self) -> Iterator[Any]:
        """All rows in order, as pyarrow tables of some thousand."""
        if self.in_memory:
            yield self.sample
            return
        waiting: list[Any] = []
        for table in self.source:
            waiting.append(table)
            if sum(map(len, waiting)) >= ROWS_AT_ONCE:
                yield pyarrow.concat_tables(waiting)
                waiting = []
        if waiting:
            yield pyarrow.concat_tables(waiting)

    def take(self, rows: np.ndarray) -> Any:
        """Some rows by their numbers, in this order, as a pyarrow table."""
        if self.in_memory:
            return self.sample.take(rows)
        ordered, places = np.unique(rows, return_inverse=True)
        return ChosenRows(self.source, ordered).read()[0].take(places)

    def place(self, row: int) -> tuple[str, int]:
        """The file of a row, and its number in it, from 0."""
        k = int(np.searchsorted(self.starts, row, side="right")) - 1
        return str(self.source.files[k]), row - int(self.starts[k])

    def summary(self) -> dict[str, Any]:
        """What was understood, as JSON."""
        label = self.options.label
        abnormal = 0 if self.abnormal is None else int(self.abnormal.sum())
        columns = [{**c, "missing": self.missing[c["name"]]} for c in described(self.sample)]
        return {
            "files": [str(file) for file in self.source.files],
            "rows": self.rows,
            "sampled": len(self.sampled),
            "columns": columns,
            "left_out": [str(name) for name in self.options.left_out],
            "label": None if label is None else str(label),
            "normal": self.rows - abnormal,
            "abnormal": abnormal,
            "reading": {
                "header": self.options.header,
                "separator": self.options.separator,
                "decimal": self.options.decimal,
            },
        }


def read(
    pattern: str, options: TableOptions, kinds: Mapping[str, Any], most: float,
    dates: Literal["refuse", "numbers"] = "refuse", normal: Collection[str] = (),
) -> Given:  # fmt: skip
    """The files that fit a pattern: all rows, or a random part of more than `most` cells.

    Args:
        pattern: of the files.
        options: what their columns mean.
        kinds: of columns whose cells do not show it.
        most: cells to keep.
        dates: what is to become of them, for errors of columns that cannot be used.
        normal: labels of normal rows, of which all others are abnormal; without any, labels are 0
            and 1 or +1 and −1.

    Raises:
        FileNotFoundError: if there are none.
        ContentsError: for damaged files and unclear columns; see `open_table`.
        ValueError: for labels that do not say what is abnormal.
    """
    import pyarrow as pa

    plain = options
    if normal and options.label is not None:
        plain = replace(options, label=None, index=(*options.left_out, options.label), drop=())
    source = _opened(pattern, plain, kinds)
    share, rows = 1.0, 0
    parts: list[Any] = []
    numbers: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    counts = dict.fromkeys(source.files, 0)
    missing = dict.fromkeys(source.names, 0)

    def thin(part: Any, of: np.ndarray) -> tuple[Any, np.ndarray]:
        kept = _draws(of) < share
        return part.filter(kept), of[kept]

    with all_refused(source, dates):
        for chunk in source.batches():
            part, here = chunk.table, np.arange(rows, rows + len(chunk.table))
            rows += len(here)
            counts[chunk.file] += len(here)
            for name in source.names:
                missing[name] += int(arrow.missing(part.column(name)).sum())
            if chunk.labels is not None:
                labels.append(chunk.labels)
            part, here = thin(part, here) if share < 1 else (part, here)
            parts.append(part)
            numbers.append(here)
            while len(source.names) * sum(map(len, numbers)) > most:
                share /= 2
                thinned = [thin(*each) for each in zip(parts, numbers, strict=True)]
                parts, numbers = [part for part, _ in thinned], [of for _, of in thinned]
    if not rows:
        raise ContentsError(f"{source.files[0]} has no rows")
    abnormal = None
    if normal:
        abnormal = _others(pattern, options, normal)
    elif labels:
        abnormal = read_labels(np.concatenate(labels), str(options.label))
    return Given(
        source=source,
        sample=pa.concat_tables(parts),
        sampled=np.concatenate(numbers),
        missing=missing,
        abnormal=abnormal,
        starts=np.cumsum([0, *counts.values()])[:-1],
        rows=rows,
        options=options,
    )


def _opened(pattern: str, options: TableOptions, kinds: Mapping[str, Any]) -> TableFiles:
    return dv.datasets.open_table(
        pattern, options.label, options.columns, options.drop, options.index, options.header,
        options.separator, options.decimal, kinds,
    )  # fmt: skip


def _others(pattern: str, options: TableOptions, normal: Collection[str]) -> np.ndarray:
    """Which rows have labels that are none of these, (n,) bool."""
    assert options.label is not None
    columns = replace(options, columns=options.label, label=None, drop=(), index=())
    source = _opened(pattern, columns, {})
    (name,) = source.names
    found = source.with_kinds({name: "text"}).read()[0].column(name).to_pylist()
    labels = {*found}
    if labels & {None, ""}:
        row = next(row for row, label in enumerate(found) if label in (None, ""))
        raise ValueError(f"row {row} has no label in the column {name!r}; fill it or remove it")
    if strange := [label for label in normal if label not in labels]:
        some = ", ".join(map(repr, sorted(labels)[:5]))
        meant = [part for label in normal for part in listed(label, labels) or [label]]
        hint = f"; the labels are --normal {shlex.join(meant)}" if {*meant} <= labels else ""
        lost = ", ".join(map(repr, strange))
        raise ValueError(f"the column {name!r} has no label {lost}; it has {some}{hint}")
    return np.array([label not in normal for label in found])


def _draws(rows: np.ndarray) -> np.ndarray:
    """A random number of each of some rows in order, the same whenever it is asked for."""
    if not len(rows):
        return np.zeros(0)
    first = int(rows[0])
    return draws(first, int(rows[-1]) + 1 - first, seed=0)[rows - first]
