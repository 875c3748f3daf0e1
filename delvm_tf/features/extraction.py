"""Patches of images at random places."""

from typing import Any

import numpy as np


def check_images(images: Any, size: int) -> np.ndarray:
    """Images as an array, if patches of `size` fit into them.

    Raises:
        ValueError: for another shape than (n, height, width, channels), no images, or a size that
            does not fit.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.size == 0:
        raise ValueError(
            f"images must have shape (n, height, width, channels) and be at least one, got "
            f"{images.shape}"
        )
    if not 1 <= size <= min(images.shape[1:3]):
        raise ValueError(
            f"the patch size must lie between 1 and the sides of the images, "
            f"{images.shape[1]} and {images.shape[2]}, got {size!r}"
        )
    return images


def sample_patches(images: Any, size: int, count: int, seed: int) -> np.ndarray:
    """Square patches, each from a random image and place, (count, size·size·channels) float32.

    Args:
        images: (n, height, width, channels), of any real type.
        size: side of a patch.
        count: how many.
        seed: of images and places.

    Raises:
        ValueError: for images of another shape, or a size or count out of range.
    """
    images = check_images(images, size)
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
