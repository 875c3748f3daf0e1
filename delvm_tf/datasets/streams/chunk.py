"""Rows of a file, a few at a time, and the checks that all formats share."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.dataset import Array

CHUNK_BYTES = 2**20  # of rows that are read at a time
DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int64")


class Chunk(NamedTuple):
    """Some rows, (rows, ...), and their labels, (rows,) int64, if the file has any."""

    x: Array
    y: Array | None


Reader = Callable[[Path, bool], Iterator[Chunk]]


class Form(NamedTuple):
    """What every row must be: its shape, and the type of its values."""

    shape: tuple[int, ...]
    dtype: str


def form_of(chunk: Chunk, origin: object) -> Form:
    """The form of a first chunk.

    Raises:
        ContentsError: if its values are no real numbers.
    """
    if chunk.x.dtype.name not in DTYPES:
        raise ContentsError(
            f"{origin} holds values of type {chunk.x.dtype}; expected one of {', '.join(DTYPES)}"
        )
    return Form(tuple(chunk.x.shape[1:]), chunk.x.dtype.name)


def rows_in_chunk(row_bytes: int) -> int:
    """How many rows to read at a time."""
    return max(1, CHUNK_BYTES // max(1, row_bytes))


def checked(
    chunks: Iterator[Chunk], form: Form | None, labels: bool, origin: object
) -> Iterator[tuple[Array, Array]]:
    """The chunks as they are read, and zeros for labels where none are wanted.

    Without a form, rows must be as the first one is.

    Raises:
        ContentsError: what is wrong, and in which rows of what.
    """
    first = 0
    try:
        for chunk in chunks:
            x, y = chunk
            form = form or form_of(chunk, origin)
            if tuple(x.shape[1:]) != form.shape or x.dtype.name != form.dtype:
                raise ContentsError(
                    f"{origin}: rows have shape {tuple(x.shape[1:])} and type {x.dtype}, expected "
                    f"{form.shape} and {form.dtype} as in the first; convert it, or leave it out"
                )
            if x.dtype.kind == "f":
                finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
                if not finite.all():
                    row = first + int(np.flatnonzero(~finite)[0])
                    raise ContentsError(
                        f"{origin}: row {row} has NaN or infinite values; fill or remove it"
                    )
            if labels and y is None:
                raise ContentsError(f"{origin} has no labels; pass labels=False to go without")
            first += len(x)
            yield x, np.zeros(len(x), "int64") if y is None else y.astype("int64")
    except (ContentsError, ImportError):
        raise
    except Exception as error:  # damage shows in zipfile, zlib, TensorFlow, NumPy ...
        raise ContentsError(
            f"{origin} cannot be read after row {first} ({type(error).__name__}: {error}); it is "
            f"damaged or of another kind"
        ) from error


def rows_of(file: Path, reader: Reader, shape: tuple[int, ...]) -> Iterator[tuple[int, Array]]:
    """The rows of a file as (rows, *shape), a few at a time, each time after the first's number.

    Raises:
        ContentsError: naming the file, if it is damaged, has no rows, or rows of another size.
    """
    number = 0
    for x, _ in checked(reader(file, False), None, False, file):
        if x.shape[1:] not in (shape, (math.prod(shape),)):
            raise ContentsError(f"{file}: rows have shape {x.shape[1:]}, expected {shape}")
        yield number, x.reshape(-1, *shape)
        number += len(x)
    if not number:
        raise ContentsError(f"{file} has no rows")
