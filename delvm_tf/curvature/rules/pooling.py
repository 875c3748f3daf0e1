"""Maximum pooling, which is linear where the largest value of each window is unique.

The winner of each window, among equal values the first, is found once from the value. Value and
derivatives are then read there alone, so that all of them agree where there are ties.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.curvature import layer_kinds as kinds
from delvm_tf.curvature.jets import multiply
from delvm_tf.curvature.taylor import TaylorJet, linear_rule, register_rule

layers = keras.layers
Ranges = list[tuple[int, int]]  # start and end of each window along one axis
Windows = Callable[[int, int], Ranges]  # from the number and the length of a spatial axis


@register_rule(*kinds.MAX_POOLINGS)
def max_pooling(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Windows of one size at regular distances."""

    def windows(axis: int, length: int) -> Ranges:
        size, stride = layer.pool_size[axis], layer.strides[axis]
        before, after = kinds.window_padding(layer.padding, length, size, stride)
        starts = range(-before, length + after - size + 1, stride)
        return [(max(start, 0), min(start + size, length)) for start in starts]

    separate = all(s >= p for s, p in zip(layer.strides, layer.pool_size, strict=True))
    # TensorFlow averages volumes in few types.
    if separate and jet.value.shape.rank < 5:
        return _separate_windows(layer, jet, windows)
    return _any_windows(layer, jet, windows)


@register_rule(*kinds.GLOBAL_MAX_POOLINGS)
def global_max_pooling(layer: Any, jet: TaylorJet) -> TaylorJet:
    """One window."""
    return _any_windows(layer, jet, lambda axis, length: [(0, length)])


@register_rule(
    layers.AdaptiveMaxPooling1D, layers.AdaptiveMaxPooling2D, layers.AdaptiveMaxPooling3D
)
def adaptive_max_pooling(layer: Any, jet: TaylorJet) -> TaylorJet:
    """A given number of windows that divide each axis as evenly as possible."""

    def windows(axis: int, length: int) -> Ranges:
        count = layer.output_size[axis]
        return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]

    return _any_windows(layer, jet, windows)


def _any_windows(layer: Any, jet: TaylorJet, windows: Windows) -> TaylorJet:
    """Gathers the winners: reads only them, but the gradient has to scatter."""
    winners = _winners(layer, jet.value, windows)
    size = math.prod(jet.value.shape[1:])
    shape = layer.compute_output_shape(jet.value.shape)[1:]

    def select(t: tf.Tensor) -> tf.Tensor:
        batches = tf.reshape(t, (-1, tf.shape(jet.value)[0] * size))
        return tf.reshape(tf.gather(batches, winners, axis=1), (-1, *shape))

    full = tf.concat([tf.shape(jet.tangents)[:1], tf.shape(jet.value)], axis=0)
    return linear_rule(jet._replace(tangents=tf.broadcast_to(jet.tangents, full)), select)


def _separate_windows(layer: Any, jet: TaylorJet, windows: Windows) -> TaylorJet:
    """Sums over windows that do not overlap, with all but the winner set to zero.

    Two to three times faster than `_any_windows`. A sum is an average times the number averaged.
    """
    value, last = jet.value, layer.data_format == "channels_last"
    winners = _winners(layer, value, windows)
    mask = tf.scatter_nd(
        winners[:, tf.newaxis], tf.ones(tf.shape(winners), value.dtype), [tf.size(value)]
    )
    mask = tf.reshape(mask, tf.shape(value))
    spatial = value.shape[1:-1] if last else value.shape[2:]
    lengths = [np.diff(windows(*axis))[:, 0] for axis in enumerate(spatial)]
    count = functools.reduce(np.multiply.outer, lengths)
    counts = tf.constant(count[..., np.newaxis] if last else count, value.dtype)

    def sums(t: tf.Tensor) -> tf.Tensor:
        return counts * keras.ops.average_pool(
            t, layer.pool_size, layer.strides, layer.padding, layer.data_format
        )

    masked = TaylorJet(value * mask, jet.tangents * mask, multiply(jet.second, mask))
    return linear_rule(masked, sums)


def _winners(layer: Any, value: tf.Tensor, windows: Windows) -> tf.Tensor:
    """Where the largest element of each window and channel lies in the flattened `value`.

    In the order of the flattened output.
    """
    rank, last = value.shape.rank, layer.data_format == "channels_last"
    rows = value if last else tf.transpose(value, [0, *range(2, rank), 1])
    spatial, channels = rows.shape[1:-1], rows.shape[-1]
    positions = math.prod(spatial)
    table = _window_table(spatial, [windows(*axis) for axis in enumerate(spatial)])
    count, width = table.shape

    candidates = tf.gather(tf.reshape(rows, (-1, positions, channels)), table, axis=1)
    place = tf.argmax(candidates, axis=2, output_type=tf.int32)  # (batch, windows, channels)
    position = tf.gather(table.reshape(-1), place + width * np.arange(count)[:, np.newaxis])
    channel = tf.range(channels)
    if last:
        winners = position * channels + channel
    else:
        winners = tf.transpose(position + positions * channel, (0, 2, 1))
    first = tf.range(tf.shape(value)[0]) * (positions * channels)
    return tf.reshape(winners + first[:, tf.newaxis, tf.newaxis], (-1,))


def _window_table(spatial: tf.TensorShape, ranges: list[Ranges]) -> np.ndarray:
    """The positions in each window, a row each; smaller ones repeat their last."""
    positions = np.arange(math.prod(spatial), dtype=np.int32).reshape(spatial)
    windows = [
        positions[tuple(slice(*one) for one in window)].reshape(-1)
        for window in itertools.product(*ranges)
    ]
    width = max(map(len, windows))
    return np.stack([np.pad(window, (0, width - len(window)), "edge") for window in windows])
