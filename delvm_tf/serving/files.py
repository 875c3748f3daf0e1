"""Rows of files as a served model takes them: by names of columns, and in its units."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams import csv_table
from delvm_tf.datasets.streams.chunk import Chunk, Reader, rows_of
from delvm_tf.datasets.streams.images import in_units
from delvm_tf.datasets.streams.reading import Reading, TableOptions
from delvm_tf.datasets.streams.stream import TABLES, is_of_images
from delvm_tf.datasets.tables import TableFiles
from delvm_tf.datasets.tables.sources import source_of
from delvm_tf.inputs.refusals import RefusedColumnsError
from delvm_tf.schema import Schema, arrow
from delvm_tf.serving.model_card import ModelCard


class Rows(NamedTuple):
    """Some rows of a file.

    Attributes:
        first: number of the first one in the file, from 0; headers and blank lines have none.
        x: (rows, *shape), or a table of the columns of a model's schema.
        notes: what the reader of the scores should know of how columns were matched.
    """

    first: int
    x: Any
    notes: tuple[str, ...]


def rows_for(
    card: ModelCard, file: Path, reader: Reader, table: TableOptions | None = None
) -> Iterator[Rows]:
    """The rows of a file for a model, a few at a time.

    Columns of a table are matched by the names in the card, and others are left out. Where the
    table or the model has no names, their number must fit, and they are taken in order. Images are
    scaled to the units of the model by its `white`. A model with a schema takes the columns of a
    table as they are: text stays text, and what is no number is an error.

    Raises:
        ContentsError: naming the file, if it is damaged, has no rows, lacks columns, or has rows
            of another size or unclear meaning.
    """
    if card.schema is not None and reader in TABLES:
        yield from _cells_of(card.schema, file, reader, table or TableOptions())
        return
    reading = Reading(table=table or TableOptions(), names=card.columns, lenient=True)
    pictures = is_of_images(reader)
    for first, chunk in rows_of(file, reader, card.shape, reading):
        x, notes = chunk.x, _notes(card.columns, chunk)
        if pictures and card.white is not None:
            if card.white != np.iinfo(x.dtype).max:
                notes += (f"pixels are scaled so that white is {card.white:g}, as the card says",)
            try:
                x = in_units(x, card.white)
            except ContentsError as error:
                raise ContentsError(f"{file}: {error}") from error
        yield Rows(first, x, notes)


def _cells_of(schema: Schema, file: Path, reader: Reader, options: TableOptions) -> Iterator[Rows]:
    kinds = schema.kinds
    if isinstance(options.columns, tuple) and {*options.columns} != {*kinds}:
        raise ValueError(
            f"columns must be those of the model, or be left out: {_some(schema.names)}"
        )
    options = replace(options, columns=tuple(kinds), label=None, drop=(), index=())
    source = source_of(file, options, reader is csv_table.chunks, kinds)
    notes = _left_out(tuple(name for name in source.names if name not in kinds))
    number = 0
    for chunk in TableFiles([source], options, kinds).batches():
        try:
            schema.check_kinds(chunk.table)
        except RefusedColumnsError as error:
            raise ContentsError(f"{file}: {error}") from error
        missing = arrow.missing_cells(chunk.table)
        if len(bad := np.flatnonzero(missing > schema.most_missing)):
            raise ContentsError(
                f"{file}: row {number + int(bad[0])} lacks {missing[bad[0]]} of the "
                f"{len(kinds)} cells, and the model takes rows that lack {schema.most_missing}; "
                f"fill or remove it"
            )
        yield Rows(number, chunk.table, notes)
        number += len(chunk.table)
    if not number:
        raise ContentsError(f"{file} has no rows")


def _left_out(names: tuple[str, ...]) -> tuple[str, ...]:
    return (f"left out, for the model has no such columns: {_some(names)}",) if names else ()


def _notes(expected: tuple[str, ...] | None, chunk: Chunk) -> tuple[str, ...]:
    notes = [*_left_out(chunk.left_out)]
    if chunk.names is None and expected is not None:
        notes.append(
            f"files without names of columns are read in the order of the model's: "
            f"{_some(expected)}"
        )
    if chunk.names is not None and expected is None:
        notes.append(
            f"the model has no names of columns, and takes those of the files in the order in "
            f"which they stand: {_some(chunk.names)}"
        )
    return tuple(notes)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:20]) + (f", ... ({len(names)})" if len(names) > 20 else "")
