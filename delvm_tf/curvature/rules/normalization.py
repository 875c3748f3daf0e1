"""Normalisation layers.

Layers that normalise an example by its own mean and size have second derivatives in closed form.
They give n = ra with r = (mean z² + ε)^(−½), where a and z are x or x minus its mean. With the
derivatives u and w of a and z along v,

    m = r mean zw        Dn = ru − rmn        D²n = r²n(3m² − mean w²) − 2r²mu.

Cost: a few passes over the tangents, without matrix products.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature.rules.linear import scaled_rule
from delvm_tf.curvature.taylor import TaylorJet, linear_rule, register_rule

layers = keras.layers
SMALLEST_NORM = 1e-12  # Keras's


@register_rule(layers.BatchNormalization)
def batch_normalization(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Inference form: an affine map of each channel by the moving statistics."""
    dtype = jet.value.dtype
    gain = tf.math.rsqrt(tf.cast(layer.moving_variance, dtype) + layer.epsilon)
    if layer.scale:
        gain = gain * tf.cast(layer.gamma, dtype)
    shift = -tf.cast(layer.moving_mean, dtype) * gain
    if layer.center:
        shift = shift + tf.cast(layer.beta, dtype)
    return _with_weights(jet, [layer.axis], gain, shift)


@register_rule(layers.LayerNormalization)
def layer_normalization(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Exact, unlike nested gradient tapes through the layer itself.

    For the variance Keras uses `tf.nn.moments`, which treats the mean as a constant: right for
    first derivatives only. With `rms_scaling` the input is divided by its deviation, as in Keras,
    but not centred.
    """
    normalized = standardized_rule(jet, layer.axis, layer.epsilon, centred=not layer.rms_scaling)
    return _with_weights(normalized, layer.axis, layer.gamma, layer.beta)


@register_rule(layers.GroupNormalization)
def group_normalization(layer: Any, jet: TaylorJet) -> TaylorJet:
    """All positions of a group of channels together; exact as `layer_normalization` is."""
    shape = list(jet.value.shape[1:])
    axis = layer.axis % jet.value.shape.rank
    members = shape[axis - 1] // layer.groups
    grouped_shape = [*shape[: axis - 1], layer.groups, members, *shape[axis:]]
    axes = [a for a in range(1, len(grouped_shape) + 1) if a != axis]
    grouped = linear_rule(jet, lambda t: tf.reshape(t, (-1, *grouped_shape)))
    normalized = standardized_rule(grouped, axes, layer.epsilon)
    flat = linear_rule(normalized, lambda t: tf.reshape(t, (-1, *shape)))
    return _with_weights(flat, [axis], layer.gamma, layer.beta)


@register_rule(layers.RMSNormalization)
def rms_normalization(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Division by the root of the mean square."""
    normalized = standardized_rule(
        jet, layer.axis, layer.epsilon, centred=False, centred_size=False
    )
    return _with_weights(normalized, layer.axis, layer.scale)


@register_rule(layers.UnitNormalization)
def unit_normalization(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Division by the norm, which is √k times the root of the mean square of k elements."""
    axes = [layer.axis] if isinstance(layer.axis, int) else layer.axis
    count = math.prod(jet.value.shape[axis] for axis in axes)
    # A lower bound of the norm, for inputs of zero; too small to matter for any other.
    epsilon = SMALLEST_NORM**2 / count
    normalized = standardized_rule(jet, axes, epsilon, centred=False, centred_size=False)
    return scaled_rule(normalized, tf.constant(count**-0.5, jet.value.dtype))


def standardized_rule(
    jet: TaylorJet,
    axes: Sequence[int],
    epsilon: float,
    centred: bool = True,
    centred_size: bool = True,
) -> TaylorJet:
    """The rule of x, or x minus its mean, divided by its root mean square or standard deviation.

    Args:
        jet: the jet of x, (batch, ...).
        axes: the axes of the means; the batch is number 0.
        epsilon: added to the mean square or variance.
        centred: whether the mean is subtracted.
        centred_size: whether the divisor is the standard deviation.
    """
    rank = jet.value.shape.rank
    axes = [axis % rank - rank for axis in axes]  # the same with and without probes

    def mean(t: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(t, axis=axes, keepdims=True)

    def parts(t: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The dividend and what the divisor is made of: `a` and `z` of x, `u` and `w` of v."""
        minus_mean = t - mean(t) if centred or centred_size else t
        return minus_mean if centred else t, minus_mean if centred_size else t

    a, z = parts(jet.value)
    r = tf.math.rsqrt(mean(tf.square(z)) + epsilon)
    n, z = r * a, r * z
    u, w = parts(jet.tangents)
    m = mean(z * w)
    sizes = tf.reduce_sum(3.0 * tf.square(m) - mean(tf.square(w)), axis=0)
    second = tf.square(r) * (n * sizes - 2.0 * tf.reduce_sum(m * u, axis=0))
    if not isinstance(jet.second, float):
        of_a, of_z = parts(jet.second)
        second += r * (of_a - n * mean(z * of_z))
    return TaylorJet(n, r * (u - n * m), second)


def _with_weights(jet: TaylorJet, axes: Sequence[int], gain: Any, shift: Any = None) -> TaylorJet:
    """The rule of gain·x + shift, weights of the shape of these axes, or None."""
    shape = [1] * jet.value.shape.rank
    for axis in axes:
        shape[axis] = jet.value.shape[axis]

    def broadcast(weight: Any) -> tf.Tensor:
        return tf.reshape(tf.cast(weight, jet.value.dtype), shape)

    if gain is None and shift is None:
        return jet
    gain = tf.ones((), jet.value.dtype) if gain is None else broadcast(gain)
    return scaled_rule(jet, gain, None if shift is None else broadcast(shift))
