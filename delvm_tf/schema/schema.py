"""The columns of a table, and the one function that makes numbers of them."""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

import numpy as np
import tensorflow as tf

from delvm_tf.inputs.refusals import Refusal, Refusals, RefusedColumnsError
from delvm_tf.schema import arrow
from delvm_tf.schema.kinds import KINDS, Category, Number

Column = Number | Category


@dataclasses.dataclass(frozen=True)
class Schema:
    """What the columns of a table are, learned from training rows, and what they become.

    A row of a table becomes numbers, (outputs,): values as they are, with the training median where
    one is missing and an indicator where that happened in training; categories as one 1 among
    zeros. `encode` does so in Python and `in_graph` in a graph, by the same operations.

    Attributes:
        columns: in the order of the training table.
        most_missing: cells of a row that may be missing.

    Examples:
        >>> import pandas
        >>> table = pandas.DataFrame(
        ...     {"heat": [20.0, None, 30.0], "site": ["north", "south", "north"]}
        ... )
        >>> schema = dv.schema.learn_schema(table)
        >>> schema.outputs
        ('heat', 'heat is missing', 'site = north', 'site = south', 'site is another')
        >>> schema.encode(table)
        array([[20.,  0.,  1.,  0.,  0.],
               [25.,  1.,  0.,  1.,  0.],
               [30.,  0.,  1.,  0.,  0.]])
    """

    columns: tuple[Column, ...]
    most_missing: int

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of a table."""
        return tuple(column.name for column in self.columns)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the numbers that a row becomes."""
        return tuple(name for column in self.columns for name in column.outputs)

    @property
    def kinds(self) -> dict[str, Literal["number", "date", "text"]]:
        """What each column of a table holds, for `dv.datasets.open_table`."""
        return {
            c.name: "text" if isinstance(c, Category) else "date" if c.date else "number"
            for c in self.columns
        }

    @property
    def inputs(self) -> dict[str, tf.TensorSpec]:
        """What a graph takes: one tensor a column, by its `input_name`.

        Where two columns would have the same, the later ones get numbers.
        """
        specs: dict[str, tf.TensorSpec] = {}
        for column in self.columns:
            name = _free(input_name(column.name), specs)
            specs[name] = tf.TensorSpec((None,), column.dtype, name=name)
        return specs

    def free_name(self, stem: str) -> str:
        """The name of one more input, with a number where a column has it."""
        return _free(stem, self.inputs)

    def typical(self, rows: int) -> dict[str, np.ndarray]:
        """Cells of usual rows, by the names of `inputs`."""
        cells = [c.fill if isinstance(c, Number) else c.values[0] for c in self.columns]
        return {
            name: np.full(rows, cell, object if isinstance(cell, str) else np.float64)
            for name, cell in zip(self.inputs, cells, strict=True)
        }

    @property
    def plain(self) -> bool:
        """Whether all columns are numbers that become themselves, none of which may be missing."""
        return self.outputs == self.names and all(isinstance(c, Number) for c in self.columns)

    def encode(self, table: Any) -> np.ndarray:
        """The numbers of a table, (rows, outputs) float64.

        Columns are matched by name, in any order; others are left out.

        Raises:
            TypeError: for what is no table.
            ValueError: if columns are missing, or rows miss too many cells.
            RefusedColumnsError: for columns that hold something else than in training, or values
                that are infinite.
        """
        codes = self.codes(self.cells(table))
        self.check_missing(codes)
        return np.asarray(self.numbers(codes))

    def in_graph(self, cells: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The numbers of rows whose cells come by the names of columns, (rows,) each.

        NaN and empty text are missing values. A row with too many of them, or infinity, is an
        error of the graph.
        """
        asserts = [
            tf.debugging.Assert(
                tf.reduce_all(~tf.math.is_inf(cells[column.name])),
                [f"infinite values in the column {column.name}"],
            )
            for column in self.columns if isinstance(column, Number)
        ]  # fmt: skip
        codes = self.codes(cells)
        few = tf.reduce_all(self.missing(codes) <= self.most_missing)
        asserts.append(tf.debugging.Assert(few, [self._too_many]))
        with tf.control_dependencies(asserts):
            return tf.identity(self.numbers(codes))

    def codes(self, cells: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """What stands for the cells of each column; see `kinds`."""
        return {c.name: c.codes(tf.convert_to_tensor(cells[c.name])) for c in self.columns}

    def numbers(self, codes: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The numbers of rows, (rows, outputs) float64."""
        return tf.concat([column.encode(codes[column.name]) for column in self.columns], axis=1)

    def missing(self, codes: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """How many cells of each row are missing, (rows,)."""
        missing = [tf.cast(c.missing(codes[c.name]), tf.int32) for c in self.columns]
        return tf.reduce_sum(tf.stack(missing), axis=0)  # ONNX adds no integers with add_n

    def parts(self, numbers: tf.Tensor) -> list[tf.Tensor]:
        """The numbers of each column, (rows, its outputs), of (rows, outputs)."""
        return tf.split(numbers, [len(column.outputs) for column in self.columns], axis=1)

    def cells(self, table: Any) -> dict[str, np.ndarray]:
        """The cells of a table by column, as `in_graph` takes them."""
        table = arrow.as_table(table)
        if missing := [name for name in self.names if name not in table.column_names]:
            raise ValueError(
                f"the table lacks the columns {_some(missing)}; it has {_some(table.column_names)}"
            )
        found: dict[str, np.ndarray] = {}
        refused = Refusals()
        for column in self.columns:
            with refused.noted():
                found[column.name] = _cells(table.column(column.name), column)
        refused.check(option=None)
        return found

    def check_kinds(self, table: Any) -> None:
        """Refuse columns of a pyarrow table that hold something else than in training.

        Raises:
            RefusedColumnsError: for those.
        """
        refused = Refusals()
        for column in self.columns:
            with refused.noted():
                _check_kind(table.column(column.name), column)
        refused.check(option=None)

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        kinds: dict[Any, str] = {kind: name for name, kind in KINDS.items()}
        columns = [{"kind": kinds[type(c)], **dataclasses.asdict(c)} for c in self.columns]
        return {"columns": columns, "most_missing": self.most_missing}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `to_json` wrote.

        Raises:
            ValueError: if it did not.
        """
        try:
            columns = []
            for each in value["columns"]:
                settings = {k: tuple(v) if isinstance(v, list) else v for k, v in each.items()}
                columns.append(KINDS[str(settings.pop("kind"))](**settings))
            return cls(tuple(columns), int(value["most_missing"]))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"expected the columns of a table, got {value!r}") from error

    def check_missing(self, codes: Mapping[str, tf.Tensor]) -> None:
        """Refuse rows that miss too many cells, by a ValueError."""
        count = np.asarray(self.missing(codes))
        bad = np.flatnonzero(count > self.most_missing)
        if len(bad):
            raise ValueError(
                f"{len(bad)} rows (first: {bad[:5].tolist()}) cannot be scored: {self._too_many}"
            )

    @property
    def _too_many(self) -> str:
        return (
            f"at most {self.most_missing} of the {len(self.columns)} cells of a row may be missing"
        )


def input_name(column: str) -> str:
    """A column's name in a graph, which knows letters without accents, digits and `_` alone."""
    name = re.sub(r"\W", "_", column, flags=re.ASCII).lower()
    return name if name[:1].isalpha() else f"c_{name}"


def _free(stem: str, taken: Iterable[str]) -> str:
    places = itertools.chain([stem], (f"{stem}_{k}" for k in itertools.count(2)))
    return next(place for place in places if place not in taken)


def _cells(cells: Any, column: Column) -> np.ndarray:
    _check_kind(cells, column)
    text = isinstance(column, Category)
    if arrow.kind_of(cells) == "nothing":
        return np.full(len(cells), "" if text else np.nan, object if text else np.float64)
    return arrow.texts(cells) if text else arrow.numbers(cells, column.name)


def _check_kind(cells: Any, column: Column) -> None:
    expected = "text" if isinstance(column, Category) else column.date or "number"
    if (found := arrow.kind_of(cells)) not in (expected, "nothing"):
        reason = f"the column {column.name!r} held {expected} in training, and holds {found} now"
        remedy = "convert such columns as they were in training"
        if expected == "date":
            remedy = "convert text and numbers to dates, as pandas.to_datetime does"
        raise RefusedColumnsError([Refusal(column.name, reason, (remedy,))])


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:10]) + (f", ... ({len(names)})" if len(names) > 10 else "")
