"""The linear map of dense and convolutional layers, without bias and activation."""

from typing import Any

import keras
import tensorflow as tf

Padding = list[list[int]]
FEW_CHANNELS = 8  # below, TensorFlow's own input gradient is faster


def linear_map(layer: keras.layers.Layer, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """The linear map of a layer of channels last, with another kernel of the same shape."""
    if isinstance(layer, keras.layers.Dense):
        return tf.tensordot(x, kernel, axes=1) if x.shape.rank > 2 else tf.matmul(x, kernel)
    if is_plain_convolution(layer) and kernel.shape[2] >= FEW_CHANNELS:
        return convolve(x, kernel, plain_padding(layer))
    if layer.padding == "causal":
        x = tf.pad(x, [[0, 0], [layer.dilation_rate[0] * (layer.kernel_size[0] - 1), 0], [0, 0]])
    return keras.ops.conv(
        x,
        kernel,
        strides=layer.strides,
        padding="valid" if layer.padding == "causal" else layer.padding,
        data_format="channels_last",
        dilation_rate=layer.dilation_rate,
    )


def affine_map(layer: Any, x: tf.Tensor) -> tf.Tensor:
    """A dense or convolutional layer without its activation; the product in its compute type."""
    kernel = tf.cast(layer.kernel, layer.compute_dtype)
    a = tf.cast(linear_map(layer, tf.cast(x, layer.compute_dtype), kernel), x.dtype)
    return a if layer.bias is None else a + tf.cast(layer.bias, x.dtype)


def is_plain_convolution(layer: Any) -> bool:
    """Whether a layer is a two-dimensional convolution without strides, dilation or groups."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.data_format == "channels_last"
        and layer.groups == 1
        and set(layer.strides) == set(layer.dilation_rate) == {1}
    )


def plain_padding(layer: Any) -> Padding:
    """Zeros before and after height and width that a plain convolution adds."""
    if layer.padding == "valid":
        return [[0, 0], [0, 0]]
    return [[(size - 1) // 2, size // 2] for size in layer.kernel_size]


def convolve(x: tf.Tensor, kernel: tf.Tensor, padding: Padding) -> tf.Tensor:
    """Convolution of images whose input gradient is a convolution too, with the kernel reversed.

    TensorFlow's own operation for that gradient takes 1.6 times as long on CPUs. Score matching
    needs the gradient forward as well as backward.
    """

    @tf.custom_gradient
    def convolution(x: tf.Tensor, kernel: tf.Tensor) -> Any:
        explicit = [[0, 0], *padding, [0, 0]]
        y = tf.nn.conv2d(x, kernel, 1, explicit)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
            mirrored = [
                [size - 1 - before, size - 1 - after]
                for size, (before, after) in zip(kernel.shape[:2], padding, strict=True)
            ]
            same = padding == [[(size - 1) // 2, size // 2] for size in kernel.shape[:2]]
            by_kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=x if same else tf.pad(x, explicit),
                filter_sizes=tf.shape(kernel),
                out_backprop=upstream,
                strides=[1, 1, 1, 1],
                # oneDNN does not know explicit padding here, and what then runs is 3 times slower.
                padding="SAME" if same else "VALID",
            )
            return convolve(upstream, turned, mirrored), by_kernel

        return y, gradient

    return convolution(x, kernel)
