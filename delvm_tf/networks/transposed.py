"""Layers that undo the shape of a layer: transposed dense and convolutional maps, unpooling."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.networks.arguments import positive_ints

Shape = tuple[int, ...]


class Transposed(keras.layers.Layer):
    """Aᵀh + b for the linear map A of another layer; the kernel has the shape it has there.

    Args:
        use_bias: whether b is there.
        kernel_initializer: of the kernel; initializers that look at the fan-in see that of A, as
            with Keras's own transposed layers.
        kernel_regularizer: of the kernel.
        tied_to: a dense or convolutional layer whose kernel is used, instead of one's own.
        **kwargs: `name` and `dtype`.
    """

    def __init__(
        self,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        tied_to: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        # Behind a function, where Keras does not take the other layer for a part of this one.
        self._borrowed_kernel: Callable[[], Any] | None = (
            None if tied_to is None else lambda: tied_to.kernel
        )

    @property
    def tied(self) -> bool:
        """Whether the kernel is that of another layer."""
        return self._borrowed_kernel is not None

    def _add_weights(self, kernel_shape: Shape, channels: int) -> None:
        if not self.tied:
            self._own_kernel = self.add_weight(
                name="kernel",
                shape=kernel_shape,
                initializer=self.kernel_initializer,
                regularizer=self.kernel_regularizer,
            )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")

    @property
    def kernel(self) -> Any:
        """The kernel of A, one's own or the borrowed one."""
        return self._own_kernel if self._borrowed_kernel is None else self._borrowed_kernel()

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving.

        Raises:
            TypeError: if the kernel is another layer's; save the model of both instead.
        """
        if self.tied:
            raise TypeError(
                f"{self.name} uses the kernel of another layer and cannot be saved alone; save the "
                f"autoencoder it belongs to"
            )
        return {
            **super().get_config(),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


@keras.saving.register_keras_serializable(package="delvm_tf")
class TransposedDense(Transposed):
    """The map h Wᵀ + b along the last axis, (batch, ..., units) to (batch, ..., features).

    Args:
        features: size of the last axis of the output.
        **kwargs: see `Transposed`.
    """

    def __init__(self, features: int, **kwargs: Any):
        super().__init__(**kwargs)
        (self.features,) = positive_ints("features", features)

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of `input_shape`."""
        self._add_weights((self.features, input_shape[-1]), self.features)
        self.built = True

    def call(self, h: tf.Tensor) -> tf.Tensor:
        """The map h Wᵀ + b."""
        y = keras.ops.matmul(h, keras.ops.transpose(tf.cast(self.kernel, h.dtype)))
        return y + tf.cast(self.bias, h.dtype) if self.use_bias else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's, with `features` last."""
        return (*input_shape[:-1], self.features)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {**super().get_config(), "features": self.features}


@keras.saving.register_keras_serializable(package="delvm_tf")
class TransposedConvolution(Transposed):
    """Aᵀh + b, with A the convolution of images of exactly `target_shape`.

    The shape is restored for odd sizes and every padding, because A is the convolution of that very
    size: what A did not see gets b alone. Cost: that of A.

    Args:
        target_shape: shape of one output, that of one input of A.
        kernel_size: of A, one number for each spatial axis; as are strides and dilation_rate.
        strides: of A.
        padding: of A, `"same"`, `"valid"` or `"causal"`.
        dilation_rate: of A; above 1 only without strides.
        groups: of A.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: see `Transposed`.

    Raises:
        ValueError: for numbers that do not fit the shape, or an unknown padding.
    """

    def __init__(
        self,
        target_shape: Sequence[int],
        kernel_size: Sequence[int],
        strides: Sequence[int],
        padding: str = "same",
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        data_format: str = "channels_last",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.target_shape = positive_ints("target_shape", target_shape)
        rank = len(self.target_shape) - 1
        self.kernel_size = _per_axis("kernel_size", kernel_size, rank)
        self.strides = _per_axis("strides", strides, rank)
        self.dilation_rate = _per_axis("dilation_rate", dilation_rate, rank)
        if padding not in ("same", "valid", "causal"):
            raise ValueError(f"padding must be 'same', 'valid' or 'causal', got {padding!r}")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"strides {self.strides} and dilation {self.dilation_rate} cannot both exceed 1"
            )
        self.padding = padding
        self.groups = groups
        self.data_format = data_format
        self._channels_first = data_format == "channels_first"

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of `input_shape`, the outputs of A.

        Raises:
            ValueError: if A does not make outputs of that shape.
        """
        *given, filters = _channels_last(tuple(input_shape[1:]), self._channels_first)
        *spatial, channels = _channels_last(self.target_shape, self._channels_first)
        axes = zip(spatial, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        seen = [_windows(n, k, s, d, self.padding) for n, k, s, d in axes]
        if given != seen:
            raise ValueError(
                f"{self.name} leads from {tuple(seen)} positions to {tuple(spatial)}, but its "
                f"inputs have {tuple(given)}"
            )
        self._add_weights((*self.kernel_size, channels // self.groups, filters), channels)
        self.built = True

    def call(self, h: tf.Tensor) -> tf.Tensor:
        """Aᵀh + b, (batch, *target_shape)."""
        rank = len(self.kernel_size)
        if self._channels_first:
            h = tf.transpose(h, (0, *range(2, rank + 2), 1))
        *spatial, _ = _channels_last(self.target_shape, self._channels_first)
        kernel = tf.cast(self.kernel, h.dtype)
        parts = zip(
            tf.split(h, self.groups, axis=-1), tf.split(kernel, self.groups, axis=-1), strict=True
        )
        y = tf.concat([self._transpose(part, k, tuple(spatial)) for part, k in parts], axis=-1)
        if self.use_bias:
            y += tf.cast(self.bias, y.dtype)
        return tf.transpose(y, (0, rank + 1, *range(1, rank + 1))) if self._channels_first else y

    def _transpose(self, h: tf.Tensor, kernel: tf.Tensor, spatial: Shape) -> tf.Tensor:
        ends = [
            _padding(n, k, s, d, self.padding)
            for n, k, s, d in zip(
                spatial, self.kernel_size, self.strides, self.dilation_rate, strict=True
            )
        ]
        if max(self.strides) == 1:
            return self._turned(h, kernel, ends)
        padded = [n + before + after for n, (before, after) in zip(spatial, ends, strict=True)]
        shape = [tf.shape(h)[0], *padded, kernel.shape[-2]]
        y = tf.nn.conv_transpose(h, kernel, shape, self.strides, padding="VALID")
        begin = [0, *(before for before, _ in ends), 0]
        return y if padded == list(spatial) else tf.slice(y, begin, [-1, *spatial, -1])

    def _turned(self, h: tf.Tensor, kernel: tf.Tensor, ends: list[tuple[int, int]]) -> tf.Tensor:
        """Without strides Aᵀ is a convolution too, which CPUs do faster and with dilation."""
        rank = len(ends)
        turned = tf.reverse(kernel, list(range(rank)))
        turned = tf.transpose(turned, (*range(rank), rank + 1, rank))
        reach = [d * (k - 1) for d, k in zip(self.dilation_rate, self.kernel_size, strict=True)]
        paddings = [(r - b, r - a) for r, (b, a) in zip(reach, ends, strict=True)]
        h = tf.pad(h, [(0, 0), *paddings, (0, 0)])
        return tf.nn.convolution(h, turned, padding="VALID", dilations=self.dilation_rate)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, *target_shape)."""
        return (input_shape[0], *self.target_shape)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "target_shape": self.target_shape,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "data_format": self.data_format,
        }


