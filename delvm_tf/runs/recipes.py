"""Settings chosen on data carved from the training part, by protocol, model and objective."""

from typing import Any

from delvm_tf.catalog import MODELS, Specification


def _settings(
    units: list[int], scale: float = 1.0, epochs: int = 20, learning_rate: float = 1e-3,
    clipnorm: float | None = None, model: dict[str, Any] | None = None, **objective: Any,
) -> dict[str, Any]:  # fmt: skip
    return {
        "model_settings": {
            "units": units, "normalization": "center", "scale": scale, **(model or {}),
        },
        "objective_settings": objective, "epochs": epochs, "learning_rate": learning_rate,
        "clipnorm": clipnorm,
    }  # fmt: skip


_TWO = [256, 128]
_CEBM = {"latents": 32, "activation": "silu"}
_ECG_STANDARD: dict[tuple[str, str], dict[str, Any]] = {
    ("delvm", "score-matching"): _settings(
        [512, 128, 128], 0.35, epochs=30, learning_rate=3e-4, trace="hutchinson"
    ),
    ("delvm", "sliced"): _settings(_TWO, 0.35),
    ("delvm", "denoising"): _settings([256], 0.35, sigma=1.0),
    ("delvm", "cd"): _settings(_TWO, epochs=15, learning_rate=1e-4),
    ("delvm", "persistent-cd"): _settings(_TWO, epochs=15, learning_rate=1e-4),
    ("dem", "score-matching"): _settings(_TWO, 0.35, trace="hutchinson"),
    ("dem", "denoising"): _settings(_TWO, 0.35, sigma=1.0),
    ("dem", "cd"): _settings(_TWO, epochs=15, learning_rate=1e-4),
    ("dem", "persistent-cd"): _settings(_TWO, epochs=15, learning_rate=1e-4),
    ("dsebm", "score-matching"): _settings(_TWO, 0.35, trace="hutchinson"),
    ("dsebm", "denoising"): _settings(_TWO, 0.35, sigma=1.0),
    ("dsebm", "cd"): _settings(_TWO, epochs=15, learning_rate=1e-4),
    ("cebm", "score-matching"): _settings(_TWO, model=_CEBM, trace="hutchinson"),
    ("cebm", "denoising"): _settings(_TWO, model=_CEBM, sigma=0.3),
    ("cebm", "langevin-cd"): _settings(_TWO, epochs=10, clipnorm=1.0, model=_CEBM, k=20),
    ("cebm-mixture", "langevin-cd"): _settings(
        _TWO, epochs=10, learning_rate=1e-4, clipnorm=1.0, model=_CEBM, k=20
    ),
    ("gaussian-rbm", "score-matching"): _settings([256]),
    ("gaussian-rbm", "cd"): _settings([256]),
    ("gaussian-rbm", "persistent-cd"): _settings([256], learning_rate=1e-4),
    ("dbn", "cd"): _settings(_TWO),
    ("dbm", "persistent-cd"): _settings(_TWO, learning_rate=1e-4),
    ("autoencoder", "reconstruction"): _settings(_TWO, 0.35),
}
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
    settings = dict(known.get((model, objective), {})) or _default(model)
    if dataset != "ecg5000":
        settings["objective_settings"] = {
            key: value
            for key, value in settings.get("objective_settings", {}).items()
            if key != "trace"
        }
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
