"""Encoders: from whitened patches to non-negative codes, given filters (d, filters).

All but the triangles see the filters' directions alone, so that dictionaries of any origin, with
whatever norms and biases, are coded in the same way.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.features.dictionaries import check_filters, unit_norms

Encoder = Callable[[tf.Tensor], tf.Tensor]
"""A function of whitened patches (n, d) that gives codes (n, codes).

`PatchFeatures` takes any; `make_encoder` makes those of `ENCODERS`.

Examples:
    >>> encode: dv.features.Encoder = tf.nn.relu
    >>> whiten = dv.features.PatchWhitening(dv.features.sample_patches(images, 3, 500, seed=0))
    >>> dv.features.PatchFeatures(3, whiten, encode, pooling=1)(images).shape
    (16, 9)
"""


def rectifier(filters: Any, threshold: float = 0.0) -> Encoder:
    """max(0, pᵀw − α), the soft threshold, for filters w divided by their norms."""
    return partial(_rectified, unit_norms(filters), threshold)


def signed(filters: Any, threshold: float = 0.0) -> Encoder:
    """max(0, pᵀw − α) and max(0, −pᵀw − α), two codes of each filter, as `rectifier`."""
    return partial(_rectified_both, unit_norms(filters), threshold)


def competition(filters: Any, threshold: float = 0.0) -> Encoder:
    """max(0, r − mean r − α), with r = pᵀw as in `rectifier` and the mean over all filters."""
    kernel = unit_norms(filters)
    return partial(_rectified, kernel - kernel.mean(axis=1, keepdims=True), threshold)


def triangle(filters: Any, threshold: float = 0.0) -> Encoder:
    """max(0, mean z − z − α), with the distances z = ‖p − w‖ to the filters as they are."""
    return partial(_nearer_than_usual, check_filters(filters), threshold)


def signed_triangle(filters: Any, threshold: float = 0.0) -> Encoder:
    """As `triangle`, with the filters' directions w/‖w‖ and −w/‖w‖, two codes of each filter."""
    kernel = unit_norms(filters)
    return triangle(np.concatenate([kernel, -kernel], axis=1), threshold)


def relative(filters: Any, threshold: float = 0.0) -> Encoder:
    """max(0, ±r − α·ρ), with r = pᵀw as in `rectifier` and ρ their root mean square for a patch."""
    return partial(_beyond_usual, unit_norms(filters), threshold, False)


def nearest(filters: Any, threshold: float = 0.0) -> Encoder:
    """1 where `relative` is positive, and 0 elsewhere.

    Of filters w and −w of norm 1, these are the nearest ones to the patch. Responses being close to
    Gaussian, they are a share q of all for α = Φ⁻¹(1 − q): 0.25 for 40%. Sorting the distances
    takes several times as long.

    Source: Thiry, Arbel, Belilovsky and Oyallon (2021), The unreasonable effectiveness of patches
    in deep convolutional kernels methods.
    """
    return partial(_beyond_usual, unit_norms(filters), threshold, True)


def _rectified(kernel: np.ndarray, threshold: float, p: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(tf.matmul(p, kernel) - threshold)


def _rectified_both(kernel: np.ndarray, threshold: float, p: tf.Tensor) -> tf.Tensor:
    r = tf.matmul(p, kernel)
    return tf.nn.relu(tf.concat([r - threshold, -r - threshold], axis=1))


def _beyond_usual(kernel: np.ndarray, threshold: float, count: bool, p: tf.Tensor) -> tf.Tensor:
    r = tf.matmul(p, kernel)
    least = threshold * tf.sqrt(tf.reduce_mean(tf.square(r), axis=1, keepdims=True))
    excess = tf.concat([r - least, -r - least], axis=1)
    return tf.cast(excess > 0, p.dtype) if count else tf.nn.relu(excess)


def _nearer_than_usual(kernel: np.ndarray, threshold: float, p: tf.Tensor) -> tf.Tensor:
    power = 1 + tf.reduce_sum(tf.square(p), axis=1, keepdims=True)
    more = np.square(kernel).sum(axis=0) - 1 - 2 * tf.matmul(p, kernel)
    z = tf.sqrt(tf.nn.relu(power + more))
    # z − √power, whose digits are those by which distances differ: the code has no others.
    z = more / (z + tf.sqrt(power))
    return tf.nn.relu(tf.reduce_mean(z, axis=1, keepdims=True) - threshold - z)


ENCODERS: dict[str, Callable[[Any, float], Encoder]] = {
    "rectifier": rectifier,
    "signed": signed,
    "competition": competition,
    "triangle": triangle,
    "signed-triangle": signed_triangle,
    "relative": relative,
    "nearest": nearest,
}
"""Encoders by name: of filters, (d, filters), and a threshold α.

With the responses r = pᵀw of a patch p to filters w of norm 1, codes are max(0, r − α) for
`rectifier`, of r and −r for `signed`, of r − mean r for `competition`. With the distances
z = ‖p − w‖ they are max(0, mean z − z − α) for `triangle`, and for `signed-triangle` with w/‖w‖
and −w/‖w‖. For `relative` they are max(0, ±r − αρ) with ρ the root mean square of r, and for
`nearest` 1 where these are positive.

Sources: Coates, Lee and Ng (2011), An analysis of single-layer networks in unsupervised feature
learning, for `triangle`; Coates and Ng (2011), The importance of encoding versus training, for
`rectifier` and `signed`; Thiry, Arbel, Belilovsky and Oyallon (2021), The unreasonable
effectiveness of patches in deep convolutional kernels methods, for `nearest`.

Examples:
    >>> encode = dv.features.ENCODERS["rectifier"](np.eye(2), 1.0)
    >>> encode(tf.constant([[3.0, -3.0]])).numpy()
    array([[2., 0.]], dtype=float32)
"""


class NamedEncoder:
    """An encoder of `ENCODERS`, which can be written down.

    Args:
        name: one of `ENCODERS`.
        filters: (d, filters).
        threshold: α, in units of whitened patches.

    Raises:
        ValueError: for an unknown name, a threshold that is not finite, or filters of another
            shape.
    """

    def __init__(self, name: str, filters: Any, threshold: float = 0.0):
        if name not in ENCODERS:
            raise ValueError(f"unknown encoder {name!r}; expected one of {', '.join(ENCODERS)}")
        if not np.isfinite(threshold):
            raise ValueError(f"the threshold must be a finite number, got {threshold!r}")
        self.name = name
        self.filters = np.asarray(filters)
        self.threshold = threshold
        self._encode = ENCODERS[name](filters, threshold)

    def __call__(self, p: tf.Tensor) -> tf.Tensor:
        """Codes of whitened patches, (n, codes)."""
        return self._encode(p)


make_encoder = NamedEncoder
"""An encoder of `ENCODERS` by its name: `make_encoder(name, filters, threshold=0.0)`.

Filters are (d, filters), the threshold α is in units of whitened patches. Unlike another function
of patches, detectors that have it can be saved. ValueError for an unknown name, a threshold that
is not finite, or filters of another shape.

Examples:
    >>> encode = dv.features.make_encoder("signed", np.eye(2), threshold=1.0)
    >>> encode(tf.constant([[3.0, -3.0]])).numpy()
    array([[2., 0., 0., 2.]], dtype=float32)
"""
