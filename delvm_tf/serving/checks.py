"""Checking rows and images before they are computed or sent."""

from typing import Any

import numpy as np

from delvm_tf.datasets.streams.chunk import check_unmasked
from delvm_tf.models import inputs


def checked_rows(x: Any, shape: Any) -> np.ndarray:
    """Rows as float32, (n, *shape), or an error that says what is wrong with them."""
    check_unmasked(x, "x")
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"x must be rows of one shape {shape}: {error}") from error
    with np.errstate(over="ignore"):
        array = np.asarray(inputs.check_array(array, shape, "the model"), np.float32)
    if not np.isfinite(array).all():
        raise ValueError("x has values beyond the range of float32; check its units")
    return array


def checked_images(images: Any) -> np.ndarray:
    """Encoded images as an array of bytes, (n,)."""
    if isinstance(images, bytes | str) or not all(isinstance(i, bytes) for i in images):
        raise TypeError("expected a list of the bytes of image files, [path.read_bytes(), ...]")
    if not len(images):
        raise ValueError("got an empty list of images")
    array = np.empty(len(images), object)
    array[:] = list(images)
    return array
