"""Patches of images at random places."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def check_images(shape: Sequence[int | None], size: int) -> None:
    """Whether patches of `size` fit into images of this shape.

    Raises:
        ValueError: for another shape than (n, height, width, channels), no images, or a size that
            does not fit.
    """
    if len(shape) != 4 or 0 in shape:
        raise ValueError(
            f"images must have shape (n, height, width, channels) and be at least one, got "
            f"{tuple(shape)}"
        )
    height, width = shape[1:3]
    if not 1 <= size <= min(height or 0, width or 0):
        raise ValueError(
            f"the patch size must lie between 1 and the sides of the images, {height} and {width}, "
            f"got {size!r}"
        )


def sample_patches(images: Any, size: int, count: int, seed: int) -> np.ndarray:
    """Square patches, each from a random image and place, (count, size·size·channels) float32.

    Args:
        images: (n, height, width, channels), of any real type.
        size: side of a patch.
        count: how many.
        seed: of images and places.

    Raises:
        ValueError: for images of another shape, or a size or count out of range.

    Examples:
        >>> dv.features.sample_patches(images, 3, 500, seed=0).shape
        (500, 9)
    """
    images = np.asarray(images)
    check_images(images.shape, size)
    if count < 1:
        raise ValueError(f"the number of patches must be positive, got {count!r}")
    n, height, width, _ = images.shape
    rng = np.random.default_rng(seed)
    which = rng.integers(n, size=count)[:, np.newaxis, np.newaxis]
    top = rng.integers(height - size + 1, size=count)[:, np.newaxis, np.newaxis]
    left = rng.integers(width - size + 1, size=count)[:, np.newaxis, np.newaxis]
    steps = np.arange(size)
    patches = images[which, top + steps[:, np.newaxis], left + steps]
    return patches.reshape(count, -1).astype(np.float32)
