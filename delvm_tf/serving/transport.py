"""What REST and gRPC have in common."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf


class TensorInfo(NamedTuple):
    """Type and shape of an input or output; None is a free dimension."""

    dtype: str
    shape: tuple[int | None, ...]

    @property
    def numpy_dtype(self) -> Any:
        """Type of its values in NumPy; strings are objects."""
        return tf.as_dtype(self.dtype).as_numpy_dtype


class SignatureInfo(NamedTuple):
    """Inputs and outputs by name."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]


class Endpoint(NamedTuple):
    """Which model to ask, where, and how patiently; see `Client`."""

    address: str
    model: str
    version: int | None
    timeout: float
    retries: int
    backoff: float


def infos_of(signatures: Mapping[str, Any]) -> dict[str, SignatureInfo]:
    """Inputs and outputs of each `SignatureDef` that predicts; TypeError for unknown types."""
    return {
        name: SignatureInfo(_infos(signature.inputs), _infos(signature.outputs))
        for name, signature in signatures.items()
        if signature.method_name.endswith("predict")
    }


def _infos(tensors: Mapping[str, Any]) -> dict[str, TensorInfo]:
    return {
        name: TensorInfo(
            tf.as_dtype(tensor.dtype).name,
            tuple(None if d.size < 0 else d.size for d in tensor.tensor_shape.dim),
        )
        for name, tensor in tensors.items()
    }
