"""Codes of all patches of an image, summed over parts of the image."""

from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.features.encoders import Encoder
from delvm_tf.features.extraction import check_images
from delvm_tf.features.pooling import Parts, Pooling
from delvm_tf.features.whitening import PatchWhitening


class PatchFeatures:
    """Images to features: codes of all patches at stride 1, summed over parts of the image.

    A feature is sign(s)·|s|^power of a sum s. `mirrored`, s is the sum over the image and its
    mirror image, so that both have the same features; a linear classifier learns then what it
    would from either, at their mean.

    Cost: 2·d·codes multiply-adds per patch, twice that if mirrored. Memory: `images_at_once`
    images' patches and codes, some 10 MB per image for 1,600 codes, whatever the number of images.

    Args:
        size: side of a patch.
        whiten: of raw patches.
        encode: whitened patches (n, d) to codes (n, codes).
        pooling: `Parts`, `Windows`, or a number of parts along each side; 2 for quadrants.
        power: of the sums; ½ evens out how often a code comes up in one image.
        mirrored: sum over each image and its mirror image.
        images_at_once: images computed at a time.

    Raises:
        ValueError: for a power or a number of images that is not positive.

    Source: square roots of sums: Perronnin, Sánchez and Mensink (2010), Improving the Fisher
    kernel for large-scale image classification.

    Examples:
        >>> patches = dv.features.sample_patches(images, 3, 500, seed=0)
        >>> whiten = dv.features.PatchWhitening(patches)
        >>> filters = dv.features.kmeans(whiten(patches).numpy(), 20, seed=0)
        >>> encode = dv.features.make_encoder("triangle", filters)
        >>> dv.features.PatchFeatures(3, whiten, encode)(images).shape  # 20 codes in 4 quadrants
        (16, 80)
    """

    def __init__(
        self,
        size: int,
        whiten: PatchWhitening,
        encode: Encoder,
        pooling: Pooling | int = 2,
        power: float = 1.0,
        mirrored: bool = False,
        images_at_once: int = 4,
    ):
        if not power > 0 or images_at_once < 1:
            raise ValueError(
                f"power and images_at_once must be positive, got {power!r} and {images_at_once!r}"
            )
        self.size = size
        self.whiten = whiten
        self.encode = encode
        self.pooling = pooling if isinstance(pooling, Pooling) else Parts(pooling)
        self.power = float(power)
        self.mirrored = mirrored
        self.images_at_once = images_at_once

    def __call__(self, images: Any) -> np.ndarray | tf.Tensor:
        """Features, (n, parts·codes) float32, of images (n, height, width, channels).

        The codes of a part lie side by side; parts go row by row. Of a tensor of a graph the
        features are a part of that graph.

        Raises:
            ValueError: for images of another shape, or too small for the patches or the parts.
        """
        symbolic = tf.is_tensor(images) and not tf.executing_eagerly()
        images = images if symbolic else np.asarray(images)
        check_images(images.shape, self.size)
        for side in images.shape[1:3]:
            self.pooling.check(side - self.size + 1)
        if symbolic:
            return self._features(images)
        chunks = (
            images[start : start + self.images_at_once]
            for start in range(0, len(images), self.images_at_once)
        )
        return np.concatenate([self._compiled(tf.constant(chunk)).numpy() for chunk in chunks])

    def _features(self, images: tf.Tensor) -> tf.Tensor:
        sums = sums_over(self.pooling, self.codes(images))
        if self.mirrored:
            sums += sums_over(self.pooling, self.codes(tf.reverse(images, [2])))
        if self.power != 1:
            sums = power_of(sums, self.power)
        return tf.reshape(sums, (tf.shape(images)[0], -1))

    def codes(self, images: tf.Tensor) -> tf.Tensor:
        """Codes at each place, (n, rows, columns, codes), of images with room for patches."""
        square = [1, self.size, self.size, 1]
        patches = tf.image.extract_patches(
            tf.cast(images, tf.float32), square, [1, 1, 1, 1], [1, 1, 1, 1], "VALID"
        )
        _, rows, columns, d = patches.shape
        codes = self.encode(self.whiten(tf.reshape(patches, (-1, d))))
        return tf.reshape(codes, (-1, rows, columns, codes.shape[-1]))

    # Of the class, for a graph can be neither copied nor pickled.
    _compiled = tf.function(_features, autograph=False, reduce_retracing=True)


def sums_over(pooling: Pooling, codes: tf.Tensor) -> tf.Tensor:
    """Codes summed over parts, (n, rows of parts, columns of parts, codes).

    Args:
        pooling: the parts.
        codes: at each place, (n, rows, columns, codes).
    """
    rows, columns, number = codes.shape[1:]
    down, across = pooling.along(rows), pooling.along(columns)
    # A product with zeros and ones is the fastest way to sum, and the sum is exact to rounding.
    sums = tf.matmul(np.kron(down, across), tf.reshape(codes, (-1, rows * columns, number)))
    return tf.reshape(sums, (-1, len(down), len(across), number))


def power_of(sums: tf.Tensor, power: float) -> tf.Tensor:
    """sign(s)·|s|^power; of nothing the slope is zero, and not infinite."""
    return tf.sign(sums) * tf.maximum(tf.abs(sums), 1e-12) ** power
