"""One file of a table: its columns, and their cells as text or as the file has typed them.

Folders called `name=value` above a file are columns of text.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import types

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.arrow_table import dataset_of
from delvm_tf.datasets.streams.chunk import unreadable
from delvm_tf.datasets.streams.csv_header import names_mixed_columns
from delvm_tf.datasets.streams.csv_text import CsvText, open_csv
from delvm_tf.datasets.streams.reading import TableOptions
from delvm_tf.datasets.tables.cells import BOOLEAN, INSTANT, NOTHING, NUMBER, POINT, TEXT, TIME

# Every column is looked at by itself, so that few rows of many columns would take long.
_ROWS_AT_ONCE, _BLOCK = 1000, 2**25
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Source:
    """A file.

    Attributes:
        path: of the file.
        content: the text of a .csv file, or a data set of pyarrow.
        names: of the columns, "" for one without.
        types: of columns that are not text yet to be read.
        index: names of columns that the file marks as an index.
        folders: values of the columns that are folders.
    """

    path: Path
    content: Any
    names: list[str]
    types: dict[str, pa.DataType]
    index: list[str]
    folders: dict[str, str]

    @property
    def whole(self) -> bool:
        """Whether all columns are text."""
        return isinstance(self.content, CsvText)

    def batches(self, wanted: list[str]) -> Iterator[dict[str, pa.Array]]:
        """The cells of some columns.

        Raises:
            ContentsError: if the file is damaged.
        """
        own = [name for name in wanted if name not in self.folders]
        own = own or self.names[:1]  # which says how many rows there are
        start = 0
        try:
            for batch in self._batches(own):
                cells = dict(zip(own, batch.columns, strict=True))
                for name in wanted:
                    if name in self.folders:
                        cells[name] = pa.repeat(pa.scalar(self.folders[name]), len(batch))
                if len(batch):
                    yield {name: cells[name] for name in wanted}
                start += len(batch)
        except ContentsError:
            raise
        except Exception as error:  # damage shows in Arrow, gzip, zlib, text ...
            raise unreadable(self.path, start, error) from error

    def text(self, wanted: list[str]) -> Iterator[tuple[int, dict[str, pa.Array]]]:
        """The cells of columns of text, with the number of their first row; of folders, one."""
        start = 0
        if {*wanted} <= self.folders.keys():
            if wanted:
                yield 0, {name: pa.array([self.folders[name]]) for name in wanted}
            return
        for cells in self.batches(wanted):
            yield start, cells
            start += len(cells[wanted[0]])

    def place(self, row: int) -> str:
        """Where a row is, for messages."""
        line = f" (line {self.content.line_of(row)})" if self.whole else ""
        return f"{self.path}: row {row}{line}"

    def _batches(self, own: list[str]) -> Iterator[Any]:
        if self.whole:
            self.content.check_blank()
            return self.content.batches([self.names.index(name) for name in own])
        return map(
            _valid,
            self.content.to_batches(
                columns=own, batch_size=2**13, batch_readahead=1, fragment_readahead=1
            ),
        )


def source_of(path: Path, options: TableOptions, csv: bool, expected: Collection[str]) -> Source:
    """The columns of a file; see `names_mixed_columns` for what is `expected`.

    Raises:
        ContentsError: if it is damaged, empty, or it is not clear whether its first line has names.
    """
    try:
        return _source_of(path, options, csv, expected)
    except ContentsError:
        raise
    except Exception as error:  # damage shows in Arrow, gzip, zlib, text ...
        raise ContentsError(f"{path} cannot be read ({error}); it is damaged") from error


def _source_of(path: Path, options: TableOptions, csv: bool, expected: Collection[str]) -> Source:
    folders = {
        name: unquote(value).replace(_NO_VALUE, "")
        for name, _, value in (part.partition("=") for part in path.parent.parts) if value
    }  # fmt: skip
    if csv:
        text = open_csv(path, options)
        if text is None:
            raise ContentsError(f"{path} is empty; remove it, or write the names of its columns")
        header = names_mixed_columns(text, [n for n in expected if n not in folders])
        line = len(options.separator.join((text.second or text.first).cells))
        text = text._replace(header=header, block=min(_ROWS_AT_ONCE * line, _BLOCK))
        names = [*map(str, range(text.width))]
        if header:
            names = [n.strip() or f"Unnamed: {k}" for k, n in enumerate(text.first.cells)]
        return Source(path, text, [*names, *folders], {}, [], folders)
    data = dataset_of(path, partitioning=None)
    schema = data.schema
    index = (schema.pandas_metadata or {}).get("index_columns", ())
    return Source(
        path, data, [*schema.names, *folders],
        {field.name: _canonical(field.type) for field in schema},
        [name for name in index if isinstance(name, str)], folders,
    )  # fmt: skip


def _valid(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose text is UTF-8 and whose codes have a value, which reading does not check."""
    batch.validate(full=True)
    return batch


def _canonical(kind: pa.DataType) -> pa.DataType:
    """One type for all that mean the same; others stay as they are."""
    if types.is_dictionary(kind):
        value = kind.value_type
        coded = types.is_integer(value) or types.is_boolean(value)  # codes of categories
        return TEXT if coded else _canonical(value)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return TEXT
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return NUMBER
    if types.is_date(kind) or types.is_timestamp(kind):
        return INSTANT if types.is_timestamp(kind) and kind.tz else POINT
    if types.is_time(kind):
        return TIME
    if types.is_duration(kind):
        return pa.duration("us")
    return {pa.bool_(): BOOLEAN, pa.null(): NOTHING}.get(kind, kind)
