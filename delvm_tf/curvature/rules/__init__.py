"""Propagation rules of Keras's layers; importing this package registers them.

Layers that are missing here are differentiated automatically, one at a time: unrolled recurrent
and attention layers, embeddings, wrappers, `Dot` and `Masking`. So are activations like sparsemax
and glu, which are not elementwise, and those that are not Keras's own.
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
