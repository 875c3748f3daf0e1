"""Filters of image patches by any method, and features by any encoder."""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.catalog import MODELS, OBJECTIVES, Recipe, Recipes, Specification
from delvm_tf.features import (
    ENCODERS,
    Encoder,
    PatchWhitening,
    kmeans,
    make_encoder,
    random_filters,
    random_patches,
    sample_patches,
)
from delvm_tf.keras_private import all_layers
from delvm_tf.models.noise_conditional.energy_model import NoiseConditionalEnergyModel
from delvm_tf.models.reconstruction_model import ReconstructionModel

HIDDEN = "hidden"  # the encoder that a model brings along, E[h|p]
ENCODER_NAMES = (*ENCODERS, HIDDEN)
EPSILON = 1e-3  # of the whitening of patches to be encoded


class Dictionary(NamedTuple):
    """Filters without a model.

    Attributes:
        title: what tables call it.
        learn: whitened patches, (n, d), the number of filters and a seed to filters, (d, filters).
    """

    title: str
    learn: Callable[[np.ndarray, int, int], np.ndarray]


DICTIONARIES = {
    "kmeans": Dictionary("k-means", kmeans),
    "random": Dictionary("random filters", random_filters),
    "random-patches": Dictionary("random patches", random_patches),
}
# Models by the short title of their objective and their name, such as sm-delvm or cd-gaussian-rbm.
MODEL_METHODS = {
    f"{OBJECTIVES[objective].title.lower().replace(' ', '-')}-{model}": (model, objective)
    for model, kind in MODELS.items()
    if kind.layers != "filters" and model != "conv-autoencoder"
    for objective in kind.objectives
}
METHODS = (*DICTIONARIES, *MODEL_METHODS)


@dataclasses.dataclass(frozen=True)
class PatchRecipe(Recipe):
    """A recipe for filters of patches; for a dictionary the model plays no part.

    Attributes:
        encoder: one of `ENCODER_NAMES`, from filters to codes.
        threshold: of the encoder.
        epsilon: of the whitening of the patches that the filters are learned on.
    """

    encoder: str = "signed"
    threshold: float = 0.5
    epsilon: float = 0.1


def patch_recipe(recipes: Recipes[PatchRecipe], method: str, filters: int) -> PatchRecipe:
    """The recipe of a method for a number of filters.

    Args:
        recipes: of a file; where it has none for the method, its defaults serve.
        method: a name in the file, or one of `METHODS`.
        filters: how many.

    Raises:
        ValueError: for an unknown method.
    """
    usual = MODEL_METHODS.get(method, MODEL_METHODS["sm-delvm"])
    if method not in {*recipes, *METHODS}:
        known = dict.fromkeys([*recipes, *METHODS])
        raise ValueError(f"unknown method {method!r}; expected one of {', '.join(known)}")
    found = recipes[method] if method in recipes else recipes.plain(*usual)
    if found is not None and method in DICTIONARIES:
        found = dataclasses.replace(found, name=DICTIONARIES[method].title)
    return (found or PatchRecipe(*usual)).changed({"model_settings": {"units": [filters]}})


class Learned(NamedTuple):
    """What a method has made of the patches.

    Attributes:
        filters: linear filters of whitened patches, (d, filters), or None for a model without.
        hidden: whitened patches to the model's E[h|p], at each of its noise levels if it knows
            any, or None without a model.
    """

    filters: np.ndarray | None
    hidden: Encoder | None = None

    def after(self, change: np.ndarray) -> "Learned":
        """The same for other patches z, of which zT are those that were learned on.

        Args:
            change: T, (d, d).
        """
        filters, hidden = self.filters, self.hidden
        return Learned(
            None if filters is None else change @ filters,
            None if hidden is None else lambda z: hidden(tf.matmul(z, change)),
        )

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


def learn(
    method: str, recipe: Specification, patches: np.ndarray, filters: int, seed: int
) -> Learned:
    """What a method makes of whitened patches, (n, d).

    Raises:
        TrainingDiverged: if a model ran away.
    """
    if method in DICTIONARIES:
        return Learned(DICTIONARIES[method].learn(patches, filters, seed))
    return learn_model(recipe, patches, seed)


def learn_from_images(
    method: str, recipe: PatchRecipe, images: np.ndarray, size: int, filters: int, patches: int,
    seed: int, epsilon: float = EPSILON,
) -> tuple[PatchWhitening, Learned]:  # fmt: skip
    """What a method makes of patches of images, and the whitening it encodes patches in.

    Args:
        method: as of `learn`.
        recipe: of the method, with the whitening that it learns in.
        images: (n, height, width, channels), with values between 0 and 255.
        size: side of a patch.
        filters: how many.
        patches: to learn on.
        seed: of all draws.
        epsilon: of the whitening for the encoder.

    Raises:
        TrainingDiverged: if a model ran away.
    """
    raw = sample_patches(images, size, patches, seed)
    whiten = PatchWhitening(raw, epsilon=epsilon)
    to_learn = PatchWhitening(raw, epsilon=recipe.epsilon)
    learned = learn(method, recipe, to_learn(raw).numpy(), filters, seed)
    return whiten, learned.after(whiten.change_to(to_learn))


def learn_model(specification: Specification, patches: np.ndarray, seed: int) -> Learned:
    """Train a model on whitened patches, (n, d).

    Raises:
        TrainingDiverged: if it ran away.
    """
    model = specification.train(patches, seed)

    def hidden(p: tf.Tensor) -> tf.Tensor:
        z = model.normalization(p)
        if not isinstance(model, NoiseConditionalEnergyModel):
            return model.normalized_hidden(z)
        levels = [tf.constant(math.log(sigma), z.dtype) for sigma in model.noise_levels]
        return tf.concat([model.normalized_hidden(z, level) for level in levels], axis=1)

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
