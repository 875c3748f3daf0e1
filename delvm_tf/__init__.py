"""Deep energy-based latent variable models, trained by score matching in TensorFlow and Keras.

Models, objectives and networks are imported at once, so that `keras.saving.load_model` finds the
registered classes. Everything with heavy or optional dependencies is imported on first use.
"""

import importlib
from typing import Any

from delvm_tf import (
    catalog,
    curvature,
    distribution,
    metrics,
    networks,
    noise,
    normalization,
    samplers,
)
from delvm_tf.models.autoencoder import Autoencoder
from delvm_tf.models.boltzmann.bernoulli_rbm import BernoulliRBM
from delvm_tf.models.boltzmann.conv_rbm import ConvRBM
from delvm_tf.models.boltzmann.dbm import DBM
from delvm_tf.models.boltzmann.dbn import DBN
from delvm_tf.models.boltzmann.gaussian_rbm import GaussianRBM
from delvm_tf.models.cebm import CEBM
from delvm_tf.models.conv_autoencoder import ConvAutoencoder
from delvm_tf.models.delvm import DELVM
from delvm_tf.models.dem import DEM
from delvm_tf.models.dsebm import DSEBM
from delvm_tf.models.energy_model import EnergyModel
from delvm_tf.models.latent_energy_model import LatentEnergyModel
from delvm_tf.models.noise_conditional.delvm import NoiseConditionalDELVM
from delvm_tf.models.noise_conditional.dem import NoiseConditionalDEM
from delvm_tf.models.noise_conditional.density import DensityDELVM
from delvm_tf.models.noise_conditional.dsebm import NoiseConditionalDSEBM
from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.objectives.contrastive_divergence import ContrastiveDivergence
from delvm_tf.objectives.denoising_score_matching import DenoisingScoreMatching
from delvm_tf.objectives.dual_score_matching import DualScoreMatching
from delvm_tf.objectives.noise_conditional_score_matching import NoiseConditionalScoreMatching
from delvm_tf.objectives.objective import Objective, ObjectiveValue
from delvm_tf.objectives.reconstruction import Reconstruction
from delvm_tf.objectives.score_matching import ScoreMatching
from delvm_tf.objectives.sliced_score_matching import SlicedScoreMatching
from delvm_tf.training.divergence import DivergenceGuard, TrainingDiverged
from delvm_tf.training.layerwise import LayerStage, fit_layerwise

__version__ = "0.1.0"

catalog.models.import_all()  # also what has no name here, or files of it could not be loaded

_LAZY_MODULES = {
    "datasets", "detection", "features", "plots", "schema", "serving", "tensorboard",
}  # fmt: skip
_LAZY_NAMES = {
    "AnomalyDetector": "delvm_tf.detection.detector",
    "TensorBoard": "delvm_tf.tensorboard.callback",
    "export_onnx": "delvm_tf.serving.onnx_export",
    "export_saved_model": "delvm_tf.serving.export",
    "load_detector": "delvm_tf.detection.saving",
}

__all__ = [
    "Autoencoder",
    "BernoulliRBM",
    "CEBM",
    "ContrastiveDivergence",
    "ConvAutoencoder",
    "ConvRBM",
    "DBM",
    "DBN",
    "DELVM",
    "DEM",
    "DSEBM",
    "DenoisingScoreMatching",
    "DensityDELVM",
    "DivergenceGuard",
    "DualScoreMatching",
    "EnergyModel",
    "GaussianRBM",
    "LatentEnergyModel",
    "LayerStage",
    "NoiseConditionalDELVM",
    "NoiseConditionalDEM",
    "NoiseConditionalDSEBM",
    "NoiseConditionalScoreMatching",
    "Objective",
    "ObjectiveValue",
    "Reconstruction",
    "ReconstructionModel",
    "ScoreMatching",
    "SlicedScoreMatching",
    "TrainingDiverged",
    "catalog",
    "curvature",
    "distribution",
    "fit_layerwise",
    "metrics",
    "networks",
    "noise",
    "normalization",
    "samplers",
    *sorted(_LAZY_MODULES),
    *sorted(_LAZY_NAMES),
]


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return importlib.import_module(f"delvm_tf.{name}")
    if name in _LAZY_NAMES:
        return getattr(importlib.import_module(_LAZY_NAMES[name]), name)
    raise AttributeError(f"module 'delvm_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
