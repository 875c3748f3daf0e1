"""Codes of the patches of an image, averaged over parts, by filters that know no direction."""

from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.detection.images.areas import area_means, shrunk
from delvm_tf.detection.images.moved_filters import moved_filters
from delvm_tf.detection.images.symmetries import orbit, patch_orders
from delvm_tf.detection.levels.compiled import Compiled
from delvm_tf.detection.registry import register
from delvm_tf.features.extraction import sample_patches

PATCHES = 30_000  # by which patches are whitened
FILTERS = 32  # each in eight versions
GRID = 4  # parts along each side
THRESHOLD = 0.25  # of the codes, in units of whitened patches
LARGEST = 6  # side of a patch
NOISE = 10 / 255**2  # variance of a flat patch, as a part of the squared range of values
RIDGE = 0.1  # added to the eigenvalues of the covariance
AT_ONCE = 16  # images coded at a time


def patch_side(height: int, width: int) -> int:
    """Side of the patches of images of a size: a quarter of the shorter side and one, at most 6."""
    return min(LARGEST, 1 + min(height, width) // 4)


@register()
class PooledCodes:
    """h = mean over a part of max(0, zᵀw − 0.25), for 4 × 4 parts and 256 unit filters w.

    z = (q − m)U(Λ + 0.1)^(−½)Uᵀ is a whitened patch, with q = (p − mean p)/√(var p + ν), their mean
    m and covariance UΛUᵀ, and ν = 10 on a range of 255. The filters are 32 `moved_filters`, each in
    the eight versions that turns and mirrors make of it; mean and covariance are means over these
    too. So the codes of a turned or mirrored image are those of the image in another order
    (`code_orders`), and need not be computed. Source of the rest: Coates, Lee and Ng (2011).

    Cost: 512·d multiply-adds for each place of a patch of d values. Memory: that of 16 images'
    patches and codes, some 20 MB for 32 × 32 pixels, whatever the number of images.

    Args:
        images: of the training, (n, height, width, channels) of any real type.
        sides: height and width that they are shrunk to.
        span: the range of their values.
        seed: of patches and filters.
    """

    def __init__(self, images: np.ndarray, sides: tuple[int, int], span: float, seed: int):
        self.sides = sides
        self.size = patch_side(*sides)
        self.noise = NOISE * span**2 if span > 0 else 1.0
        patches = self._drawn(images, seed)
        q = patches - patches.mean(axis=1, keepdims=True)
        q /= np.sqrt(np.square(q).mean(axis=1, keepdims=True) + self.noise)
        mean, whitening = self._whitening(q)
        filters = moved_filters((q - mean) @ whitening, FILTERS, self.size, seed)
        kernel = orbit(filters, self.size).T
        # All of it is one product with the patch, its mean taken off, and a shift.
        self.kernel = tf.Variable(whitening @ kernel, dtype=tf.float32, trainable=False)
        shift = -(mean @ whitening) @ kernel - THRESHOLD
        self.shift = tf.Variable(shift, dtype=tf.float32, trainable=False)

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Codes, (n, 16, 256) float32, of images (n, height, width, channels) of a float type."""
        if images.shape[0] is not None and images.shape[0] <= AT_ONCE:
            return self._codes(images)
        count = -(-tf.shape(images)[0] // AT_ONCE)
        parts = tf.TensorArray(
            tf.float32, count, infer_shape=False,
            element_shape=(None, GRID * GRID, self.kernel.shape[1]),
        )  # fmt: skip

        def step(k: tf.Tensor, parts: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            some = images[AT_ONCE * k : AT_ONCE * (k + 1)]
            return k + 1, parts.write(k, self._codes(some))

        _, parts = tf.while_loop(
            lambda k, _: k < count, step, (tf.constant(0), parts), parallel_iterations=1
        )
        return tf.ensure_shape(parts.concat(), (None, GRID * GRID, self.kernel.shape[1]))

    compiled = Compiled(__call__)

    def _codes(self, images: tf.Tensor) -> tf.Tensor:
        square = [1, self.size, self.size, 1]
        images = shrunk(tf.cast(images, tf.float32), self.sides)
        patches = tf.image.extract_patches(images, square, [1] * 4, [1] * 4, "VALID")
        _, rows, columns, d = patches.shape
        p = tf.reshape(patches, (-1, d))
        p -= tf.reduce_mean(p, axis=1, keepdims=True)
        variance = tf.reduce_mean(tf.square(p), axis=1, keepdims=True)
        p *= tf.math.rsqrt(variance + self.noise)
        codes = tf.nn.relu(tf.matmul(p, self.kernel) + self.shift)
        codes = tf.reshape(codes, (-1, rows * columns, codes.shape[1]))
        # A product is the fastest way to average.
        parts = np.kron(area_means(rows, GRID), area_means(columns, GRID))
        return tf.matmul(np.broadcast_to(parts, (1, *parts.shape)), codes)

    def _drawn(self, images: np.ndarray, seed: int) -> np.ndarray:
        """Patches of shrunk images, (PATCHES, d) float64."""
        rng = np.random.default_rng(seed)
        some = images[np.sort(rng.permutation(len(images))[:PATCHES])]
        parts = [
            shrunk(tf.cast(some[k : k + 1024], tf.float32), self.sides).numpy()
            for k in range(0, len(some), 1024)
        ]
        small = np.concatenate(parts)
        return sample_patches(small, self.size, PATCHES, seed).astype(np.float64)

    def _whitening(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and whitening matrix of patches and all their versions, (d,) and (d, d)."""
        mean, covariance = q.mean(axis=0), np.cov(q, rowvar=False, bias=True)
        orders = patch_orders(self.size, q.shape[1])
        mean = np.mean([mean[order] for order in orders], axis=0)
        covariance = np.mean([covariance[np.ix_(order, order)] for order in orders], axis=0)
        eigenvalues, vectors = np.linalg.eigh(covariance)
        return mean, (vectors / np.sqrt(np.maximum(eigenvalues, 0) + RIDGE)) @ vectors.T


def halves(codes: Any) -> tf.Tensor:
    """Codes of 4 × 4 parts, (n, 16, codes), as those of 2 × 2 parts, (n, 4, codes)."""
    along = area_means(GRID, 2)
    weights = np.kron(along, along)
    return tf.matmul(np.broadcast_to(weights, (1, *weights.shape)), codes)
