"""Linear layers without weights, which map value and derivatives alike."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature import layer_kinds as kinds
from delvm_tf.curvature.taylor import TaylorJet, linear_rule, register_rule

layers = keras.layers

register_rule(*kinds.INERT)(lambda layer, jet: jet)


@register_rule(
    *kinds.MOVING, *kinds.AVERAGE_POOLINGS, *kinds.GLOBAL_AVERAGE_POOLINGS,
    layers.AdaptiveAveragePooling1D, layers.AdaptiveAveragePooling2D,
    layers.AdaptiveAveragePooling3D,
)  # fmt: skip
def linear_layer(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Shapes, borders, repetition and averages, by the layer's own `call`."""
    return linear_rule(jet, layer.call)


@register_rule(layers.UpSampling2D)
def up_sampling(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Repetition, or interpolation as a product with one matrix for each of the two axes.

    TensorFlow takes the gradient of interpolation for a constant, which loses second derivatives
    through the layer itself, and the gradient of a Laplacian in the weights.
    """
    if layer.interpolation == "nearest":
        return linear_rule(jet, layer.call)
    last = layer.data_format == "channels_last"
    equation = "nhwc,ph,qw->npqc" if last else "nchw,ph,qw->ncpq"
    lengths = jet.value.shape[1:3] if last else jet.value.shape[2:]

    def matrix(length: int, factor: int) -> tf.Tensor:
        """One axis of the identity enlarged; the other keeps its length and so its values."""
        identity = tf.eye(length)[tf.newaxis, :, :, tf.newaxis]
        enlarged = keras.ops.image.resize(
            identity, (factor * length, length), layer.interpolation, data_format="channels_last"
        )
        return tf.cast(enlarged[0, :, :, 0], jet.value.dtype)

    matrices = list(map(matrix, lengths, layer.size))
    return linear_rule(jet, lambda t: tf.einsum(equation, t, *matrices))


@register_rule(layers.Rescaling)
def rescaling(layer: Any, jet: TaylorJet) -> TaylorJet:
    """A constant times x plus a constant; not in the compute type, where x would lose digits."""
    scale = tf.cast(layer.scale, jet.value.dtype)
    if scale.shape.rank and keras.config.image_data_format() == "channels_first":
        scale = tf.reshape(scale, (-1, 1, 1))  # as the layer does: one number a channel
    return scaled_rule(jet, scale, tf.cast(layer.offset, jet.value.dtype))


@register_rule(layers.Normalization)
def standardization(layer: Any, jet: TaylorJet) -> TaylorJet:
    """(x − mean)/deviation by the statistics of a data set, or the inverse of that."""
    dtype = jet.value.dtype
    mean = tf.cast(layer.mean, dtype)
    deviation = tf.maximum(tf.sqrt(tf.cast(layer.variance, dtype)), keras.config.epsilon())
    if layer.invert:
        return scaled_rule(jet, deviation, mean)
    return scaled_rule(jet, 1.0 / deviation, -mean / deviation)


def scaled_rule(jet: TaylorJet, gain: tf.Tensor, shift: Any = None) -> TaylorJet:
    """The rule of gain·x + shift, both of which broadcast with (batch, ...)."""
    return linear_rule(
        jet, lambda t: t * gain, None if shift is None else lambda t: t * gain + shift
    )
