"""Layers that undo the shape of a layer: transposed dense and convolutional maps, unpooling."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.networks.arguments import one_for_each, positive_ints

Shape = tuple[int, ...]


class Transposed(keras.layers.Layer):
    """Aᵀh + b for the linear map A of another layer; the kernel has the same shape as there.

    Args:
        use_bias: whether there is a b.
        kernel_initializer: of the kernel; its fan-in is that of A, as in Keras's transposed layers.
        kernel_regularizer: of the kernel.
        tied_to: a dense or convolutional layer whose kernel is used instead of an own one.
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

    def _add_weights(self, kernel_shape: Shape, channels: int) -> None:
        if self._borrowed_kernel is None:
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
        """The kernel of A, its own or the borrowed one."""
        return self._own_kernel if self._borrowed_kernel is None else self._borrowed_kernel()

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving; TypeError if the kernel is another layer's."""
        if self._borrowed_kernel is not None:
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


class _Restoring(keras.layers.Layer):
    """A layer whose outputs have the shape of the inputs of a layer of windows.

    Subclasses call `_describe` with the settings of that layer, which are saved.
    """

    def _describe(
        self, target_shape: Sequence[int], padding: str, paddings: str, data_format: str,
        **windows: int | Sequence[int],
    ) -> None:  # fmt: skip
        self.target_shape = positive_ints("target_shape", target_shape)
        rank = len(self.target_shape) - 1
        for name, value in windows.items():
            setattr(self, name, one_for_each(name, value, rank, "spatial axes"))
        if padding not in paddings.split():
            expected = ", ".join(map(repr, paddings.split()))
            raise ValueError(f"padding must be one of {expected}, got {padding!r}")
        self.padding, self.data_format = padding, data_format
        self._channels_first = data_format == "channels_first"
        self._spatial, self._channels = self._parts(self.target_shape)
        self._settings = ("target_shape", "padding", "data_format", *windows)

    def _parts(self, shape: Shape) -> tuple[Shape, int]:
        """The spatial axes of a shape without batch, and its channels."""
        return (shape[1:], shape[0]) if self._channels_first else (shape[:-1], shape[-1])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, *target_shape)."""
        return (input_shape[0], *self.target_shape)

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return super().get_config() | {name: getattr(self, name) for name in self._settings}


@keras.saving.register_keras_serializable(package="delvm_tf")
class TransposedConvolution(_Restoring, Transposed):
    """Aᵀh + b, with A the convolution of images of exactly `target_shape`.

    The shape is restored for odd sizes and every padding, since A is the convolution of that very
    size; places that A did not see get b alone. Cost: that of A.

    Args:
        target_shape: shape of one output, that of one input of A.
        kernel_size: of A, one number or one for each spatial axis, like strides and dilation_rate.
        strides: of A.
        padding: of A, `"same"`, `"valid"` or `"causal"`.
        dilation_rate: of A; above 1 only without strides.
        groups: of A.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: see `Transposed`.

    Raises:
        ValueError: for numbers that do not fit the shape, or an unknown padding.
    """

    kernel_size: Shape
    strides: Shape
    dilation_rate: Shape

    def __init__(
        self,
        target_shape: Sequence[int],
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str = "same",
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        data_format: str = "channels_last",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._describe(
            target_shape, padding, "same valid causal", data_format,
            kernel_size=kernel_size, strides=strides, dilation_rate=dilation_rate,
        )  # fmt: skip
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"strides {self.strides} and dilation {self.dilation_rate} cannot both exceed 1"
            )
        self.groups = groups
        self._settings += ("groups",)

    def build(self, input_shape: Any) -> None:
        """Create the weights for `input_shape`; ValueError if A does not have such outputs."""
        given, filters = self._parts(tuple(input_shape[1:]))
        axes = zip(self._spatial, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        reach = 1 if self.padding == "valid" else 0
        seen = tuple(math.ceil((n - reach * d * (k - 1)) / s) for n, k, s, d in axes)
        if given != seen:
            raise ValueError(
                f"{self.name} leads from {seen} positions to {self._spatial}, but its inputs have "
                f"{given}"
            )
        kernel_shape = (*self.kernel_size, self._channels // self.groups, filters)
        self._add_weights(kernel_shape, self._channels)
        self.built = True

    def call(self, h: tf.Tensor) -> tf.Tensor:
        """Aᵀh + b, (batch, *target_shape)."""
        rank = len(self.kernel_size)
        if self._channels_first:
            h = tf.transpose(h, (0, *range(2, rank + 2), 1))
        parts = (tf.split(t, self.groups, axis=-1) for t in (h, tf.cast(self.kernel, h.dtype)))
        y = tf.concat([self._transpose(*part) for part in zip(*parts, strict=True)], axis=-1)
        if self.use_bias:
            y += tf.cast(self.bias, y.dtype)
        return tf.transpose(y, (0, rank + 1, *range(1, rank + 1))) if self._channels_first else y

    def _transpose(self, h: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        axes = zip(self._spatial, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        ends = [_padding(n, k, s, d, self.padding) for n, k, s, d in axes]
        if max(self.strides) == 1:
            return self._turned(h, kernel, ends)
        padded = [n + sum(added) for n, added in zip(self._spatial, ends, strict=True)]
        shape = [tf.shape(h)[0], *padded, kernel.shape[-2]]
        y = tf.nn.conv_transpose(h, kernel, shape, self.strides, padding="VALID")
        return tf.slice(y, [0, *(before for before, _ in ends), 0], [-1, *self._spatial, -1])

    def _turned(self, h: tf.Tensor, kernel: tf.Tensor, ends: list[tuple[int, int]]) -> tf.Tensor:
        """Without strides Aᵀ is a convolution too, which CPUs do faster and with dilation."""
        rank = len(ends)
        turned = tf.reverse(kernel, list(range(rank)))
        turned = tf.transpose(turned, (*range(rank), rank + 1, rank))
        reach = [d * (k - 1) for d, k in zip(self.dilation_rate, self.kernel_size, strict=True)]
        paddings = [(r - b, r - a) for r, (b, a) in zip(reach, ends, strict=True)]
        h = tf.pad(h, [(0, 0), *paddings, (0, 0)])
        return tf.nn.convolution(h, turned, padding="VALID", dilations=self.dilation_rate)


@keras.saving.register_keras_serializable(package="delvm_tf")
class Unpooling(_Restoring):
    """Each value of the output is that of the pooling window nearest to it; shapes are exact.

    Where windows lie side by side this repeats every value, cropped at the border for padding
    `"same"`. Values that no window saw, with `"valid"`, continue the last window.

    Args:
        target_shape: shape of one output, that of one input of the pooling.
        pool_size: side of the windows, one number or one for each spatial axis, like strides.
        strides: of the pooling.
        padding: of the pooling, `"same"` or `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`.
        **kwargs: `name` and `dtype`.

    Raises:
        ValueError: for numbers that do not fit the shape, or an unknown padding.
    """

    pool_size: Shape
    strides: Shape

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
        self._describe(
            target_shape, padding, "same valid", data_format, pool_size=pool_size, strides=strides
        )

    def call(self, h: tf.Tensor) -> tf.Tensor:
        """The nearest windows' values, (batch, *target_shape)."""
        axes = zip(self._spatial, self.pool_size, self.strides, strict=True)
        for axis, (n, p, s) in enumerate(axes, start=2 if self._channels_first else 1):
            start = _padding(n, p, s, 1, self.padding)[0] - (p - s) // 2
            last = h.shape[axis] * s - 1
            h = keras.ops.repeat(h, s, axis=axis) if s > 1 else h
            if (start, n) != (0, last + 1):
                h = tf.gather(h, [min(max(start + i, 0), last) for i in range(n)], axis=axis)
        return h


def _padding(size: int, kernel: int, stride: int, dilation: int, mode: str) -> tuple[int, int]:
    """Zeros that a convolution or pooling adds before and after an axis."""
    reach = dilation * (kernel - 1)
    if mode == "valid":
        return 0, 0
    if mode == "causal":
        return reach, 0
    total = max((math.ceil(size / stride) - 1) * stride + reach + 1 - size, 0)
    return total // 2, total - total // 2