@keras.saving.register_keras_serializable(package="delvm_tf")
class Unpooling(keras.layers.Layer):
    """Each value of the output is that of the pooling window nearest to it; shapes are exact.

    For windows that lie side by side this repeats every value, cropped at the border with padding
    `"same"` and, for values that no window held, continued from the last window with `"valid"`.

    Args:
        target_shape: shape of one output, that of one input of the pooling.
        pool_size: side of the windows, one number for each spatial axis; as are strides.
        strides: of the pooling.
        padding: of the pooling, `"same"` or `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name` and `dtype`.

    Raises:
        ValueError: for numbers that do not fit the shape, or an unknown padding.
    """

    def __init__(
        self,
        target_shape: Sequence[int],
        pool_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str = "valid",
        data_format: str = "channels_last",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.target_shape = positive_ints("target_shape", target_shape)
        rank = len(self.target_shape) - 1
        self.pool_size = _per_axis("pool_size", pool_size, rank)
        self.strides = _per_axis("strides", strides, rank)
        if padding not in ("same", "valid"):
            raise ValueError(f"padding must be 'same' or 'valid', got {padding!r}")
        self.padding = padding
        self.data_format = data_format
        self._channels_first = data_format == "channels_first"

    def call(self, h: tf.Tensor) -> tf.Tensor:
        """The nearest windows' values, (batch, *target_shape)."""
        first = 2 if self._channels_first else 1
        *spatial, _ = _channels_last(self.target_shape, self._channels_first)
        for index, (n, p, s) in enumerate(zip(spatial, self.pool_size, self.strides, strict=True)):
            axis = first + index
            length = h.shape[axis] * s
            before, _ = _padding(n, p, s, 1, self.padding)
            start = before - (p - s) // 2
            h = keras.ops.repeat(h, s, axis=axis) if s > 1 else h
            if (start, n) != (0, length):
                nearest = [min(max(start + i, 0), length - 1) for i in range(n)]
                h = tf.gather(h, nearest, axis=axis)
        return h

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, *target_shape)."""
        return (input_shape[0], *self.target_shape)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            "target_shape": self.target_shape,
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
        }


def _channels_last(shape: Shape, channels_first: bool) -> Shape:
    return (*shape[1:], shape[0]) if channels_first else shape


def _per_axis(name: str, value: int | Sequence[int], rank: int) -> Shape:
    values = positive_ints(name, value)
    if len(values) not in (1, rank):
        raise ValueError(f"{name} has {len(values)} values for {rank} spatial axes: {value!r}")
    return values * rank if len(values) == 1 else values


def _windows(size: int, kernel: int, stride: int, dilation: int, mode: str) -> int:
    """Outputs of a convolution along an axis."""
    covered = size - dilation * (kernel - 1) if mode == "valid" else size
    return math.ceil(covered / stride)


def _padding(size: int, kernel: int, stride: int, dilation: int, mode: str) -> tuple[int, int]:
    """Zeros that a convolution or pooling adds before and after an axis."""
    reach = dilation * (kernel - 1)
    if mode == "valid":
        return 0, 0
    if mode == "causal":
        return reach, 0
    total = max((math.ceil(size / stride) - 1) * stride + reach + 1 - size, 0)
    return total // 2, total - total // 2
