"""The convolutional network of conjugate energy-based models."""

from collections.abc import Sequence
from typing import Any

import keras

from delvm_tf.networks.arguments import input_layers, layer_kernel_initializer, positive_ints
from delvm_tf.networks.cnn import cnn


def cebm_cnn(
    filters: int | Sequence[int] = (64, 64, 32, 32),
    kernel_size: int | Sequence[int] = (3, 4, 4, 4),
    strides: int | Sequence[int] = (1, 2, 2, 2),
    units: int | Sequence[int] = (128,),
    activation: Any = "silu",
    padding: str = "same",
    kernel_initializer: Any = "glorot_uniform",
    seed: int | None = None,
    input_shape: tuple[int, ...] | None = None,
    **kwargs: Any,
) -> keras.Sequential:
    """Convolutions, then dense layers, all with the same smooth activation.

    With its defaults the network that the authors of conjugate energy-based models use for images.
    Where a side is odd before a stride of two, as 7 in 28 × 28 images, `"same"` padding keeps 4
    positions and their padding by one pixel keeps 3.

    Source: Wu, Esmaeili, Wick, Tristan and van de Meent (2021), Conjugate energy-based models.

    Args:
        filters: filters of each convolution.
        kernel_size: side of the square filters, one for all convolutions or one each.
        strides: strides, one for all convolutions or one each.
        units: units of each dense layer.
        activation: a Keras activation.
        padding: `"same"` or `"valid"`.
        kernel_initializer: a Keras initializer's name or instance.
        seed: makes the initial weights reproducible.
        input_shape: (height, width, channels); otherwise taken from the first data.
        **kwargs: passed to every layer, such as `dtype`.

    Returns:
        A `keras.Sequential`, (batch, height, width, channels) to (batch, units).

    Raises:
        ValueError: if a number is not a positive integer, or there is not one for each layer.

    Example:
        >>> model = dv.CEBM(dv.networks.cebm_cnn(), latents=128)
    """
    widths = positive_ints("units", units)
    convolutions = cnn(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        activation=activation,
        kernel_initializer=kernel_initializer,
        seed=seed,
        **kwargs,
    ).layers
    layers = [*input_layers(input_shape, kwargs.get("dtype")), *convolutions]
    layers.append(keras.layers.Flatten(dtype=kwargs.get("dtype"), name="flatten"))
    for index, width in enumerate(widths):
        layers.append(
            keras.layers.Dense(
                width,
                activation=activation,
                kernel_initializer=layer_kernel_initializer(
                    kernel_initializer, seed, len(convolutions) + index
                ),
                name=f"dense_{index + 1}",
                **kwargs,
            )
        )
    return keras.Sequential(layers, name="cebm_cnn")
