"""Learning from training rows what the columns of a table are."""

from collections import Counter
from typing import Any, Literal

import numpy as np

from delvm_tf.inputs.notices import warn
from delvm_tf.schema import arrow
from delvm_tf.schema.kinds import Category, Number
from delvm_tf.schema.schema import Column, Schema

MOST_VALUES = 32  # of a category that have a number each


def learn_schema(
    table: Any, dates: Literal["refuse", "numbers"] = "refuse", most_values: int = MOST_VALUES
) -> Schema:
    """The columns of a table of normal rows.

    Numbers and truth values are numbers, text and categories of pandas categories. A row that is
    scored later may miss half of its cells, and as many as a training row.

    Args:
        table: of pandas, polars or pyarrow.
        dates: whether dates and times are refused, or become seconds since 1970 or midnight.
        most_values: of a category that have a number each; the rarer ones share one.

    Raises:
        TypeError: for what is no table, dates unless they are asked for, and columns of lists or
            bytes.
        ValueError: for a table without rows or columns, columns without values, text that differs
            in every row, or infinite values: which columns, and what to do.
    """
    table = arrow.as_table(table)
    if not table.num_rows or not table.num_columns:
        raise ValueError(
            f"expected a table with rows and columns, got {table.num_rows} × {table.num_columns}"
        )
    columns = tuple(
        _column(table.column(name), name, dates, most_values) for name in table.column_names
    )
    schema = Schema(columns, most_missing=len(columns))
    missing = schema.missing(schema.codes(schema.cells(table)))
    return Schema(columns, max(len(columns) // 2, int(np.max(missing))))


def _column(cells: Any, name: str, dates: str, most_values: int) -> Column:
    kind = arrow.kind_of(cells)
    if kind == "nothing":
        raise ValueError(f"the column {name!r} has no values; leave it out")
    if kind == "date" and dates != arrow.DATES:
        raise TypeError(
            f"the column {name!r} holds dates or times ({cells.type}), which say when and not "
            f"what; leave it out, or make numbers of it, such as the hour. "
            f"learn_schema(table, dates='numbers') reads it as seconds"
        )
    if kind in ("number", "date"):
        values = arrow.numbers(cells, name)
        missing = np.isnan(values)
        if missing.all():
            raise ValueError(f"the column {name!r} has no values; leave it out")
        return Number(name, float(np.nanmedian(values)), bool(missing.any()), kind == "date")
    if kind != "text":
        raise TypeError(
            f"the column {name!r} holds {kind}, which is neither numbers nor text; leave it out"
        )
    return _category(arrow.texts(cells), name, most_values)


def _category(values: np.ndarray, name: str, most_values: int) -> Category:
    counts = Counter(values.tolist())
    missing = counts.pop("", 0)
    if not counts:
        raise ValueError(f"the column {name!r} has no values; leave it out")
    if len(counts) == len(values) - missing > most_values:
        raise ValueError(
            f"the text in the column {name!r} is different in each of {len(counts)} rows, as names "
            f"and numbers of rows are; leave it out, or if these are numbers written as text, such "
            f"as {next(iter(counts))!r}, convert them"
        )
    kept = tuple(value for value, _ in counts.most_common(most_values))
    if len(counts) > len(kept):
        warn(
            f"the column {name!r} has {len(counts)} values, of which the {len(kept)} most frequent "
            f"are told apart; the others count as one"
        )
    return Category(name, kept, missing > 0)
