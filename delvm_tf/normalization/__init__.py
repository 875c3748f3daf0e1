"""Input normalisation, which belongs to the model: fitted before training, saved and served with it."""

from delvm_tf.normalization.normalization import MODES, InputNormalization
from delvm_tf.normalization.statistics import Statistics

__all__ = ["MODES", "InputNormalization", "Statistics"]
