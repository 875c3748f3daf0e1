"""The convolutional restricted Boltzmann machine."""

from collections.abc import Sequence
from typing import Any

import keras

from delvm_tf.models.boltzmann.rbm import RealRBM
from delvm_tf.networks.arguments import positive_ints
from delvm_tf.networks.cnn import cnn
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.objective import Objective


@keras.saving.register_keras_serializable(package="delvm_tf")
class ConvRBM(RealRBM):
    """E(x, h) = ½‖x−b‖² − Σ h·(w ∗ x + c), h binary feature maps, with a bias b for each channel.

    A `GaussianRBM` whose hidden units share their filters over the positions of an image.

    Source: Lee, Grosse, Ranganath and Ng (2009), Convolutional deep belief networks; without their
    probabilistic max-pooling, and with Gaussian visible units.

    Args:
        filters: hidden feature maps.
        kernel_size: side of the square filters.
        strides: strides of the filters.
        padding: `"same"` or `"valid"`; with the latter border pixels have fewer hidden units.
        objective: how it is learned; `ContrastiveDivergence()` by default.
        normalization: see `ReconstructionModel`.
        scale: factor on the normalised inputs, 1/σ of the visible noise.
        visible_precision: None for unit noise, or a learned `"scalar"` or `"diagonal"` precision.
        kernel_initializer: a Keras initializer's name or instance.
        seed: makes the initial weights reproducible.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        ValueError: for numbers that are no positive integers, or an unknown precision or padding.

    Examples:
        >>> model = dv.ConvRBM(filters=32, kernel_size=5, normalization="zca")
        >>> model.adapt(images)
        >>> model.hidden(images).shape
        TensorShape([16, 8, 8, 32])
    """

    def __init__(
        self,
        filters: int = 32,
        kernel_size: int = 5,
        strides: int = 1,
        padding: str = "same",
        objective: Objective | None = None,
        normalization: str | InputNormalization | None = "center",
        scale: float = 1.0,
        visible_precision: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        seed: int | None = None,
        **kwargs: Any,
    ):
        (filters,) = positive_ints("filters", [filters])
        (kernel_size,) = positive_ints("kernel_size", [kernel_size])
        (strides,) = positive_ints("strides", [strides])
        network = cnn(
            filters, kernel_size, strides, padding=padding, activation="linear",
            kernel_initializer=kernel_initializer, seed=seed, dtype=kwargs.get("dtype"),
        )  # fmt: skip
        super().__init__(
            network,
            objective=objective,
            normalization=normalization,
            scale=scale,
            visible_precision=visible_precision,
            visible_bias="channel",
            **kwargs,
        )
        self.arguments = {
            "filters": filters,
            "kernel_size": kernel_size,
            "strides": strides,
            "padding": padding,
            "seed": seed,
        }
        self.kernel_initializer = kernel_initializer

    def build_parameters(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights, for images only."""
        if len(input_shape) != 4:
            raise ValueError(
                f"ConvRBM takes images of shape (height, width, channels), got inputs of shape "
                f"{tuple(input_shape[1:])}; use GaussianRBM for vectors"
            )
        super().build_parameters(tuple(input_shape))

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving."""
        return {
            **super().get_config(),
            **self.arguments,
            "kernel_initializer": keras.saving.serialize_keras_object(self.kernel_initializer),
        }
