"""Dense and convolutional layers: a linear map with weights, a bias and an activation.

Products are in the layer's compute type, everything else in the type of the jet.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature import layer_kinds as kinds
from delvm_tf.curvature.affine import linear_map
from delvm_tf.curvature.rules.activations import activated
from delvm_tf.curvature.taylor import TaylorJet, linear_rule, register_rule

layers = keras.layers
LinearMap = Callable[[tf.Tensor], tf.Tensor]


def affine_rule(layer: Any, jet: TaylorJet, linear: LinearMap, bias: Any = None) -> TaylorJet:
    """The rule of activation(linear(x) + bias), of a layer's compute type and activation.

    Args:
        layer: the layer.
        jet: the jet of its input.
        linear: its linear map, (n, ...) to (n, ...) in the compute type.
        bias: broadcasts with (batch, ...), or None.
    """
    dtype = jet.value.dtype

    def product(t: tf.Tensor) -> tf.Tensor:
        return tf.cast(linear(tf.cast(t, layer.compute_dtype)), dtype)

    def with_bias(t: tf.Tensor) -> tf.Tensor:
        shift = tf.cast(bias, dtype)
        # TensorFlow fuses the gradient of `bias_add` with that of the kernel.
        return tf.nn.bias_add(product(t), shift) if shift.shape.rank == 1 else product(t) + shift

    mapped = linear_rule(jet, product, None if bias is None else with_bias)
    return activated(layer.activation, mapped)


@register_rule(layers.Dense)
def dense(layer: Any, jet: TaylorJet) -> TaylorJet:
    """A product with the last axis."""
    kernel = _cast(layer, layer.kernel)
    return affine_rule(layer, jet, lambda t: linear_map(layer, t, kernel), layer.bias)


@register_rule(layers.EinsumDense)
def einsum_dense(layer: Any, jet: TaylorJet) -> TaylorJet:
    """A product with any axes."""
    kernel = _cast(layer, layer.kernel)
    return affine_rule(
        layer, jet, lambda t: keras.ops.einsum(layer.equation, t, kernel), layer.bias
    )


@register_rule(*kinds.CONVOLUTIONS)
def convolution(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Convolutions of any rank."""
    kernel = _cast(layer, layer.kernel)
    linear = _in_format(layer, lambda t: linear_map(layer, t, kernel))
    return affine_rule(layer, jet, linear, _bias(layer))


@register_rule(*kinds.TRANSPOSED)
def transposed_convolution(layer: Any, jet: TaylorJet) -> TaylorJet:
    """The adjoints of convolutions, which widen an image."""
    kernel = _cast(layer, layer.kernel)

    def channels_last(t: tf.Tensor) -> tf.Tensor:
        return keras.ops.conv_transpose(
            t,
            kernel,
            strides=layer.strides,
            padding=layer.padding,
            output_padding=layer.output_padding,
            data_format="channels_last",
            dilation_rate=layer.dilation_rate,
        )

    return affine_rule(layer, jet, _in_format(layer, channels_last), _bias(layer))


@register_rule(*kinds.DEPTHWISE)
def depthwise_convolution(layer: Any, jet: TaylorJet) -> TaylorJet:
    """One convolution for each channel."""
    kernel = _cast(layer, layer.kernel)

    def linear(t: tf.Tensor) -> tf.Tensor:
        return keras.ops.depthwise_conv(t, kernel, **_geometry(layer))

    return affine_rule(layer, jet, linear, _bias(layer))


@register_rule(*kinds.SEPARABLE)
def separable_convolution(layer: Any, jet: TaylorJet) -> TaylorJet:
    """One convolution for each channel, then a mixture of the channels."""
    depthwise = _cast(layer, layer.depthwise_kernel)
    pointwise = _cast(layer, layer.pointwise_kernel)

    def linear(t: tf.Tensor) -> tf.Tensor:
        return keras.ops.separable_conv(t, depthwise, pointwise, **_geometry(layer))

    return affine_rule(layer, jet, linear, _bias(layer))


def _geometry(layer: Any) -> dict[str, Any]:
    names = ("strides", "padding", "dilation_rate", "data_format")
    return {name: getattr(layer, name) for name in names}


def _cast(layer: Any, weight: Any) -> tf.Tensor:
    return tf.cast(weight, layer.compute_dtype)


def _bias(layer: Any) -> Any:
    """The bias of a convolution in a shape that broadcasts, or None."""
    if layer.bias is None or layer.data_format == "channels_last":
        return layer.bias
    return tf.reshape(layer.bias, (-1, *[1] * layer.rank))


def _in_format(layer: Any, channels_last: LinearMap) -> LinearMap:
    """A map in the layer's format; with channels first transposed, as TensorFlow on CPU needs."""
    if layer.data_format == "channels_last":
        return channels_last

    def channels_first(t: tf.Tensor) -> tf.Tensor:
        rank = t.shape.rank
        result = channels_last(tf.transpose(t, [0, *range(2, rank), 1]))
        return tf.transpose(result, [0, rank - 1, *range(1, rank - 1)])

    return channels_first
