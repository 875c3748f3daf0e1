"""Convolutional networks."""

from collections.abc import Sequence
from typing import Any

import keras

from delvm_tf.networks.arguments import (
    input_layers,
    layer_arguments,
    one_for_each,
    positive_ints,
)


def cnn(
    filters: int | Sequence[int] = (70,),
    kernel_size: int | Sequence[int] = 5,
    strides: int | Sequence[int] = 1,
    padding: str = "same",
    activation: Any = "relu",
    use_bias: bool = True,
    bias_constraint: Any = None,
    kernel_initializer: Any = "glorot_uniform",
    seed: int | None = None,
    input_shape: tuple[int, ...] | None = None,
    output_activation: Any = None,
    **kwargs: Any,
) -> keras.Sequential:
    """A network of two-dimensional convolutions.

    Args:
        filters: filters of each layer.
        kernel_size: side of the square filters, one for all layers or one each.
        strides: strides, one for all layers or one each.
        padding: `"same"` or `"valid"`.
        activation: a Keras activation of every layer.
        use_bias: whether the layers have biases.
        bias_constraint: a Keras constraint or `"non_positive"`.
        kernel_initializer: a Keras initializer's name or instance.
        seed: makes the initial weights reproducible.
        input_shape: (height, width, channels); otherwise taken from the first data.
        output_activation: activation of the last layer, such as `"linear"`; by default that of
            the others.
        **kwargs: passed to every `keras.layers.Conv2D`.

    Returns:
        A `keras.Sequential`, (batch, height, width, channels) to (batch, height′, width′, filters).

    Examples:
        >>> network = dv.networks.cnn(filters=(70, 70), kernel_size=5)
        >>> network(images).shape
        TensorShape([16, 8, 8, 70])
    """
    n_filters = positive_ints("filters", filters)
    sizes = one_for_each("kernel_size", kernel_size, len(n_filters), "layers")
    steps = one_for_each("strides", strides, len(n_filters), "layers")
    arguments = layer_arguments(
        "conv", len(n_filters), activation, kernel_initializer, seed, output_activation,
        bias_constraint, use_bias=use_bias, padding=padding, **kwargs,
    )  # fmt: skip
    layers = input_layers(input_shape, kwargs.get("dtype"))
    for n, size, step, own in zip(n_filters, sizes, steps, arguments, strict=True):
        layers.append(keras.layers.Conv2D(n, size, strides=step, **own))
    return keras.Sequential(layers, name="cnn")
