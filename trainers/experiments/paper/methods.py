"""How each method of the paper is trained: the settings that all figures share."""

from typing import Any, NamedTuple

# The inputs as the paper has them (of Fashion-MNIST it says nothing), and for the corrected
# objective, which has nothing to learn at unit scale.
PAPER_INPUTS: dict[str, dict[str, Any]] = {
    "fashion_mnist": {"normalization": "minmax"},
    "cifar10": {"normalization": "zscore"},
    "ecg5000": {"normalization": "minmax"},
}
CORRECTED_INPUTS: dict[str, dict[str, Any]] = {
    "fashion_mnist": {"normalization": "center", "scale": 3.0},
    "cifar10": {"normalization": "center", "scale": 3.0},
    "ecg5000": {"normalization": "center", "scale": 3.0},
}
INPUTS = {"paper": PAPER_INPUTS, "corrected": CORRECTED_INPUTS}

# Of Adam, layer by layer; the paper says 1e-3 to 1e-5 for images, 1e-2 or 1e-3 for heartbeats.
IMAGE_RATES = (1e-3, 2e-4, 5e-5, 1e-5)
BEAT_RATES = (1e-3, 1e-3, 1e-3, 1e-3)
CEBM_RATE = 1e-4
CEBM_CLIPNORM = 1.0

CEBM_FILTERS = (64, 64, 32, 32)
CEBM_SIZES = (3, 4, 4, 4)
CEBM_STRIDES = (1, 2, 2, 2)
CEBM_UNITS = (128,)
BATCH_SIZE = 100


class Method(NamedTuple):
    """A model with its objective, as the figures call it.

    Attributes:
        title: in tables and legends.
        model: name in the catalog.
        objective: name in the catalog; empty if it is not trained.
        inputs: which of `INPUTS`.
        schedule: which number of epochs; empty if it is not trained.
        objective_settings: of the objective.
        twin: the untrained method with the same inputs.
    """

    title: str
    model: str
    objective: str
    inputs: str
    schedule: str
    objective_settings: tuple[tuple[str, Any], ...] = ()
    twin: str = ""


_PRINTED = (("sign", "as_printed"),)
METHODS = {
    "sm-delvm": Method(
        "SM-DELVM", "delvm", "score-matching", "corrected", "sm", twin="random"
    ),
    "sm-delvm-printed": Method(
        "SM-DELVM (sign as printed)", "delvm", "score-matching", "paper", "sm", _PRINTED,
        "random-paper",
    ),
    "cd-delvm": Method("CD-DELVM", "delvm", "cd", "paper", "cd", twin="random-paper"),
    "sm-dem": Method("SM-DEM", "dem", "score-matching", "corrected", "sm", twin="random"),
    "sm-dem-printed": Method(
        "SM-DEM (sign as printed)", "dem", "score-matching", "paper", "sm", _PRINTED,
        "random-paper",
    ),
    "cebm": Method("CEBM", "cebm", "langevin-cd", "paper", "cebm"),
    "ae": Method("AE", "autoencoder", "reconstruction", "paper", "ae"),
    "cae": Method("CAE", "conv-autoencoder", "reconstruction", "paper", "ae"),
    "random": Method("random filters", "delvm", "", "corrected", ""),
    "random-paper": Method("random filters (the paper's inputs)", "delvm", "", "paper", ""),
    "random-cd": Method("random filters (CD-DELVM's network)", "delvm", "", "paper", ""),
}  # fmt: skip
TITLES = {name: method.title for name, method in METHODS.items()}
RAW_PIXELS = "raw pixels"
COMPONENTS = 256
PCA_FEATURES = f"PCA ({COMPONENTS})"
ALL_ABNORMAL = "all abnormal"
FEATURE_BASELINES = (RAW_PIXELS, PCA_FEATURES)
ANOMALY_BASELINES = (
    ALL_ABNORMAL, "distance to mean", "PCA residual (4)", "PCA residual (16)", "isolation forest",
)  # fmt: skip
