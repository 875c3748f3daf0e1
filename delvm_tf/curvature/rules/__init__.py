"""Propagation rules of Keras's layers; importing this package registers them.

Other layers are differentiated automatically, one at a time: unrolled recurrent and attention
layers, embeddings, wrappers, `Dot`, `Masking`. So are other activations that are not elementwise,
such as sparsemax and glu, and those that are not Keras's.
"""

from delvm_tf.curvature.rules import (
    activations,
    affine,
    linear,
    merging,
    normalization,
    pooling,
)

__all__ = ["activations", "affine", "linear", "merging", "normalization", "pooling"]
