"""Codes of all patches of an image, summed over parts of the image."""

from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.features.encoders import Encoder
from delvm_tf.features.extraction import check_images
from delvm_tf.features.whitening import PatchWhitening


class PatchFeatures:
    """Images to features: codes of all patches at stride 1, summed over grid × grid parts.

    Cost: 2·d·codes multiply-adds per patch. Memory: `images_at_once` images' patches and codes,
    some 10 MB per image for 1,600 codes, whatever the number of images.

    Args:
        size: side of a patch.
        whiten: of raw patches.
        encode: whitened patches (n, d) to codes (n, codes).
        grid: parts along each side; 2 for quadrants.
        images_at_once: images computed at a time.

    Raises:
        ValueError: for a grid or a number of images below one.

    Example:
        >>> patches = sample_patches(x_train, 6, 100_000, seed=0)
        >>> whiten = PatchWhitening(patches)
        >>> filters = kmeans(whiten(patches).numpy(), 400, seed=0)
        >>> features = PatchFeatures(6, whiten, make_encoder("triangle", filters))
        >>> features(x_train[:500]).shape
        (500, 1600)
    """

    def __init__(
        self,
        size: int,
        whiten: PatchWhitening,
        encode: Encoder,
        grid: int = 2,
        images_at_once: int = 4,
    ):
        if grid < 1 or images_at_once < 1:
            raise ValueError(
                f"grid and images_at_once must be positive, got {grid!r} and {images_at_once!r}"
            )
        self.size = size
        self.whiten = whiten
        self.encode = encode
        self.grid = grid
        self.images_at_once = images_at_once

    def __call__(self, images: Any) -> np.ndarray | tf.Tensor:
        """Features, (n, grid·grid·codes) float32, of images (n, height, width, channels).

        Of a tensor of a graph they are a part of that graph.

        Raises:
            ValueError: for images of another shape, or too small for the patches or the grid.
        """
        symbolic = tf.is_tensor(images) and not tf.executing_eagerly()
        images = images if symbolic else np.asarray(images)
        check_images(images.shape, self.size)
        positions = [side - self.size + 1 for side in images.shape[1:3]]
        if self.grid > min(positions):
            raise ValueError(
                f"a grid of {self.grid} × {self.grid} parts needs as many places along each side, "
                f"but there are {positions[0]} × {positions[1]} patches"
            )
        if symbolic:
            return self._features(images)
        chunks = (
            images[start : start + self.images_at_once]
            for start in range(0, len(images), self.images_at_once)
        )
        return np.concatenate([self._compiled(tf.constant(chunk)).numpy() for chunk in chunks])

    def _features(self, images: tf.Tensor) -> tf.Tensor:
        square = [1, self.size, self.size, 1]
        patches = tf.image.extract_patches(
            tf.cast(images, tf.float32), square, [1, 1, 1, 1], [1, 1, 1, 1], "VALID"
        )
        _, rows, columns, d = patches.shape
        codes = self.encode(self.whiten(tf.reshape(patches, (-1, d))))
        # A product with zeros and ones is the fastest way to sum, and the sum is exact to rounding.
        codes = tf.reshape(codes, (-1, rows * columns, codes.shape[-1]))
        pooled = tf.matmul(membership(rows, columns, self.grid), codes)
        return tf.reshape(pooled, (tf.shape(images)[0], -1))

    # Of the class, for a graph can be neither copied nor pickled.
    _compiled = tf.function(_features, autograph=False, reduce_retracing=True)


def membership(rows: int, columns: int, grid: int) -> np.ndarray:
    """Which part each place belongs to, (grid·grid, rows·columns) of zeros and ones.

    Parts are as equal as they can be; the first ones are larger.
    """
    along = [
        np.repeat(np.eye(grid, dtype=np.float32), [len(p) for p in places], axis=1)
        for places in (np.array_split(np.arange(side), grid) for side in (rows, columns))
    ]
    return np.kron(*along)
