"""Settings chosen on data carved from the training part, by protocol, model and objective."""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Detection:
    """How trained models become a detector.

    Attributes:
        ensemble: number of models.
        power: of their mean standardised excess, which moves the threshold and no ranking.
    """

    ensemble: int = 1
    power: float = 1.0

    def name(self, method: str) -> str:
        """What tables call it, for models called `method`."""
        members = f", ensemble of {self.ensemble}" if self.ensemble > 1 else ""
        return f"{method}{members}" + (f", power {self.power:g}" if self.power != 1 else "")


_TWO = [256, 128]
_CEBM = {"latents": 32, "activation": "silu"}
_ECG_STANDARD: dict[tuple[str, str], dict[str, Any]] = {
    ("delvm", "score-matching"): _settings(
        [512, 128, 128], 0.35, epochs=30, learning_rate=3e-4, trace="hutchinson"
    ),
    ("delvm", "sliced"): _settings(_TWO, 0.35),
    ("delvm", "denoising"): _settings(_TWO, 0.35, sigma=1.0),
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
    ("delvm", "score-matching"): _settings(
        [512, 128, 128], 2.0, epochs=15, learning_rate=3e-4, trace="hutchinson"
    ),
}
_ECG_PAPER_PRINTED = {
    "model_settings": {"units": [2048], "normalization": "minmax"},
    "epochs": 10, "learning_rate": 1e-3,
}  # fmt: skip
_RECIPES = {
    ("ecg5000", "standard"): _ECG_STANDARD,
    ("ecg5000", "ucr"): _ECG_STANDARD,
    ("ecg5000", "paper"): _ECG_PAPER,
}
_DETECTIONS: dict[tuple[str, str, str, str], Detection] = {
    ("ecg5000", "standard", "delvm", "score-matching"): Detection(power=2.0),
    ("ecg5000", "standard", "delvm", "denoising"): Detection(ensemble=5, power=2.5),
    ("ecg5000", "paper", "delvm", "score-matching"): Detection(ensemble=5),
}


def recipe(
    dataset: str, protocol: str, model: str, objective: str | None, sign: str | None = None
) -> Specification:
    """The settings for a data set, or sensible ones where none were chosen.

    For the sign as printed, on the protocol `paper`, they are the paper's own.
    """
    objective = objective or MODELS[model].objectives[0]
    known = _RECIPES.get((dataset, protocol), _ECG_STANDARD)
    settings = dict(known.get((model, objective), {})) or _default(model)
    if dataset != "ecg5000":
        settings["objective_settings"] = {
            key: value
            for key, value in settings.get("objective_settings", {}).items()
            if key != "trace"
        }
    if sign == "as_printed" and protocol == "paper":
        settings = dict(_ECG_PAPER_PRINTED)
    return Specification(model=model, objective=objective, **settings)


def _default(model: str) -> dict[str, Any]:
    layers: dict[str, Any] = {"filters": [32]} if MODELS[model].layers == "filters" else {
        "units": [256] if model == "gaussian-rbm" else [256, 128]
    }  # fmt: skip
    if model == "conv-autoencoder":
        layers = {"filters": [32, 32]}
    return {"model_settings": layers, "epochs": 30, "learning_rate": 1e-3}


def default_detection(
    dataset: str, protocol: str, model: str, objective: str | None, sign: str | None = None
) -> Detection:
    """The number of models and the power for a data set; one model and no power if none chosen."""
    if sign == "as_printed":
        return Detection()
    objective = objective or MODELS[model].objectives[0]
    return _DETECTIONS.get((dataset, protocol, model, objective), Detection())
