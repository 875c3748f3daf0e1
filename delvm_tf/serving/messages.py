"""The messages of TensorFlow Serving that a client and a warm-up file need.

They are described here field by field, with the numbers of TensorFlow Serving's public interface,
so that neither export nor client needs the package `tensorflow-serving-api`; the tests compare
both byte by byte. Messages within maps are kept as bytes, which is how they travel.
"""

from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    wrappers_pb2,
)
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2

_PACKAGE = "tensorflow.serving"
_FIELD = descriptor_pb2.FieldDescriptorProto
_MAP = "map from names to messages"

# Message: field, number and type; a message type is given by its full name.
_MESSAGES: dict[str, list[tuple[str, int, Any]]] = {
    "ModelSpec": [
        ("name", 1, _FIELD.TYPE_STRING),
        ("version", 2, "google.protobuf.Int64Value"),
        ("signature_name", 3, _FIELD.TYPE_STRING),
    ],
    "PredictRequest": [
        ("model_spec", 1, f"{_PACKAGE}.ModelSpec"), ("inputs", 2, _MAP),
    ],
    "PredictResponse": [
        ("outputs", 1, _MAP), ("model_spec", 2, f"{_PACKAGE}.ModelSpec"),
    ],
    "PredictLog": [("request", 1, f"{_PACKAGE}.PredictRequest")],
    "PredictionLog": [("predict_log", 6, f"{_PACKAGE}.PredictLog")],
    "GetModelMetadataRequest": [
        ("model_spec", 1, f"{_PACKAGE}.ModelSpec"), ("metadata_field", 2, "names"),
    ],
    "GetModelMetadataResponse": [
        ("model_spec", 1, f"{_PACKAGE}.ModelSpec"), ("metadata", 2, _MAP),
    ],
    "SignatureDefMap": [("signature_def", 1, _MAP)],
}  # fmt: skip


@cache
def message(name: str) -> type[Any]:
    """The class of a message, such as `PredictRequest`."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


@cache
def _pool() -> Any:
    """A pool of our own: one that `tensorflow-serving-api` fills may be loaded as well."""
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    file = descriptor_pb2.FileDescriptorProto(
        name="delvm_tf/serving.proto", package=_PACKAGE, syntax="proto3",
        dependency=[wrappers.name],
    )  # fmt: skip
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for field, number, kind in fields:
            if kind == _MAP:
                _add_map(described, field, number)
            elif kind == "names":
                described.field.add(
                    name=field, number=number, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_REPEATED
                )
            elif isinstance(kind, str):
                _add_field(described, field, number, _FIELD.TYPE_MESSAGE, kind)
            else:
                _add_field(described, field, number, kind)
    pool.Add(file)
    return pool


def _add_field(described: Any, name: str, number: int, kind: int, type_name: str = "") -> None:
    field = described.field.add(name=name, number=number, type=kind, label=_FIELD.LABEL_OPTIONAL)
    if type_name:
        field.type_name = f".{type_name}"


def _add_map(described: Any, name: str, number: int) -> None:
    entry = described.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
    entry.options.map_entry = True
    _add_field(entry, "key", 1, _FIELD.TYPE_STRING)
    _add_field(entry, "value", 2, _FIELD.TYPE_BYTES)
    field = described.field.add(
        name=name, number=number, type=_FIELD.TYPE_MESSAGE, label=_FIELD.LABEL_REPEATED
    )
    field.type_name = f".{_PACKAGE}.{described.name}.{entry.name}"


def predict_request(
    inputs: dict[str, Any], model: str, signature: str, version: int | None = None
) -> Any:
    """A `PredictRequest`.

    Args:
        inputs: arrays by the name of the input.
        model: name of the model on the server.
        signature: name of the signature.
        version: of the model; the newest if None.
    """
    request = message("PredictRequest")()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for name, value in inputs.items():
        request.inputs[name] = tf.make_tensor_proto(value).SerializeToString()
    return request


def outputs_of(response: Any) -> dict[str, np.ndarray]:
    """The arrays of a `PredictResponse` by name."""
    return {
        name: tf.make_ndarray(tensor_pb2.TensorProto.FromString(value))
        for name, value in response.outputs.items()
    }


def metadata_request(model: str, version: int | None = None) -> Any:
    """A `GetModelMetadataRequest` for the signatures."""
    request = message("GetModelMetadataRequest")()
    request.model_spec.name = model
    request.metadata_field.append("signature_def")
    if version is not None:
        request.model_spec.version.value = version
    return request


def signatures_of(response: Any) -> dict[str, Any]:
    """The `SignatureDef` of each signature of a `GetModelMetadataResponse`."""
    content = any_pb2.Any.FromString(response.metadata["signature_def"])
    found = message("SignatureDefMap").FromString(content.value)
    parse = meta_graph_pb2.SignatureDef.FromString
    return {name: parse(value) for name, value in found.signature_def.items()}
