"""The convolutional network of conjugate energy-based models."""

from collections.abc import Sequence
from typing import Any

import keras

from delvm_tf.networks.arguments import input_layers, layer_arguments, positive_ints
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

    By default the network that the authors of conjugate energy-based models use for images, except
    where a side is odd before a stride of two, as 7 in 28 × 28 images: `"same"` padding keeps 4
    positions and theirs, by one pixel, 3.

    Source: Wu, Esmaeili, Wick, Tristan and van de Meent (2021), Conjugate energy-based models.

    `units` are those of each dense layer, and `kwargs` are passed to every layer; for the other
    arguments see `cnn`. The result is a `keras.Sequential`, (batch, height, width, channels) to
    (batch, units).

    Examples:
        >>> model = dv.CEBM(dv.networks.cebm_cnn(), latents=128)
        >>> model.adapt(images)
        >>> model.hidden(images).shape
        TensorShape([16, 128])
    """
    widths = positive_ints("units", units)
    convolutions = cnn(
        filters, kernel_size, strides, padding, activation, kernel_initializer=kernel_initializer,
        seed=seed, **kwargs,
    ).layers  # fmt: skip
    arguments = layer_arguments(
        "dense", len(widths), activation, kernel_initializer, seed, first=len(convolutions),
        **kwargs,
    )  # fmt: skip
    dtype = kwargs.get("dtype")
    layers = [*input_layers(input_shape, dtype), *convolutions]
    layers.append(keras.layers.Flatten(dtype=dtype, name="flatten"))
    layers += [keras.layers.Dense(n, **own) for n, own in zip(widths, arguments, strict=True)]
    return keras.Sequential(layers, name="cebm_cnn")
