"""Learning from training rows what the columns of a table are."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from delvm_tf.inputs.draws import draws
from delvm_tf.inputs.refusals import Refusal, Refusals, RefusedColumnsError
from delvm_tf.schema import arrow
from delvm_tf.schema.kinds import Category
from delvm_tf.schema.schema import Column, Schema
from delvm_tf.schema.summaries import NumberSummary, TextSummary

MOST_VALUES = 32  # of a category that have a number each
_SAMPLED, _FEWEST, _CELLS = 2**16, 2**10, 2**22  # values of a column in a sample, and of all


def learn_schema(
    table: Any,
    dates: Literal["refuse", "numbers"] = "refuse",
    most_values: int = MOST_VALUES,
    units: Mapping[str, str] | None = None,
) -> Schema:
    """The columns of a table of normal rows.

    Numbers and truth values are numbers, text and categories of pandas categories. A row that is
    scored later may miss half of its cells, and as many as a training row.

    Tables in parts are read once, in bounded memory. The medians are then those of a random sample
    of 65,536 values a column where there are more (fewer of more than 64 columns), whose standard
    error is 0.5 % of the standard deviation; all else is exact up to 131,072 values of text.

    Args:
        table: of pandas, polars or pyarrow, or what has `__arrow_c_stream__` or `__dataframe__`; or
            an iterable of such tables, parts of one, as `dv.datasets.open_table` gives.
        dates: whether dates and times are refused, or become seconds since 1970 or midnight.
        most_values: of a category that have a number each; the rarer ones share one.
        units: of columns of numbers, by name, for those who read the card: `{"heat": "°C"}`.

    Raises:
        TypeError: for what is no table.
        ValueError: for a table without rows or columns, or units of other columns.
        RefusedColumnsError: for dates unless they are asked for, columns of lists or bytes, columns
            without values, text that differs in every row, infinite values, and cells of files
            that cannot be read: all columns that are refused, why, and what to do.

    Examples:
        >>> import pandas
        >>> table = pandas.DataFrame(
        ...     {"heat": [20.0, 21.0, 30.0], "site": ["north", "south", "north"]}
        ... )
        >>> schema = dv.schema.learn_schema(table, units={"heat": "°C"})
        >>> schema.kinds
        {'heat': 'number', 'site': 'text'}
    """
    whole = arrow.is_one(table) or not isinstance(table, Iterable)
    learner = Learner(dates, most_values, units, whole)
    with all_refused(table, dates):
        for part in [table] if whole else table:
            learner.see(part)
        return learner.schema()


@contextmanager
def all_refused(table: Any, dates: Literal["refuse", "numbers"]) -> Iterator[None]:
    """An error of columns that are refused tells all those that are.

    Reading and learning look at all columns, but what cannot be read is not learned from. So after
    an error in the block the other columns are read and learned from.

    Args:
        table: what the block reads: files of a table, or tables in memory, which have nothing
            that cannot be read.
        dates: see `learn_schema`.
    """
    try:
        yield
    except RefusedColumnsError as error:
        if not hasattr(table, "without"):
            raise
        refused = Refusals()
        refused.note(error.refusals)
        others = table.without(error.columns)
        if others is not None:
            with refused.noted():
                learn_schema(others, dates)
        raise table.refusing(refused.values()) from error


class Learner:
    """What is known of the columns of a table, some of whose rows have come by.

    Args:
        dates, most_values, units: see `learn_schema`.
        whole: whether the first rows are all, and nothing needs to be drawn.
    """

    def __init__(
        self,
        dates: Literal["refuse", "numbers"] = "refuse",
        most_values: int = MOST_VALUES,
        units: Mapping[str, str] | None = None,
        whole: bool = False,
    ):
        if dates not in ("refuse", arrow.DATES):
            raise ValueError(f"dates must be 'refuse' or {arrow.DATES!r}, got {dates!r}")
        self._dates, self._most_values, self._units = dates, most_values, dict(units or {})
        self._whole = whole
        self._rows = 0
        self._most_missing = 0
        self._columns: dict[str, NumberSummary | TextSummary | None] = {}
        self._kinds: dict[str, str] = {}
        self._incomplete: set[str] = set()  # columns of which parts have no values
        self._refused = Refusals()

    def see(self, table: Any, training: np.ndarray | None = None) -> None:
        """Take rows into account.

        Args:
            table: some rows.
            training: which of them to learn from, (rows,) bool; all, if None. The others only say
                how many cells of a row may be missing.
        """
        table = arrow.as_table(table)
        if not self._columns:
            self._columns = dict.fromkeys(table.column_names)
        if {*table.column_names} != self._columns.keys():
            raise ValueError(
                f"a part of the table has the columns {', '.join(table.column_names)}, and those "
                f"before {', '.join(self._columns)}; all parts must have the same"
            )
        rows = table.num_rows
        sampling = np.zeros(rows) if self._whole else draws(self._rows, rows, seed=0)
        if training is not None:
            sampling = sampling[training]
        self._rows += rows
        missing = np.zeros(rows, int)
        for name in self._columns if rows else ():
            cells = table.column(name)
            if (kind := arrow.kind_of(cells)) == "nothing":
                missing += 1
                if training is None or training.any():
                    self._incomplete.add(name)
                continue
            missing += arrow.missing(cells)
            if name not in self._refused:
                with self._refused.noted():
                    self._summary(cells, name, kind).see(cells, sampling, training)
        self._most_missing = max(self._most_missing, int(missing.max(initial=0)))

    def schema(self) -> Schema:
        """The columns.

        Raises:
            RefusedColumnsError: for those that cannot be used.
            ValueError: if there are none, or for units of others; see `learn_schema`.
        """
        if not self._rows or not self._columns:
            raise ValueError(
                f"expected a table with rows and columns, got {self._rows} × {len(self._columns)}"
            )
        columns = []
        for name, summary in self._columns.items():
            if name not in self._refused:
                with self._refused.noted():
                    columns.append(self._column(name, summary))
        self._refused.check()
        numbers = [c.name for c in columns if not isinstance(c, Category)]
        if strange := [name for name in self._units if name not in numbers]:
            raise ValueError(
                f"units has {strange[0]!r}, which is no column of numbers; those are "
                f"{', '.join(numbers[:10])}"
            )
        return Schema(tuple(columns), max(len(columns) // 2, self._most_missing))

    def _column(self, name: str, summary: NumberSummary | TextSummary | None) -> Column:
        if summary is not None:
            summary.incomplete |= name in self._incomplete
        column = None if summary is None else summary.column()
        if column is None:
            raise _refused(name, f"the column {name!r} has no values")
        return column

    def _summary(self, cells: Any, name: str, kind: str) -> NumberSummary | TextSummary:
        """What is kept of a column, new if these are its first cells with values."""
        if (before := self._kinds.setdefault(name, kind)) != kind:
            raise _refused(
                name, f"the column {name!r} holds {before} at first, and {kind} later",
                "convert a column to one type",
            )  # fmt: skip
        if (known := self._columns[name]) is not None:
            return known
        self._columns[name] = summary = self._new_summary(cells, name, kind)
        return summary

    def _new_summary(self, cells: Any, name: str, kind: str) -> NumberSummary | TextSummary:
        if kind in arrow.TIMES and self._dates != arrow.DATES:
            raise _refused(
                name,
                f"the column {name!r} holds dates or times ({cells.type}), which say when and not "
                f"what",
                "read dates as seconds with dates='numbers'",
                "make numbers of dates, such as the hour",
            )
        if kind == "text":
            return TextSummary(name, self._most_values)
        if kind not in ("number", *arrow.TIMES):
            raise _refused(
                name, f"the column {name!r} holds {kind}, which is neither numbers nor text"
            )
        kept = min(_SAMPLED, max(_FEWEST, _CELLS // len(self._columns)))
        return NumberSummary(
            name,
            kind if kind in arrow.TIMES else "",
            self._units.get(name, ""),
            len(cells) if self._whole else kept,
        )


def _refused(name: str, reason: str, *remedies: str) -> RefusedColumnsError:
    return RefusedColumnsError([Refusal(name, reason, remedies)])
