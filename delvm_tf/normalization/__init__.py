"""Input normalisation: part of a model, adapted before training, saved and served with it."""

from delvm_tf.normalization.contrast import normalize_contrast
from delvm_tf.normalization.normalization import MODES, InputNormalization
from delvm_tf.normalization.statistics import Statistics

__all__ = ["MODES", "InputNormalization", "Statistics", "normalize_contrast"]
