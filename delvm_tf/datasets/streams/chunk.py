"""Rows of a file, some at a time, and the checks of all formats."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.dataset import Array
from delvm_tf.datasets.streams.reading import Reading

CHUNK_BYTES = 2**20  # of rows that are read at a time
DTYPES = (
    "float32", "float64", "float16", "uint8", "uint16", "uint32", "uint64", "int8", "int16",
    "int32", "int64",
)  # fmt: skip
EXACT = 2**53  # float64 represents every integer below it, and rounds larger ones
ROUNDED = "an integer that float64 cannot represent"
INEXACT = f"{ROUNDED}; leave the column out with drop= if it numbers the rows"


class Chunk(NamedTuple):
    """Some rows.

    Attributes:
        x: (rows, ...).
        y: labels, (rows,), if the file has any and they are wanted.
        names: of the columns of x, if they have any.
        left_out: names of columns of the file that were not requested.
    """

    x: Array
    y: Array | None
    names: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()


Reader = Callable[[Path, Reading], Iterator[Chunk]]


class Form(NamedTuple):
    """What every row must be: its shape, the type of its values, and the names of its columns."""

    shape: tuple[int, ...]
    dtype: str
    names: tuple[str, ...] | None = None


def form_of(chunk: Chunk, origin: object) -> Form:
    """The form of a first chunk; ContentsError unless it has rows of real numbers."""
    if chunk.x.dtype.name not in DTYPES:
        raise ContentsError(
            f"{origin} holds values of type {chunk.x.dtype}; expected one of {', '.join(DTYPES)}"
        )
    if chunk.x.ndim < 2:
        raise ContentsError(
            f"{origin} has single numbers, expected rows (rows, ...); save x[:, None] if each is "
            f"a row of one value"
        )
    return Form(tuple(chunk.x.shape[1:]), chunk.x.dtype.name, chunk.names)


def rows_in_chunk(row_bytes: int) -> int:
    """Rows to read at a time."""
    return max(1, CHUNK_BYTES // max(1, row_bytes))


def checked(
    chunks: Iterator[Chunk], form: Form | None, labels: bool, origin: object
) -> Iterator[Chunk]:
    """The chunks as they are read, with zeros for labels that are not wanted.

    Without a form, that of the first row counts. ContentsError says what is wrong in which row.
    """
    first = 0
    try:
        for chunk in chunks:
            x, y, names, _ = chunk
            form = form or form_of(chunk, origin)
            if tuple(x.shape[1:]) != form.shape or x.dtype.name != form.dtype:
                raise ContentsError(
                    f"{origin}: rows have shape {tuple(x.shape[1:])} and type {x.dtype}, expected "
                    f"{form.shape} and {form.dtype} as at first; convert the file or leave it out"
                )
            if names != form.names:
                raise ContentsError(
                    f"{origin}: the columns are {names}, expected {form.names} as in the first "
                    f"file (None: without names); write all files alike"
                )
            if x.dtype.kind == "f":
                finite = np.isfinite(x).reshape(len(x), -1)
                if not finite.all():
                    row, column = (int(k[0]) for k in np.nonzero(~finite))
                    where = f", column {names[column]!r}," if names else ""
                    raise ContentsError(
                        f"{origin}: row {first + row}{where} has NaN or infinite values; fill or "
                        f"remove it"
                    )
            if labels and y is None:
                raise ContentsError(f"{origin} has no labels; pass labels=False to do without")
            whole = np.zeros(len(x), "int64") if y is None else whole_labels(y, first, origin)
            if len(whole) != len(x):
                raise ContentsError(f"{origin}: {len(whole)} labels for {len(x)} rows")
            first += len(x)
            yield chunk._replace(y=whole)
    except (ContentsError, ImportError):
        raise
    except Exception as error:  # damage shows in zipfile, zlib, TensorFlow, NumPy ...
        raise unreadable(origin, first, error) from error


def unreadable(origin: object, row: int, error: Exception) -> ContentsError:
    """What to say of a file in which reading stopped after a row, by an error of any kind."""
    return ContentsError(
        f"{origin} cannot be read after row {row} ({type(error).__name__}: {error}); it is "
        f"damaged or another format"
    )


def whole_labels(y: Array, first: int, origin: object) -> Array:
    """Integers, booleans or whole numbers as int64 labels, (rows,); ContentsError for others.

    `first` is the number of the first row, for the message.
    """
    y = np.asarray(y)
    if y.ndim != 1 or y.dtype.kind not in "biuf":
        raise ContentsError(
            f"{origin}: labels of shape {y.shape} and type {y.dtype}, expected one integer a row; "
            f"number the classes 0, 1, ..."
        )
    if y.dtype.kind == "f":
        wrong = ~np.isfinite(y) | (y != np.rint(y)) | (np.abs(y) >= EXACT)
    else:
        wrong = y > np.iinfo("int64").max if y.dtype == np.uint64 else np.zeros(len(y), bool)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ContentsError(
            f"{origin}: the label of row {first + row} is {y[row]}, not an integer; labels are "
            f"classes 0, 1, ...: choose another column, or make classes of these values"
        )
    return y.astype("int64")


def check_unmasked(x: object, origin: object) -> None:
    """Refuse masked values, which `np.asarray` would take for data."""
    if np.ma.is_masked(x):
        raise ContentsError(f"{origin} has masked values; fill them or remove their rows")


def rows_of(
    file: Path, reader: Reader, shape: tuple[int, ...], reading: Reading
) -> Iterator[tuple[int, Chunk]]:
    """The rows of a file as (rows, *shape), some at a time with the number of the first.

    Raises:
        ContentsError: if the file is damaged, has no rows, or rows of another size.
    """
    number = 0
    for chunk in checked(reader(file, reading), None, False, file):
        x = chunk.x
        if x.shape[1:] not in (shape, (math.prod(shape),)):
            hint = _hint(chunk, shape)
            raise ContentsError(f"{file}: rows have shape {x.shape[1:]}, expected {shape}{hint}")
        yield number, chunk._replace(x=x.reshape(-1, *shape))
        number += len(x)
    if not number:
        raise ContentsError(f"{file} has no rows")


def _hint(chunk: Chunk, shape: tuple[int, ...]) -> str:
    """What to do about rows that have another shape."""
    if chunk.names is not None:
        some = ", ".join(chunk.names[:20])
        return f"; its columns are {some}: choose those of the model with columns= or drop="
    if chunk.x.ndim != 4:
        return ""
    if len(shape) == 3:
        return " (height, width, channels); resize or convert these images"
    return "; these are images, and the model takes rows of other values"
