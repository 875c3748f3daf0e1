"""Tables of results: over methods and seeds, as markdown, as CSV and on the screen."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]  # a method's figures under one seed: method, seed and named numbers

FOLDED = 42  # width to which columns of words may be narrowed


def summarize(
    rows: Sequence[Row], figures: Sequence[str], digits: int | None = None
) -> pd.DataFrame:
    """Mean and, over several seeds, standard deviation of each figure of each method.

    Args:
        rows: one for each method and seed, with the keys `method` and those in `figures`.
        figures: names of the numbers to summarise.
        digits: decimals; if not given, 4, and 1 of figures above 2.

    Returns:
        Texts such as `0.9931 ± 0.0012`, methods in order of appearance by figures. Where a seed has
        no number (NaN), how many have is said.
    """
    frame = pd.DataFrame(rows)
    groups = frame.groupby("method", sort=False)
    decimals = {f: (1 if frame[f].max() > 2 else 4) if digits is None else digits for f in figures}
    return pd.DataFrame({f: groups[f].agg(_mean_std, digits=decimals[f]) for f in figures})


def _mean_std(values: pd.Series, digits: int) -> str:
    known = values.dropna()
    if known.empty:
        return "–"
    text = f"{known.mean():.{digits}f}"
    if len(known) > 1:
        text += f" ± {known.std():.{digits}f}"
    return text if len(known) == len(values) else f"{text} ({len(known)} of {len(values)} seeds)"


def markdown_table(frame: pd.DataFrame) -> str:
    """A frame as a markdown table; an index that has a name is the first column."""
    lines = _texts(frame)
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join("| " + " | ".join(map(_escaped, line)) + " |\n" for line in lines)


def _escaped(cell: str) -> str:
    return " ".join(cell.replace("|", "\\|").split())


def csv_table(rows: Sequence[Row]) -> str:
    """All rows as CSV with a header.

    Raises:
        ValueError: if rows have other columns than the first.
    """
    for row in rows:
        if different := sorted(set(row) ^ set(rows[0])):
            raise ValueError(
                f"the rows of a table must have the same columns, and {row.get('method', row)!r} "
                f"differs from the first row in {', '.join(different)}"
            )
    frame = pd.DataFrame(rows, dtype=object)  # or whole numbers beside gaps become broken ones
    return frame.to_csv(index=False, na_rep="nan", lineterminator="\n")


def print_table(
    console: Console, title: str, frame: pd.DataFrame, left: Sequence[str] = ()
) -> None:
    """Show a frame; one that is too wide for the console as several tables below each other.

    Args:
        console: where to.
        title: above the table.
        frame: what to show; its first column, or its index if that has a name, stands in each part.
        left: columns of words, which are set to the left and broken where they must be.
    """
    head, *body = _texts(frame)
    widths = _widths([head, *body])
    narrow = [min(w, FOLDED) if name in left else w for name, w in zip(head, widths, strict=True)]
    room = console.width - 1 - sum(narrow[1:])
    narrow[0] = min(narrow[0], max(room, FOLDED))
    parts: list[list[int]] = [[]]
    for k in range(1, len(head)):
        used = 1 + narrow[0] + sum(narrow[j] for j in parts[-1])
        if parts[-1] and used + narrow[k] > console.width:
            parts.append([])
        parts[-1].append(k)
    for part in parts:
        table = Table(title=title if part is parts[0] else None)
        table.add_column(Text(head[0]), no_wrap=narrow[0] == widths[0])
        for k in part:
            if head[k] in left:
                table.add_column(Text(head[k]), overflow="fold")
            else:
                table.add_column(Text(head[k]), justify="right", no_wrap=True)
        for line in body:
            table.add_row(Text(line[0]), *(Text(line[k]) for k in part))
        console.print(table)


def columns_that_fit(frame: pd.DataFrame, width: int) -> list[str]:
    """The first columns of a frame, as many as `print_table` shows in one table of this width."""
    used = 1 + pd.Series(_widths(_texts(frame))).cumsum()
    return [column for column, end in zip(frame.columns, used, strict=True) if end <= width]


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """Of each column, with what stands between columns; cells may be of several lines."""
    return [
        3 + max(Text(part).cell_len for cell in column for part in cell.split("\n"))
        for column in zip(*lines, strict=True)
    ]


def _texts(frame: pd.DataFrame) -> list[list[str]]:
    """Headings and rows."""
    if frame.index.name is not None:
        frame = frame.reset_index()
    return [[str(c) for c in line] for line in [frame.columns, *frame.itertuples(index=False)]]
