"""The linear map of dense and convolutional layers, apart from bias and activation."""

import keras
import tensorflow as tf

CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def linear_map(layer: keras.layers.Layer, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """The layer's linear map with another kernel of the same shape, without bias."""
    if isinstance(layer, keras.layers.Dense):
        return tf.tensordot(x, kernel, axes=1) if x.shape.rank > 2 else tf.matmul(x, kernel)
    if layer.padding != "causal":
        return layer.convolution_op(x, kernel)
    past = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
    return keras.ops.conv(
        tf.pad(x, [[0, 0], [past, 0], [0, 0]]),
        kernel,
        strides=layer.strides[0],
        padding="valid",
        dilation_rate=layer.dilation_rate[0],
    )
