"""Methods that learn filters of patches, by name, with the settings that suit them."""

from typing import Any, NamedTuple

from delvm_tf.catalog import MODELS, OBJECTIVES, Specification
from trainers.experiments.patches import DICTIONARIES

_TITLES = {"kmeans": "k-means", "random": "random filters", "random-patches": "random patches"}


class PatchMethod(NamedTuple):
    """A method with its recipe.

    Attributes:
        title: what tables call it.
        specification: of the model, units aside; None for a dictionary without one.
        encoder: the encoder that does best with it on held-out training images.
        threshold: of that encoder.
    """

    title: str
    specification: Specification | None
    encoder: str
    threshold: float


# By method, settings of the model, of the objective and of training.
_SETTINGS: dict[str, dict[str, Any]] = {
    "sm-delvm": {"model": {"scale": 1.5, "bias_constraint": "non_positive"}},
    "dsm-delvm": {
        "model": {"scale": 1.5, "bias_constraint": "non_positive"}, "objective": {"sigma": 0.7},
    },
    "sm-dem": {"model": {"scale": 1.5, "activation": "linear"}},
}  # fmt: skip
_SIGNED = ("signed", 0.5)
_ENCODERS = {"dsm-delvm": ("signed", 0.25)}


def _model_methods() -> dict[str, tuple[str, str]]:
    return {
        f"{OBJECTIVES[objective].title.lower().replace(' ', '-')}-{model}": (model, objective)
        for model, kind in MODELS.items()
        if kind.layers != "filters" and model != "conv-autoencoder"
        for objective in kind.objectives
    }


METHODS = (*DICTIONARIES, *_model_methods())


def patch_method(name: str, filters: int) -> PatchMethod:
    """A method of `METHODS` for a number of filters.

    A model is named by the short title of its objective and its name in the catalog, such as
    `sm-delvm`, `dsm-dem`, `cd-gaussian-rbm`.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; expected one of {', '.join(METHODS)}")
    encoder = _ENCODERS.get(name, _SIGNED)
    if name in DICTIONARIES:
        return PatchMethod(_TITLES[name], None, *encoder)
    model, objective = _model_methods()[name]
    settings = _SETTINGS.get(name, {})
    specification = Specification(
        model=model,
        objective=objective,
        model_settings={"normalization": "none", "units": [filters], **settings.get("model", {})},
        objective_settings=settings.get("objective", {}),
        **{"epochs": 10, "learning_rate": 1e-3, **settings.get("training", {})},
    )
    return PatchMethod(specification.title, specification, *encoder)
