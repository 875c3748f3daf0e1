"""Ready-made networks f for the energies. Any Keras Sequential or functional model will do too."""

from delvm_tf.networks.cebm import cebm_cnn
from delvm_tf.networks.cnn import cnn
from delvm_tf.networks.constraints import NonPositive, SpectralNorm
from delvm_tf.networks.ffnn import ffnn
from delvm_tf.networks.level_network import LevelNetwork, level_cnn, level_ffnn
from delvm_tf.networks.level_unet import LevelUNet

__all__ = [
    "LevelNetwork",
    "LevelUNet",
    "NonPositive",
    "SpectralNorm",
    "cebm_cnn",
    "cnn",
    "ffnn",
    "level_cnn",
    "level_ffnn",
]
