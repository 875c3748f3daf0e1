"""Whether the first line of a .csv file names its columns."""

import re
from collections.abc import Collection
from pathlib import Path

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.csv_cells import BOOLEANS, DATE, INFINITE, INTEGER, MISSING, NUMBER
from delvm_tf.datasets.streams.csv_text import CsvText, Line
from delvm_tf.datasets.streams.reading import TableOptions
from delvm_tf.inputs.columns import listed

_SAVETXT = re.compile(r"[+-]?\d\.\d{18}e[+-]\d+")


def is_header(first: Line, options: TableOptions, path: Path) -> bool:
    """Whether the first line names the columns; see `TableOptions`."""
    if options.header is not None:
        return options.header
    cells = first.cells
    points = [cell.replace(options.decimal, ".") for cell in cells]
    kinds = {_kind(cell) for cell in points}
    if cells[0].lstrip().startswith("#"):
        raise ContentsError(
            f"{path}: line {first.number} is {_shown(first, options)!r}, apparently a "
            f"comment; remove it, or pass header=True if it names the columns"
        )
    if kinds <= {"text", ""} and "text" in kinds:
        if quoted := [c for c in cells if len(c) > 1 and c[0] == c[-1] == "'"]:
            raise ContentsError(f"{path}: {quoted[0]} is quoted by ', expected \"")
        if escaped := [c for c in cells if '\\"' in c or "\\\\" in c]:
            raise ContentsError(
                f"{path}: {escaped[0]} has backslashes as escapes, expected doubled quotes"
            )
        if len(cells) == 1 and options.decimal == "," != options.separator and "," in cells[0]:
            raise _unclear(first, options, path)  # one column of decimals, or two of integers
        return True
    if kinds <= {"number", "missing", ""} and "number" in kinds and not _may_number(points):
        return False
    raise _unclear(first, options, path)


def names_mixed_columns(text: CsvText, expected: Collection[str]) -> bool:
    """The same for columns that may hold text, as their names do.

    A first line of text names the columns if the second one has a number or a date, or if it has
    all the names that are expected; a date is no name.

    Args:
        text: the file.
        expected: names of columns of it, as far as they are known.

    Raises:
        ContentsError: if it may be either, with the option to pass.
    """
    first, second, options = text.first, text.second, text.options
    if options.header is not None:
        return options.header
    names = [cell.strip() for cell in first.cells]
    if expected and all(name in names or listed(name, names) for name in expected):
        return True
    dated = any(map(DATE.fullmatch, first.cells))
    if {_kind(cell) for cell in first.cells} <= {"text", ""} and (
        dated or (second is not None and not any(map(_is_data, second.cells)))
    ):
        raise _unclear(first, options, text.path)
    return is_header(first, options, text.path)


def _is_data(cell: str) -> bool:
    return _kind(cell.replace(",", ".")) == "number" or bool(DATE.fullmatch(cell))


def _unclear(first: Line, options: TableOptions, path: Path) -> ContentsError:
    hint = ""
    other = options.decimal != options.separator
    if other and len(first.cells) == 1 and options.decimal in first.cells[0]:  # "a,b" with ';', ','
        hint = (
            f"; or pass separator={options.decimal!r} with decimal='.' if that separates the cells"
        )
    return ContentsError(
        f"{path}: line {first.number} is {_shown(first, options)!r}, which may be names or data; "
        f"pass header=True if it names the columns, header=False if it is the first row (from a "
        f"program: --header or --no-header){hint}"
    )


def _shown(first: Line, options: TableOptions) -> str:
    return options.separator.join(first.cells[:8]) + (" ..." if len(first.cells) > 8 else "")


def _kind(cell: str) -> str:
    cell = cell.strip()
    if NUMBER.fullmatch(cell) or INFINITE.fullmatch(cell) or cell in BOOLEANS:
        return "number"
    if not cell:
        return ""
    return "missing" if cell in MISSING else "text"


def _may_number(cells: list[str]) -> bool:
    """Whether numbers may be names of columns: 0, 1, 2, ..., lags, years, wavelengths, True, False.

    Those are distinct, and integers or in order. Names do not look like numbers of `np.savetxt`.
    """
    cells = [cell.strip() for cell in cells]
    if not all(cells[1:-1]):  # only an index, or what follows a trailing comma, may lack a name
        return False
    kept = [cell for cell in cells if cell]
    if len(set(kept)) < len(kept):
        return False
    kept = [BOOLEANS.get(cell, cell) for cell in kept]
    if not all(map(NUMBER.fullmatch, kept)):
        return False
    if all(map(_SAVETXT.fullmatch, kept)):
        return False
    values = [float(c) for c in kept]
    ordered = values in (sorted(values), sorted(values, reverse=True))
    return ordered or all(map(INTEGER.fullmatch, kept))
