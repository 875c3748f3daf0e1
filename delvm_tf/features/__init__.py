"""Features of images from a dictionary of small filters, by the protocol of Coates, Lee and Ng.

Random patches are normalised and whitened, a dictionary is learned on them without labels, every
patch of an image is encoded by it, and the codes are summed over the quadrants of the image. The
dictionary and the code are exchangeable: a model's hidden variables are one of them.

Source: Coates, Lee and Ng (2011), An analysis of single-layer networks in unsupervised feature
learning; Coates and Ng (2011), The importance of encoding versus training, for the encoders.
"""

from delvm_tf.features.dictionaries import kmeans, random_filters, random_patches
from delvm_tf.features.encoders import ENCODERS, Encoder, make_encoder
from delvm_tf.features.extraction import sample_patches
from delvm_tf.features.layered import LayeredPatchFeatures
from delvm_tf.features.patch_features import PatchFeatures
from delvm_tf.features.pooling import Parts, Windows
from delvm_tf.features.whitening import PatchWhitening

__all__ = [
    "ENCODERS",
    "Encoder",
    "LayeredPatchFeatures",
    "Parts",
    "PatchFeatures",
    "PatchWhitening",
    "Windows",
    "kmeans",
    "make_encoder",
    "random_filters",
    "random_patches",
    "sample_patches",
]
