"""The table that `delvm fit` is given: its rows, labels, and where each row stands."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import delvm_tf as dv
from delvm.columns import described
from delvm.protocol import read_labels
from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams import TableOptions


class Given(NamedTuple):
    """A table in memory.

    Attributes:
        table: the features, a pyarrow table.
        abnormal: which rows are, (n,) bool; None without labels.
        files: in the order of the rows.
        starts: number of the first row of each file.
        options: by which it was read.
        left_out: names of columns that are no features.
    """

    table: Any
    abnormal: np.ndarray | None
    files: list[Path]
    starts: np.ndarray
    options: TableOptions
    left_out: list[str]

    def place(self, row: int) -> tuple[str, int]:
        """The file of a row, and its number in it, from 0."""
        k = int(np.searchsorted(self.starts, row, side="right")) - 1
        return str(self.files[k]), row - int(self.starts[k])

    def summary(self) -> dict[str, Any]:
        """What was understood, as JSON."""
        label = self.options.label
        abnormal = 0 if self.abnormal is None else int(self.abnormal.sum())
        return {
            "files": [str(file) for file in self.files],
            "rows": self.table.num_rows,
            "columns": described(self.table),
            "left_out": self.left_out,
            "label": None if label is None else str(label),
            "normal": self.table.num_rows - abnormal,
            "abnormal": abnormal,
            "reading": {
                "header": self.options.header,
                "separator": self.options.separator,
                "decimal": self.options.decimal,
            },
        }


def read(pattern: str, options: TableOptions, kinds: Mapping[str, Any]) -> Given:
    """All rows of the files that fit a pattern.

    Args:
        pattern: of the files.
        options: what their columns mean.
        kinds: of columns whose cells do not show it.

    Raises:
        FileNotFoundError: if there are none.
        ContentsError: for damaged files and unclear columns; see `open_table`.
        ValueError: for labels that do not say what is abnormal.
    """
    import pyarrow as pa

    source = dv.datasets.open_table(
        pattern, options.label, options.columns, options.drop, options.index, options.header,
        options.separator, options.decimal, kinds,
    )  # fmt: skip
    chunks = list(source.batches())
    if not chunks:
        raise ContentsError(f"{source.files[0]} has no rows")
    counts = dict.fromkeys(source.files, 0)
    for chunk in chunks:
        counts[chunk.file] += len(chunk.table)
    labels = [chunk.labels for chunk in chunks if chunk.labels is not None]
    return Given(
        table=pa.concat_tables([chunk.table for chunk in chunks]),
        abnormal=read_labels(np.concatenate(labels), str(options.label)) if labels else None,
        files=list(source.files),
        starts=np.cumsum([0, *counts.values()])[:-1],
        options=options,
        left_out=[str(name) for name in options.left_out],
    )
