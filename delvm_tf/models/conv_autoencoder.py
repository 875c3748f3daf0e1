"""Convolutional autoencoders."""

from typing import Any

import keras

from delvm_tf.keras_private import all_layers
from delvm_tf.models.autoencoder import Autoencoder

L = keras.layers
CONVOLUTIONS = (
    L.Conv1D, L.Conv2D, L.Conv3D, L.DepthwiseConv1D, L.DepthwiseConv2D,
    L.SeparableConv1D, L.SeparableConv2D,
)  # fmt: skip


@keras.saving.register_keras_serializable(package="delvm_tf")
class ConvAutoencoder(Autoencoder):
    """An `Autoencoder` of images: the same in all, but it refuses an encoder without convolutions.

    Args:
        network: the encoder, with convolutional layers.
        **kwargs: see `Autoencoder`.

    Raises:
        ValueError: if none of the encoder's layers is a convolution. See `Autoencoder` for others.

    Examples:
        >>> model = dv.ConvAutoencoder(dv.networks.cnn((32, 16), 3, strides=2))
        >>> model.adapt(images)
        >>> model.hidden(images).shape
        TensorShape([16, 2, 2, 16])
    """

    def __init__(self, network: Any, **kwargs: Any):
        super().__init__(network, **kwargs)
        layers = [each for each in all_layers(network) if len(all_layers(each)) == 1]
        if layers and not any(isinstance(layer, CONVOLUTIONS) for layer in layers):
            kinds = ", ".join(sorted({type(layer).__name__ for layer in layers}))
            raise ValueError(
                f"ConvAutoencoder needs an encoder with convolutions, such as dv.networks.cnn(), "
                f"but its layers are {kinds}; use dv.Autoencoder"
            )
