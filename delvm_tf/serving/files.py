"""Rows of files as a served model takes them: by names of columns, and in its units."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import Chunk, Reader, rows_of
from delvm_tf.datasets.streams.images import in_units
from delvm_tf.datasets.streams.reading import Reading, TableOptions
from delvm_tf.datasets.streams.stream import is_of_images
from delvm_tf.serving.model_card import ModelCard


class Rows(NamedTuple):
    """Some rows of a file.

    Attributes:
        first: number of the first one in the file, from 0; headers and blank lines have none.
        x: (rows, *shape).
        notes: what the reader of the scores should know of how columns were matched.
    """

    first: int
    x: np.ndarray
    notes: tuple[str, ...]


def rows_for(
    card: ModelCard, file: Path, reader: Reader, table: TableOptions | None = None
) -> Iterator[Rows]:
    """The rows of a file for a model, a few at a time.

    Columns of a table are matched by the names in the card, and others are left out. Where the
    table or the model has no names, their number must fit, and they are taken in order. Images are
    scaled to the units of the model by its `white`.

    Raises:
        ContentsError: naming the file, if it is damaged, has no rows, lacks columns, or has rows
            of another size or unclear meaning.
    """
    reading = Reading(table=table or TableOptions(), names=card.columns, lenient=True)
    pictures = is_of_images(reader)
    for first, chunk in rows_of(file, reader, card.shape, reading):
        x, notes = chunk.x, _notes(card.columns, chunk)
        if pictures and card.white is not None:
            notes += (f"pixels are scaled so that white is {card.white:g}, as the card says",)
            try:
                x = in_units(x, card.white)
            except ContentsError as error:
                raise ContentsError(f"{file}: {error}") from error
        yield Rows(first, x, notes)


def _notes(expected: tuple[str, ...] | None, chunk: Chunk) -> tuple[str, ...]:
    notes = []
    if chunk.left_out:
        notes.append(f"left out, for the model has no such columns: {_some(chunk.left_out)}")
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
