"""Contrast normalisation of single examples: preprocessing, since it cannot be undone."""

from typing import Any

import numpy as np


def normalize_contrast(x: Any, offset: float = 0.0) -> np.ndarray:
    """(x − mean x) / √(var x + offset), with mean and variance over the values of each example.

    Brightness and contrast of an image are lost, so this is no `InputNormalization`, which a
    reconstruction must be taken back through. A constant example becomes 0.

    Args:
        x: examples, (n, ...), of any real type.
        offset: added to the variance, in squared units of x.

    Returns:
        (n, ...) float32, with mean 0 and, for offset 0, variance 1 each.

    Raises:
        ValueError: for an array without examples or without values in them, or a negative offset.

    Example:
        >>> model.adapt(normalize_contrast(data.x_train))
    """
    x = np.asarray(x)
    if x.ndim < 2 or x.size == 0:
        raise ValueError(f"expected examples of shape (n, ...), got shape {x.shape}")
    if not offset >= 0:
        raise ValueError(f"offset must not be negative, got {offset!r}")
    axes = tuple(range(1, x.ndim))
    centred = x.astype(np.float32)
    centred -= centred.mean(axis=axes, keepdims=True)
    variance = np.square(centred).mean(axis=axes, keepdims=True) + np.float32(offset)
    return centred / np.sqrt(np.where(variance > 0, variance, 1))
