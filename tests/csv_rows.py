"""Rows of a .csv file, for tests of what programs write."""

import csv
from pathlib import Path


def csv_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a file, by the names of its first line."""
    with path.open() as file:
        return list(csv.DictReader(file))
