"""Filters of image patches by any method, and features by any encoder."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from delvm_tf.catalog import Specification
from delvm_tf.features import (
    ENCODERS,
    Encoder,
    kmeans,
    make_encoder,
    random_filters,
    random_patches,
)
from delvm_tf.keras_private import all_layers
from delvm_tf.models.reconstruction_model import ReconstructionModel

HIDDEN = "hidden"  # the encoder that a model brings along, E[h|p]
ENCODER_NAMES = (*ENCODERS, HIDDEN)
DICTIONARIES: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "kmeans": kmeans,
    "random": random_filters,
    "random-patches": random_patches,
}


class Learned(NamedTuple):
    """What a method has made of the patches.

    Attributes:
        filters: linear filters of whitened patches, (d, filters), or None for a model without.
        hidden: whitened patches to the model's E[h|p], or None without a model.
    """

    filters: np.ndarray | None
    hidden: Encoder | None = None

    def encoder(self, name: str, threshold: float = 0.0) -> Encoder:
        """An encoder by name, one of `ENCODER_NAMES`.

        Raises:
            ValueError: for an unknown name, or if the method does not have what it needs.
        """
        if name == HIDDEN:
            if self.hidden is None:
                raise ValueError(
                    f"the encoder {HIDDEN!r} is that of a model; for a dictionary without one "
                    f"choose from {', '.join(ENCODERS)}"
                )
            return self.hidden
        if self.filters is None:
            raise ValueError(
                f"the encoder {name!r} needs linear filters, which this model does not have; "
                f"choose {HIDDEN!r}"
            )
        return make_encoder(name, self.filters, threshold)


def learn_model(specification: Specification, patches: np.ndarray, seed: int) -> Learned:
    """Train a model on whitened patches, (n, d).

    Raises:
        TrainingDiverged: if it ran away.
    """
    model = specification.train(patches, seed)

    def hidden(p):
        return model.normalized_hidden(model.normalization(p))

    return Learned(linear_filters(model), hidden)


def linear_filters(model: ReconstructionModel) -> np.ndarray | None:
    """Weights of the first dense layer on the model's inputs, or None where there is no such layer.

    The inputs' normalisation must be a shift and a gain of each, g; the layer's weights W are then
    gW on the inputs.
    """
    layers = [each for each in all_layers(model) if isinstance(each, keras.layers.Dense)]
    if not layers or model.normalization.mode == "zca":
        return None
    gain = keras.ops.convert_to_numpy(model.normalization.gain).reshape(-1, 1)
    return gain * keras.ops.convert_to_numpy(layers[0].kernel)
