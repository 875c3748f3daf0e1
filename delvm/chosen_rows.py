"""Some of the rows of files, which are themselves read as files are: a part at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.dataset import Array
from delvm_tf.datasets.tables import TableChunk, TableFiles
from delvm_tf.datasets.tables.columns import Kind
from delvm_tf.inputs.refusals import Refusal


class ChosenRows(TableFiles):
    """The rows of table files that have these numbers, in the order of the files.

    Chunks have the number of their first row before the choice.

    Args:
        whole: the files.
        rows: numbers of rows among those of all files, ascending, (n,).
        abnormal: which of all rows are; None without labels.
    """

    def __init__(self, whole: TableFiles, rows: np.ndarray, abnormal: np.ndarray | None = None):
        self._whole, self._rows, self._abnormal = whole, rows, abnormal
        self.files, self.names = whole.files, whole.names

    @property
    def kinds(self) -> dict[str, str]:
        """What each column holds in all rows."""
        return self._whole.kinds

    def with_kinds(self, kinds: Mapping[str, Kind]) -> "ChosenRows":
        """The same rows with columns that are known."""
        return ChosenRows(self._whole.with_kinds(kinds), self._rows, self._abnormal)

    def without(self, names: Sequence[str]) -> "ChosenRows | None":
        """The same rows with fewer columns; None if none is left."""
        whole = self._whole.without(names)
        return None if whole is None else ChosenRows(whole, self._rows, self._abnormal)

    def refusing(self, refusals: Iterable[Refusal]) -> ContentsError:
        """The error of the files."""
        return self._whole.refusing(refusals)

    def batches(self, rows: int = 2**13) -> Iterator[TableChunk]:
        """The rows, those that come from at most `rows` of the files at a time."""
        first = 0
        labels = self.labels()
        for file, start, table, _ in self._whole.batches(rows):
            low, high = np.searchsorted(self._rows, [first, first + len(table)])
            if low < high:
                here = self._rows[low:high] - first
                chosen = table if len(here) == len(table) else table.take(here)
                of_these = None if labels is None else labels[low:high]
                yield TableChunk(file, start, chosen, of_these)
            first += len(table)

    def labels(self) -> Array | None:
        """1 for each abnormal row and 0 for the others, (n,) int64; None without labels."""
        return None if self._abnormal is None else self._abnormal[self._rows].astype(np.int64)
