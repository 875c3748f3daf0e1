"""The messages of TensorFlow Serving that a client and a warm-up file need.

They are described here with the field numbers of TensorFlow Serving's public interface, so that
neither export nor client needs the package `tensorflow-serving-api`. A map travels as a list of
entries of a key and a value, and a message within a map as bytes; here they stay so.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2

_PACKAGE = "tensorflow.serving"
_FIELD = descriptor_pb2.FieldDescriptorProto
# Message: its fields with their types, `*` for a list, in the order of their numbers from 1.
_MESSAGES = {
    "Version": {"value": "int64"},
    "Entry": {"key": "string", "value": "bytes"},
    "ModelSpec": {"name": "string", "version": "Version", "signature_name": "string"},
    "PredictRequest": {"model_spec": "ModelSpec", "inputs": "Entry*"},
    "PredictResponse": {"outputs": "Entry*", "model_spec": "ModelSpec"},
    "PredictLog": {"request": "PredictRequest"},
    "PredictionLog": {"predict_log": "PredictLog"},
    "GetModelMetadataRequest": {"model_spec": "ModelSpec", "metadata_field": "string*"},
    "GetModelMetadataResponse": {"model_spec": "ModelSpec", "metadata": "Entry*"},
    "SignatureDefMap": {"signature_def": "Entry*"},
}
_NUMBERS = {("PredictionLog", "predict_log"): 6}  # where they do not count from 1
_SCALARS = {"int64": _FIELD.TYPE_INT64, "string": _FIELD.TYPE_STRING, "bytes": _FIELD.TYPE_BYTES}


@cache
def message(name: str) -> type[Any]:
    """The class of a message, such as `PredictRequest`."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


@cache
def _pool() -> Any:
    """A pool of our own: one that `tensorflow-serving-api` fills may be loaded as well."""
    file = descriptor_pb2.FileDescriptorProto(
        name="delvm_tf/serving.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            described.field.add(
                name=field,
                number=_NUMBERS.get((name, field), number),
                label=_FIELD.LABEL_REPEATED if kind.endswith("*") else _FIELD.LABEL_OPTIONAL,
                type=_SCALARS.get(kind.removesuffix("*"), _FIELD.TYPE_MESSAGE),
                type_name=None if kind.removesuffix("*") in _SCALARS
                else f".{_PACKAGE}.{kind.removesuffix('*')}",
            )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def predict_request(
    inputs: Mapping[str, Any], model: str, signature: str, version: int | None = None
) -> Any:
    """A `PredictRequest` of arrays by name; of the newest version if None is given."""
    request = _request("PredictRequest", model, version)
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs.add(key=name, value=tf.make_tensor_proto(value).SerializeToString())
    return request


def outputs_of(response: Any) -> dict[str, np.ndarray]:
    """The arrays of a `PredictResponse` by name."""
    parse = tensor_pb2.TensorProto.FromString
    return {entry.key: tf.make_ndarray(parse(entry.value)) for entry in response.outputs}


def metadata_request(model: str, version: int | None = None) -> Any:
    """A `GetModelMetadataRequest` for the signatures."""
    request = _request("GetModelMetadataRequest", model, version)
    request.metadata_field.append("signature_def")
    return request


def _request(kind: str, model: str, version: int | None) -> Any:
    request = message(kind)()
    request.model_spec.name = model
    if version is not None:
        request.model_spec.version.value = version
    return request


def signatures_of(response: Any) -> dict[str, Any]:
    """The `SignatureDef` of each signature of a `GetModelMetadataResponse`."""
    metadata = {entry.key: entry.value for entry in response.metadata}
    content = any_pb2.Any.FromString(metadata["signature_def"])
    found = message("SignatureDefMap").FromString(content.value)
    parse = meta_graph_pb2.SignatureDef.FromString
    return {entry.key: parse(entry.value) for entry in found.signature_def}
