"""Propagation rules of Keras's layers."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature import jets
from delvm_tf.curvature.affine import CONVOLUTIONS, linear_map
from delvm_tf.curvature.taylor import (
    TaylorJet,
    differentiated_layer,
    elementwise_rule,
    linear_rule,
    over_probes,
    register_rule,
)

layers = keras.layers

register_rule(
    layers.Identity, layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D,
    layers.SpatialDropout3D, layers.GaussianDropout, layers.GaussianNoise, layers.AlphaDropout,
    layers.ActivityRegularization,
)(lambda layer, jet: jet)  # fmt: skip


@register_rule(
    layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector,
    layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D,
    layers.Cropping1D, layers.Cropping2D, layers.Cropping3D,
    layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D,
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
    layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D,
)  # fmt: skip
def linear_layer(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Layers that are linear without weights: applied to value and derivatives alike."""
    return linear_rule(jet, layer.call)


@register_rule(layers.Dense, *CONVOLUTIONS)
def affine_layer(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Dense and convolutional layers with their activation; products in the compute type."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return differentiated_layer(layer, [jet])
    dtype, kernel = jet.value.dtype, tf.cast(layer.kernel, layer.compute_dtype)

    def linear(t: tf.Tensor) -> tf.Tensor:
        return tf.cast(linear_map(layer, tf.cast(t, layer.compute_dtype), kernel), dtype)

    def affine(t: tf.Tensor) -> tf.Tensor:
        return linear(t) if layer.bias is None else linear(t) + tf.cast(layer.bias, dtype)

    return _activated(layer.activation, linear_rule(jet, linear, affine))


@register_rule(
    layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.PReLU,
)  # fmt: skip
def activation_layer(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Activation layers; those that are not elementwise are differentiated automatically."""
    return _activated(layer, jet)


def _activated(activation: Any, jet: TaylorJet) -> TaylorJet:
    function = jets.activation_jet(activation)
    if function is jets.linear:
        return jet
    if function is not None:
        return elementwise_rule(jet, function)
    return differentiated_layer(lambda t, training: activation(t), [jet])


@register_rule(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D)
def max_pooling(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Linear where the largest value is unique: each output takes the derivatives of its winner."""
    pooled = layer.call(jet.value)

    def of_winners(tangents: tf.Tensor) -> tf.Tensor:
        """For tangents (n, batch, ...), one example's value repeated for each of them."""
        full = tf.concat([tf.shape(tangents)[:1], tf.shape(jet.value)], axis=0)
        values = tf.broadcast_to(jet.value[tf.newaxis], full)
        pairs = tf.stack([values, tf.broadcast_to(tangents, full)], axis=2)
        return over_probes(_pooled_tangent, pairs)

    def _pooled_tangent(pairs: tf.Tensor) -> tf.Tensor:
        values, tangents = tf.unstack(pairs, num=2, axis=1)
        with tf.autodiff.ForwardAccumulator(values, tangents) as forward:
            result = layer.call(values)
        return forward.jvp(result)

    second = jet.second
    if not isinstance(second, float):
        second = of_winners(second[tf.newaxis])[0]
    return TaylorJet(pooled, of_winners(jet.tangents), second)


@register_rule(layers.BatchNormalization)
def batch_normalization(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Inference form: an affine map of each channel by the moving statistics."""
    dtype = jet.value.dtype
    gain = tf.math.rsqrt(tf.cast(layer.moving_variance, dtype) + layer.epsilon)
    if layer.scale:
        gain = gain * tf.cast(layer.gamma, dtype)
    shape = [1] * jet.value.shape.rank
    shape[layer.axis] = -1
    gain = tf.reshape(gain, shape)
    shift = -tf.reshape(tf.cast(layer.moving_mean, dtype), shape) * gain
    if layer.center:
        shift = shift + tf.reshape(tf.cast(layer.beta, dtype), shape)
    return linear_rule(jet, lambda t: t * gain, lambda t: t * gain + shift)
