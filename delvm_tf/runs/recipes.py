"""Settings chosen on data carved from the training part, by protocol, model and objective."""

from typing import Any

from delvm_tf.catalog import MODELS, Specification

_ECG_STANDARD: dict[tuple[str, str], dict[str, Any]] = {
    ("delvm", "score-matching"): {
        "model_settings": {"units": [512, 128, 128], "normalization": "center", "scale": 0.35},
        "objective_settings": {"trace": "basis"},
        "epochs": 30, "learning_rate": 3e-4,
    },
}  # fmt: skip
_ECG_PAPER: dict[tuple[str, str], dict[str, Any]] = {
    ("delvm", "score-matching"): {
        "model_settings": {"units": [256], "normalization": "center", "scale": 6.0},
        "epochs": 20, "learning_rate": 1e-3,
    },
}  # fmt: skip
_RECIPES = {
    ("ecg5000", "standard"): _ECG_STANDARD,
    ("ecg5000", "ucr"): _ECG_STANDARD,
    ("ecg5000", "paper"): _ECG_PAPER,
}
_SCORES = {"paper": "reconstruction_error"}


def recipe(dataset: str, protocol: str, model: str, objective: str | None) -> Specification:
    """The settings for a data set, or sensible ones where none were chosen."""
    objective = objective or MODELS[model].objectives[0]
    known = _RECIPES.get((dataset, protocol), _ECG_STANDARD)
    settings = dict(known.get((model, objective), {}))
    if not settings:
        settings = _default(model)
    if dataset != "ecg5000":
        settings["objective_settings"] = {}
    return Specification(model=model, objective=objective, **settings)


def _default(model: str) -> dict[str, Any]:
    layers: dict[str, Any] = {"filters": [32]} if MODELS[model].layers == "filters" else {
        "units": [256] if model == "gaussian-rbm" else [256, 128]
    }  # fmt: skip
    if model == "conv-autoencoder":
        layers = {"filters": [32, 32]}
    return {"model_settings": layers, "epochs": 30, "learning_rate": 1e-3}


def default_score(protocol: str) -> str:
    """The anomaly score that serves a protocol best."""
    return _SCORES.get(protocol, "energy")
