"""Anomaly scores of images by codes of their patches."""

from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.detection import validation
from delvm_tf.detection.criterion import BATCH_SIZE, Criterion, by_batches, symbolic
from delvm_tf.detection.images.nearness import Nearness
from delvm_tf.detection.images.pooled_codes import FILTERS, GRID, PooledCodes, halves
from delvm_tf.detection.images.symmetries import code_orders
from delvm_tf.detection.images.uprightness import Uprightness
from delvm_tf.detection.levels.compiled import Compiled
from delvm_tf.inputs.arrays import as_array

LEAST_SIDE = 8  # of images; smaller arrays are something else
LONGEST = 64  # side that is looked at
MOST_IMAGES = 10_000  # that are learned from
LEAST = 1e-6  # added to codes before their root is taken


def are_images(shape: tuple[int, ...]) -> bool:
    """Whether examples of this shape are images: two sides of 8 or more, and perhaps channels."""
    return len(shape) in (2, 3) and min(shape[:2]) >= LEAST_SIDE


def seen_sides(height: int, width: int) -> tuple[int, int]:
    """Sides of what is looked at: those of the image, the longer one shrunk to 64 if it is more."""
    share = min(1.0, LONGEST / max(height, width))
    least = min(LEAST_SIDE, height, width)
    return max(least, round(share * height)), max(least, round(share * width))


class ImageDetector(Criterion):
    """Anomaly score: how far an image is from the most similar ones, and how little it is upright.

    The sum of four standardised scores of `PooledCodes` h of patches: of the image, `Nearness` of
    the square roots of h in 4 × 4 parts, `Nearness` of h in 2 × 2 parts, and `Uprightness` of the
    square roots; and `Uprightness` of the square roots of those of the image at half its size.
    There is one setting for all images. What is told of turned images counts as far as held-out
    training images can be told from theirs.

    Images of sides up to 64 are seen as they are; larger ones are shrunk to means over areas, the
    longer side to 64, and keep their shape; of more than 10,000 a random part is learned from. So
    training and scoring cost a bounded time for each image: of 32 × 32 pixels 1 ms on two cores.
    Of images of fewer than 16 pixels along a side there is no half.

    Args:
        seed: of everything that is drawn.

    Attributes:
        seen_: sides of what is looked at, whole and half.
        codes_: the `PooledCodes` of each.
        near_: the two `Nearness`.
        upright_: the `Uprightness` of each.
        mean_: of the training images, of their shape.

    Examples:
        >>> rows = dv.detection.ImageDetector()
        >>> detector = dv.AnomalyDetector(rows, contamination=0.1, epochs=1).fit(images)
    """

    explained_alone = True  # for the memory that gradients take

    def __init__(self, seed: int = 0):
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> "ImageDetector":
        """Learn from X, (n, height, width) or (n, height, width, channels), all normal.

        Raises:
            ValueError: for other shapes, sides of fewer than 8 pixels, or a single image.
        """
        X = validation.checked(self, X, reset=True, rows=2)
        if not are_images(X.shape[1:]):
            raise ValueError(
                f"images must have shape (n, height, width) or (n, height, width, channels) with "
                f"sides of {LEAST_SIDE} pixels or more, got {X.shape}"
            )
        self.mean_ = X.mean(axis=0, dtype=np.float64)
        x = X[np.random.default_rng(self.seed).permutation(len(X))[:MOST_IMAGES]]
        x = x.reshape(*x.shape[:3], -1)
        span = float(x.max()) - float(x.min())
        whole = seen_sides(*x.shape[1:3])
        half = whole[0] // 2, whole[1] // 2
        self.seen_ = [whole] if min(half) < LEAST_SIDE else [whole, half]
        self.codes_ = [PooledCodes(x, sides, span, self.seed) for sides in self.seen_]
        orders = code_orders(GRID, FILTERS)
        self.upright_ = []
        for k, codes in enumerate(self.codes_):
            found = by_batches(codes.compiled, x).numpy()
            if k == 0:
                self.near_ = [
                    Nearness(views(found).numpy(), self.seed) for views in (_roots, _flat_halves)
                ]
            self.upright_.append(Uprightness(_roots(found).numpy(), orders, self.seed))
        return self

    def anomaly(self, x: Any) -> tf.Tensor:
        """The sum of the scores, (batch,) float64."""
        if symbolic(x):
            return self._anomaly(x)
        few = hasattr(x, "shape") and x.shape[0] is not None and x.shape[0] <= BATCH_SIZE
        return self._compiled(as_array(x)) if few else by_batches(self._compiled, x)

    def _anomaly(self, x: tf.Tensor) -> tf.Tensor:
        if x.shape.rank == 3:
            x = x[..., tf.newaxis]
        found = [codes(x) for codes in self.codes_]
        roots = [_roots(each) for each in found]
        near = [self.near_[0](roots[0]), self.near_[1](_flat_halves(found[0]))]
        upright = [
            tf.cast(score(each), tf.float64)
            for score, each in zip(self.upright_, roots, strict=True)
        ]
        return tf.add_n([*near, *upright])

    _compiled = Compiled(_anomaly)


def _roots(codes: Any) -> tf.Tensor:
    """Square roots of codes, (n, parts, codes), as vectors; with a gradient where they are 0."""
    codes = tf.convert_to_tensor(codes)
    return tf.sqrt(tf.reshape(codes, (-1, codes.shape[1] * codes.shape[2])) + LEAST) - LEAST**0.5


def _flat_halves(codes: Any) -> tf.Tensor:
    codes = halves(codes)
    return tf.reshape(codes, (-1, codes.shape[1] * codes.shape[2]))
