"""Settings for feature learning, by data set, model and objective."""

from typing import Any

from delvm_tf.catalog import MODELS, Specification

_FILTERS = {"fashion_mnist": (70, 5), "cifar10": (80, 3), "digits": (16, 3)}
# Of the centred inputs, chosen on training images that were held out.
_SCALES = {("fashion_mnist", "delvm", "score-matching"): 3.0}
_UNITS = {"fashion_mnist": 512, "cifar10": 1024, "digits": 64}


def feature_recipe(dataset: str, model: str, objective: str | None) -> Specification:
    """One layer of the size that random filters do well with, or of units where a model needs them.

    Raises:
        ValueError: for a data set without images to learn features of.
    """
    if dataset not in _FILTERS:
        raise ValueError(
            f"no feature learning on {dataset!r}; expected one of {', '.join(_FILTERS)}"
        )
    filters, size = _FILTERS[dataset]
    layers: dict[str, Any] = {"filters": [filters], "kernel_size": size}
    if MODELS[model].layers == "units":
        layers = {"units": [_UNITS[dataset]]}
    objective = objective or MODELS[model].objectives[0]
    if (dataset, model, objective) in _SCALES:
        layers["scale"] = _SCALES[dataset, model, objective]
    return Specification(
        model=model,
        objective=objective,
        model_settings=layers,
        epochs=10,
        learning_rate=1e-3,
    )
