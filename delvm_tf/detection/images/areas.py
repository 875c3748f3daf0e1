"""Means over equal parts of an image, which may cut pixels: exact, linear, and with a gradient."""

import numpy as np
import tensorflow as tf


def area_means(length: int, parts: int) -> np.ndarray:
    """Weights of means over equal parts of a line of pixels, (parts, length) float32.

    A pixel weighs by the share of the part that lies in it; there may be more parts than pixels.
    """
    edges = np.linspace(0, length, parts + 1)
    pixels = np.arange(length)
    ends = np.minimum(edges[1:, np.newaxis], pixels + 1)
    starts = np.maximum(edges[:-1, np.newaxis], pixels)
    return (np.clip(ends - starts, 0, 1) * parts / length).astype(np.float32)


def shrunk(images: tf.Tensor, sides: tuple[int, int]) -> tf.Tensor:
    """Images, (n, height, width, channels) float32, as means over sides[0] × sides[1] areas."""
    if tuple(images.shape[1:3]) == sides:
        return images
    rows, columns = (area_means(images.shape[1 + k], sides[k]) for k in range(2))
    return tf.einsum("gi,nijc,hj->nghc", rows, images, columns)
