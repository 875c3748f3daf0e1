"""Methods to learn a density in two dimensions, with settings chosen on validation points."""

from typing import Any, NamedTuple

from delvm_tf.catalog import Specification
from delvm_tf.samplers import Langevin


class Method(NamedTuple):
    """A model with its objective and training, and what tables call it."""

    title: str
    specification: Specification


def _method(
    title: str, model: str = "delvm", objective: str = "score-matching", epochs: int = 20,
    learning_rate: float = 1e-2, scale: float = 2.0, activation: str = "tanh",
    objective_settings: dict[str, Any] | None = None, **model_settings: Any,
) -> Method:  # fmt: skip
    """A method with the common settings unless others are given."""
    return Method(
        title,
        Specification(
            model, objective, epochs=epochs, batch_size=200, learning_rate=learning_rate,
            model_settings={"units": [64, 256], "activation": activation, "normalization": "center",
                            "scale": scale, **model_settings},
            objective_settings=objective_settings or {},
        ),
    )  # fmt: skip


METHODS = {
    "sm-delvm": _method("SM-DELVM"),
    "ssm-delvm": _method("sliced-SM-DELVM", objective="sliced"),
    "dsm-delvm": _method("DSM-DELVM", objective="denoising", objective_settings={"sigma": 0.2}),
    "dsm-ladder-delvm": _method(
        "DSM-DELVM, five levels", objective="denoising",
        objective_settings={"sigma": 0.8, "smallest": 0.2, "levels": 5},
    ),
    "cd-delvm": _method("CD-1-DELVM, x′ = Jᵀh", objective="cd", learning_rate=3e-3),
    "langevin-cd-delvm": _method(
        "CD-10-DELVM, Langevin", objective="cd", learning_rate=3e-3,
        objective_settings={"k": 10, "sampler": Langevin(0.03)},
    ),
    "pcd-delvm": _method(
        "PCD-10-DELVM, Langevin", objective="cd", learning_rate=3e-3,
        objective_settings={"k": 10, "sampler": Langevin(0.1), "persistent": True,
                            "chains": 200, "restart": 0.01},
    ),
    "sm-dem": _method("SM-DEM", "dem"),
    "sm-cebm": _method("SM-CEBM", "cebm", learning_rate=3e-3, latents=16),
    "sm-cebm-quadratic": _method(
        "SM-CEBM, quadratic part", "cebm", learning_rate=3e-3, latents=16,
        visible_precision="scalar",
    ),
    "sm-delvm-softplus": _method("SM-DELVM, softplus", activation="softplus"),
}  # fmt: skip
