"""How to read files, and which columns of a table."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.inputs.columns import listed

Column = str | int
# pandas' names of a column without a name, and of an index in Parquet.
_INDEX = re.compile(r"Unnamed: \d+(\.\d+)*|__index_level_\d+__")


def _several(columns: Sequence[Column] | Column | None) -> tuple[Column, ...]:
    if columns is None:
        return ()
    return (columns,) if isinstance(columns, str | int) else tuple(columns)


@dataclass(frozen=True)
class TableOptions:
    """How to read the columns of a table (CSV, Parquet, Feather); nothing is guessed.

    Columns are given by name, or by number from 0, or from −1 backwards.

    Args:
        label: the column of labels, which is not a feature.
        columns: the features, in this order; by default all columns that the others do not name.
        drop: columns to leave out.
        index: columns that number the rows, such as the index that pandas writes; left out too.
        header: whether the first line of a .csv file names the columns. By default the types of its
            cells decide, and ambiguous lines are refused.
        separator: the character between the cells of a .csv file.
        decimal: the decimal mark of a .csv file, "." or ","; the latter also where commas separate
            the cells, if numbers stand in quotes.

    Raises:
        ValueError: for a separator that is not one character, another decimal mark, invalid
            columns, or a column with two uses.

    Examples:
        >>> options = dv.datasets.streams.TableOptions(label="bad", drop=["id"], separator=";")
        >>> protocols = dv.datasets.streams.protocols_of("data/*.csv", "mine", lambda: options)
    """

    label: Column | None = None
    columns: Sequence[Column] | Column | None = None
    drop: Sequence[Column] | Column = ()
    index: Sequence[Column] | Column = ()
    header: bool | None = None
    separator: str = ","
    decimal: str = "."

    def __post_init__(self) -> None:
        if not (self.separator.isascii() and re.fullmatch(r'[^"\r\n.]', self.separator)):
            raise ValueError(
                f"separator must be one character of ASCII such as ';', got {self.separator!r}"
            )
        if self.decimal not in (".", ","):
            raise ValueError(f"decimal must be '.' or ',', got {self.decimal!r}")
        for name in ("columns", "drop", "index"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, _several(given))
        if self.columns == ():
            raise ValueError("columns is empty; name at least one, or leave it out to take all")
        if wrong := [
            c for c in self.named if isinstance(c, bool) or not isinstance(c, str | int | None)
        ]:
            raise ValueError(f"columns are given by name or number, got {wrong[0]!r}")
        others = [*self.left_out, *(() if self.label is None else (self.label,))]
        if twice := [c for c in _several(self.columns) if c in others]:
            raise ValueError(f"columns names {twice[0]!r}, which is the label or to be left out")

    @property
    def named(self) -> tuple[Column | None, ...]:
        """All columns that are named or numbered, and None without a label."""
        return (*_several(self.columns), *self.left_out, self.label)

    @property
    def left_out(self) -> tuple[Column, ...]:
        """The columns of `drop` and `index`."""
        return (*_several(self.drop), *_several(self.index))

    @property
    def given(self) -> list[str]:
        """Names of the options that differ from their defaults."""
        return [f.name for f in fields(self) if getattr(self, f.name) != f.default]


class Reading(NamedTuple):
    """How to read a file.

    Attributes:
        labels: whether labels are wanted.
        table: the columns of a table.
        names: that the columns must have, in any order; those of the first file or of a model.
        lenient: leave out other columns than `names` instead of refusing them, and accept tables
            without names, as for a model that is given more columns than it uses.
    """

    labels: bool = False
    table: TableOptions = TableOptions()
    names: tuple[str, ...] | None = None
    lenient: bool = False


class Selection(NamedTuple):
    """Columns of a file.

    Attributes:
        features: their positions, in the order of the features.
        label: its position, or None.
        names: of the features, or None.
        left_out: names of columns that a model does not use.
    """

    features: list[int]
    label: int | None
    names: tuple[str, ...] | None
    left_out: tuple[str, ...] = ()


def select(
    names: Sequence[str] | None, width: int, reading: Reading, origin: object,
    index: Sequence[str] = (),
) -> Selection:  # fmt: skip
    """Which columns of a table are wanted.

    Args:
        names: of its columns, "" for one without; None if no column has a name.
        width: number of columns.
        reading: what is wanted.
        origin: the file, for messages.
        index: names of columns that the file itself marks as an index.

    Raises:
        ContentsError: for columns that are missing or ambiguous, with the option to pass.
    """
    options = reading.table
    if names is not None:
        if twice := sorted({n for n in names if n and list(names).count(n) > 1}):
            raise ContentsError(
                f"{origin}: several columns are called {', '.join(map(repr, twice[:5]))}; "
                f"rename them"
            )
        names = [name or f"Unnamed: {k}" for k, name in enumerate(names)]

    _check_known(options, names, width, origin)

    def place(column: Column) -> int:
        return names.index(column) if isinstance(column, str) and names else int(column) % width

    label = None if options.label is None else place(options.label)
    if reading.labels and label is None:
        example = "label=-1 for the last one" if names is None else f"one of {_some(names)}"
        raise ContentsError(f"{origin}: pass label=, the column of the labels: {example}")
    if options.columns is not None:
        features = [place(column) for column in _several(options.columns)]
        if len(set(features)) < len(features) or label in features:
            raise ContentsError(f"{origin}: columns names a column twice, or the label")
    else:
        out = {label, *map(place, options.left_out)}
        features = [k for k in range(width) if k not in out]
    if not features:
        raise ContentsError(f"{origin}: no columns are left as features")
    if names is None:
        if reading.names is not None and not reading.lenient:
            raise ContentsError(
                f"{origin} has no names of columns, but the first file has: {_some(reading.names)}"
            )
        return Selection(features, label, None)

    own = [names[k] for k in features]
    asked = reading.names if reading.lenient else None
    odd = [n for n in own if _INDEX.fullmatch(n) or n in index]
    if options.columns is None and (odd := [n for n in odd if asked is None or n in asked]):
        what = f"column {names.index(odd[0])}, {odd[0]!r}, is an index or has no name; pass "
        how = f"index={odd[0]!r} to leave it out, or columns= with all features to keep it"
        if len(odd) > 1:
            what = f"the columns {_some(odd)} are indices or have no names; pass "
            how = f"index={odd!r} to leave them out, or columns= with all features to keep them"
        raise ContentsError(f"{origin}: {what}{how}")
    if reading.names is None:
        return Selection(features, label, tuple(own))
    missing = [n for n in reading.names if n not in own]
    more = [n for n in own if n not in reading.names]
    if missing or (more and not reading.lenient):
        who = "the model was trained on" if reading.lenient else "the first file has"
        lines = f"lacks {_some(missing)}" if missing else ""
        lines += " and " if missing and more else ""
        lines += f"has {_some(more)} besides" if more else ""
        raise ContentsError(
            f"{origin}: its columns are not those that {who}: it {lines}; rename its columns, or "
            f"name those that are wanted"
        )
    features = [names.index(n) for n in reading.names]
    return Selection(features, label, tuple(reading.names), tuple(more))


def _check_known(
    options: TableOptions, names: Sequence[str] | None, width: int, origin: object
) -> None:
    """Refuse columns that are not there, with a hint where commas stand between names."""
    known = range(-width, width)
    unknown: list[Column] = []
    hints: list[str] = []
    for option in ("label", "columns", "drop", "index"):
        given = _several(getattr(options, option))
        lost = [c for c in given if c not in (known if isinstance(c, int) else names or ())]
        parts = {c: listed(str(c), names or ()) for c in lost}
        if any(parts.values()) and option != "label":
            meant = [name for c in given for name in parts.get(c, [c])]
            hints.append(f"; the names are {option}={meant!r}")
        unknown += lost
    if not unknown:
        return
    has = f"{width} columns" if names is None else f"the columns {_some(names)}"
    if names is None and any(isinstance(column, str) for column in unknown):
        hints = ["; pass its number, or header=True"]
        has = "no names of columns"
    elif names is not None and all(isinstance(column, int) for column in unknown):
        has = f"{width} columns"
    which = f"column{'s' if len(unknown) > 1 else ''} {', '.join(map(repr, unknown))}"
    raise ContentsError(f"{origin} has no {which}; it has {has}{''.join(hints)}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
