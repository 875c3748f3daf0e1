"""Some of the rows of files, which are themselves read as files are: a part at a time."""

from collections.abc import Iterator, Mapping

import numpy as np

from delvm_tf.datasets.dataset import Array
from delvm_tf.datasets.tables import TableChunk, TableFiles
from delvm_tf.datasets.tables.columns import Kind


class ChosenRows(TableFiles):
    """The rows of table files that have these numbers, in the order of the files.

    Chunks have the number of their first row before the choice.

    Args:
        whole: the files.
        rows: numbers of rows among those of all files, ascending, (n,).
    """

    def __init__(self, whole: TableFiles, rows: np.ndarray):
        self._whole, self._rows = whole, rows
        self.files, self.names = whole.files, whole.names

    @property
    def kinds(self) -> dict[str, str]:
        """What each column holds in all rows."""
        return self._whole.kinds

    def with_kinds(self, kinds: Mapping[str, Kind]) -> "ChosenRows":
        """The same rows with columns that are known."""
        return ChosenRows(self._whole.with_kinds(kinds), self._rows)

    def batches(self, rows: int = 2**13) -> Iterator[TableChunk]:
        """The rows, those that come from at most `rows` of the files at a time."""
        first = 0
        for file, start, table, labels in self._whole.batches(rows):
            low, high = np.searchsorted(self._rows, [first, first + len(table)])
            if low < high:
                here = self._rows[low:high] - first
                chosen = table if len(here) == len(table) else table.take(here)
                yield TableChunk(file, start, chosen, None if labels is None else labels[here])
            first += len(table)

    def labels(self) -> Array | None:
        """The labels of the rows, (n,) int64; None if without."""
        labels = self._whole.labels()
        return None if labels is None else labels[self._rows]
