"""Tables of results over methods and seeds."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Row = Mapping[str, Any]  # a method's figures under one seed: method, seed and named numbers


def summarize(rows: Sequence[Row], figures: Sequence[str]) -> dict[str, dict[str, str]]:
    """Mean and, over several seeds, standard deviation of each figure of each method.

    Args:
        rows: one for each method and seed, with the keys `method` and those in `figures`.
        figures: names of the numbers to summarise.

    Returns:
        By method, in order of appearance, each figure as text: `0.9931 ± 0.0012`.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    digits = {figure: 1 if max(row[figure] for row in rows) > 2 else 4 for figure in figures}
    return {
        method: {
            figure: _mean_std(
                [row[figure] for row in rows if row["method"] == method], digits[figure]
            )
            for figure in figures
        }
        for method in methods
    }


def _mean_std(values: Sequence[float], digits: int) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def markdown_table(summary: Mapping[str, Mapping[str, str]]) -> str:
    """A summary as a markdown table, methods in rows."""
    figures = list(next(iter(summary.values())))
    lines = ["| method | " + " | ".join(figures) + " |", "|---" * (len(figures) + 1) + "|"]
    for method, values in summary.items():
        lines.append(f"| {method} | " + " | ".join(values[f] for f in figures) + " |")
    return "\n".join(lines) + "\n"


def csv_table(rows: Sequence[Row]) -> str:
    """All rows as CSV with a header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
