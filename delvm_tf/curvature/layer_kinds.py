"""Keras layers that are treated alike, and the padding that windows share."""

import keras

_L = keras.layers

INERT = (  # in inference
    _L.Identity, _L.Dropout, _L.SpatialDropout1D, _L.SpatialDropout2D, _L.SpatialDropout3D,
    _L.GaussianDropout, _L.GaussianNoise, _L.AlphaDropout, _L.ActivityRegularization,
)  # fmt: skip
ACTIVATIONS = (_L.Activation, _L.ReLU, _L.LeakyReLU, _L.ELU, _L.PReLU)
CONVOLUTIONS = (_L.Conv1D, _L.Conv2D, _L.Conv3D)
DEPTHWISE = (_L.DepthwiseConv1D, _L.DepthwiseConv2D)
SEPARABLE = (_L.SeparableConv1D, _L.SeparableConv2D)
TRANSPOSED = (_L.Conv1DTranspose, _L.Conv2DTranspose, _L.Conv3DTranspose)
MAX_POOLINGS = (_L.MaxPooling1D, _L.MaxPooling2D, _L.MaxPooling3D)
AVERAGE_POOLINGS = (_L.AveragePooling1D, _L.AveragePooling2D, _L.AveragePooling3D)
GLOBAL_MAX_POOLINGS = (_L.GlobalMaxPooling1D, _L.GlobalMaxPooling2D, _L.GlobalMaxPooling3D)
GLOBAL_AVERAGE_POOLINGS = (
    _L.GlobalAveragePooling1D, _L.GlobalAveragePooling2D, _L.GlobalAveragePooling3D,
)  # fmt: skip
MOVING = (  # values, without arithmetic; UpSampling2D may interpolate, and is not among them
    _L.Flatten, _L.Reshape, _L.Permute, _L.RepeatVector,
    _L.ZeroPadding1D, _L.ZeroPadding2D, _L.ZeroPadding3D,
    _L.Cropping1D, _L.Cropping2D, _L.Cropping3D, _L.UpSampling1D, _L.UpSampling3D,
)  # fmt: skip


def window_padding(padding: str, size: int, span: int, stride: int) -> tuple[int, int]:
    """Values added before and after an axis of this size for windows of this span."""
    if padding == "causal":
        return span - 1, 0
    added = max((-(-size // stride) - 1) * stride + span - size, 0) if padding == "same" else 0
    return added // 2, added - added // 2
