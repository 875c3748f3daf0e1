"""Settings for one class of images against the rest, the same for all classes.

They were chosen by the mean over classes of the AUROC on held-out training images.
"""

import dataclasses
from typing import Any

from delvm_tf.catalog import MODELS, Specification
from trainers.recipes.patches import PatchMethod, patch_method

_UNITS: dict[str, Any] = {"units": [256]}
_FILTERS: dict[str, Any] = {"filters": [64], "kernel_size": 8, "strides": 4}
# By method, settings of a model of whitened patches and of its objective.
_PATCHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "dsm-delvm": ({"scale": 1.0, "bias_constraint": "non_positive"}, {"sigma": 0.5}),
}


def one_vs_rest_recipe(model: str, objective: str | None) -> Specification:
    """One dense layer on contrast-normalised images, of filters where a model needs them."""
    needs_filters = MODELS[model].layers == "filters" or model == "conv-autoencoder"
    layers = _FILTERS if needs_filters else _UNITS
    return Specification(
        model=model,
        objective=objective or MODELS[model].objectives[0],
        model_settings={**layers, "normalization": "center", "scale": 1.0},
        epochs=8,
        learning_rate=1e-3,
    )


def one_vs_rest_patch_method(name: str, filters: int) -> PatchMethod:
    """A method of patches, with one code per filter: the rectifier, for k-means the triangle.

    Raises:
        ValueError: for an unknown name.
    """
    method = patch_method(name, filters)
    encoder = ("triangle", 0.0) if name == "kmeans" else ("rectifier", 0.25)
    method = method._replace(encoder=encoder[0], threshold=encoder[1])
    if name not in _PATCHES or method.specification is None:
        return method
    model, objective = _PATCHES[name]
    recipe = method.specification
    specification = dataclasses.replace(
        recipe,
        model_settings={**recipe.model_settings, **model},
        objective_settings={**recipe.objective_settings, **objective},
    )
    return method._replace(specification=specification)
