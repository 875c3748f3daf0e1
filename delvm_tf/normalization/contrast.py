"""Contrast normalisation of single examples: preprocessing, since it cannot be undone."""

from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.inputs.arrays import as_array
from delvm_tf.normalization.statistics import Statistics

ROWS = 1024  # examples computed at a time, in float64


def normalize_contrast(x: Any, offset: float = 0.0) -> Any:
    """(x − mean x) / √(var x + offset), with mean and variance over the values of each example.

    Brightness and contrast of an image are lost, so this is no `InputNormalization`, which a
    reconstruction must be taken back through. A constant example becomes 0.

    Args:
        x: examples, (n, ...), of any real type; or a tensor of a graph, which it becomes part of.
        offset: added to the variance, in squared units of x.

    Returns:
        (n, ...) float32, with mean 0 and, for offset 0, variance 1 each; an
        example that is constant up to rounding is 0.

    Raises:
        ValueError: for an array without examples or without values in them, or a negative offset.

    Examples:
        >>> model = dv.DELVM(dv.networks.cnn((4,), 3))
        >>> model.adapt(dv.normalization.normalize_contrast(images))
        >>> dv.normalization.normalize_contrast(np.array([[1, 3], [7, 7]]))
        array([[-1.,  1.],
               [ 0.,  0.]], dtype=float32)
    """
    if not offset >= 0:
        raise ValueError(f"offset must not be negative, got {offset!r}")
    if tf.is_tensor(x) and not tf.executing_eagerly():
        return _in_graph(x, offset)
    x = np.asarray(as_array(x))
    if x.ndim < 2 or x.size == 0:
        raise ValueError(f"expected examples of shape (n, ...), got shape {x.shape}")
    result = np.empty(x.shape, np.float32)
    for start in range(0, len(x), ROWS):
        rows = x[start : start + ROWS]
        flat = rows.reshape(len(rows), -1).astype(np.float64)
        statistics = Statistics()
        statistics.update(rows.reshape(len(rows), -1).T)  # over the values of each example
        centred = flat - statistics.mean[:, None]
        centred[statistics.constant] = 0.0
        variance = statistics.variance + offset
        root = np.sqrt(np.where(variance > 0, variance, 1.0))
        result[start : start + ROWS] = (centred / root[:, None]).reshape(rows.shape)
    return result


def _in_graph(x: tf.Tensor, offset: float) -> tf.Tensor:
    flat = tf.reshape(tf.cast(x, tf.float64), (tf.shape(x)[0], -1))
    mean = tf.reduce_mean(flat, axis=1, keepdims=True)
    centred = flat - mean
    variance = tf.reduce_mean(tf.square(centred), axis=1, keepdims=True)
    rounding = np.finfo(np.float32).eps * tf.reduce_max(tf.abs(flat), axis=1, keepdims=True)
    constant = variance <= tf.square(rounding)
    root = tf.sqrt(tf.where(constant, tf.ones_like(variance), variance) + offset)
    result = tf.where(constant, tf.zeros_like(centred), centred / root)
    return tf.cast(tf.reshape(result, tf.shape(x)), tf.float32)
