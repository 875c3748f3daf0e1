"""Requests over gRPC."""

from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from delvm_tf.serving.errors import RequestRefusedError, ServerError
from delvm_tf.serving.messages import (
    message,
    metadata_request,
    outputs_of,
    predict_request,
    signatures_of,
)
from delvm_tf.serving.transport import Endpoint, SignatureInfo, TensorInfo, Unavailable

_SERVICE = "/tensorflow.serving.PredictionService"


class GrpcTransport:
    """TensorFlow Serving's gRPC interface."""

    def __init__(self, endpoint: Endpoint):
        try:
            import grpc
        except ImportError as error:
            raise ImportError("gRPC needs grpcio: pip install 'delvm_tf[serving]'") from error
        self._grpc = grpc
        self._address, self._model, self._version, self._timeout = endpoint
        self._channel = grpc.insecure_channel(
            self._address,
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )

    def ready(self) -> bool:
        """Whether a version is there to answer."""
        try:
            return bool(self.signatures())
        except RequestRefusedError:
            return False

    def signatures(self) -> dict[str, SignatureInfo]:
        """Inputs and outputs of each signature."""
        request = metadata_request(self._model, self._version)
        answer = self._ask("GetModelMetadata", request, "GetModelMetadataResponse")
        try:
            found = signatures_of(answer)
        except (DecodeError, KeyError) as error:
            raise ServerError(f"the metadata of {self._address} is not understood") from error
        return {
            name: SignatureInfo(_infos(signature.inputs), _infos(signature.outputs))
            for name, signature in found.items()
            if signature.method_name.endswith("predict")
        }

    def predict(
        self, inputs: dict[str, np.ndarray], signature: str, info: SignatureInfo
    ) -> dict[str, np.ndarray]:
        """One attempt at one request."""
        request = predict_request(inputs, self._model, signature, self._version)
        answer = self._ask("Predict", request, "PredictResponse")
        try:
            outputs = outputs_of(answer)
        except (DecodeError, TypeError, ValueError) as error:
            raise ServerError(f"the answer of {self._address} is not understood") from error
        if missing := {*info.outputs} - {*outputs}:
            raise ServerError(f"{self._address} left out {', '.join(sorted(missing))}")
        return {name: outputs[name] for name in info.outputs}

    def close(self) -> None:
        """Close the connections."""
        self._channel.close()

    def _ask(self, method: str, request: Any, answer: str) -> Any:
        call = self._channel.unary_unary(
            f"{_SERVICE}/{method}",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=message(answer).FromString,
        )
        codes = self._grpc.StatusCode
        try:
            return call(request, timeout=self._timeout)
        except self._grpc.RpcError as error:
            code, text = error.code(), f"{self._address}: {error.details()}"
            if code is codes.DEADLINE_EXCEEDED:
                raise TimeoutError(
                    f"{self._address} did not answer within {self._timeout} s"
                ) from error
            if code in (codes.UNAVAILABLE, codes.RESOURCE_EXHAUSTED):
                raise Unavailable(text) from error
            if code in (codes.INVALID_ARGUMENT, codes.NOT_FOUND, codes.FAILED_PRECONDITION):
                raise RequestRefusedError(text) from error
            raise ServerError(f"{code.name}: {text}") from error


def _infos(tensors: Any) -> dict[str, TensorInfo]:
    return {
        name: TensorInfo(
            tf.as_dtype(tensor.dtype).name,
            tuple(None if d.size < 0 else d.size for d in tensor.tensor_shape.dim),
        )
        for name, tensor in tensors.items()
    }
