"""Checking rows and images before they are computed or sent."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from delvm_tf.inputs import batches as inputs


def checked_rows(x: Any, shape: Any) -> np.ndarray:
    """Rows as float32, (n, *shape), or an error that says what is wrong."""
    with np.errstate(over="ignore"):
        array = np.asarray(inputs.check_array(x, shape, "the model"), np.float32)
    if not np.isfinite(array).all():
        raise ValueError("x has values beyond the range of float32; check the units")
    return array


def checked_images(images: Any) -> np.ndarray:
    """Encoded images as an array of bytes, (n,)."""
    if isinstance(images, bytes | str) or not all(isinstance(i, bytes) for i in images):
        raise TypeError("expected a list of image files as bytes, [path.read_bytes(), ...]")
    if not len(images):
        raise ValueError("got an empty list of images")
    array = np.empty(len(images), object)
    array[:] = list(images)
    return array


def in_order(row: Any, columns: Sequence[str] | None) -> Any:
    """The values of a mapping, named tuple or pandas Series in the order of the model's columns.

    Rows without names are returned as they are.

    Raises:
        ValueError: if a column is missing, or the model has no names of columns.
    """
    row = row._asdict() if hasattr(row, "_asdict") else row
    if not hasattr(row, "keys"):
        return row
    names = list(row.keys())
    if columns is None:
        raise ValueError(
            f"the row has names, {names[:20]}, but the model has none; give an array in the order "
            f"of the training data"
        )
    if missing := [name for name in columns if name not in names]:
        raise ValueError(f"the row has no {', '.join(missing[:20])}; it has {names[:20]}")
    return np.array([row[name] for name in columns])
