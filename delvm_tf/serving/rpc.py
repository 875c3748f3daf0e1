"""Requests over gRPC."""

import json
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from delvm_tf.serving.errors import RequestRefusedError, ServerError, ServerUnavailableError
from delvm_tf.serving.messages import (
    message,
    metadata_request,
    outputs_of,
    predict_request,
    signatures_of,
)
from delvm_tf.serving.transport import Endpoint, SignatureInfo, infos_of

_SERVICE = "tensorflow.serving.PredictionService"
_BUSY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_REFUSED = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
)
_MOST_RETRIES = 4  # gRPC silently lowers more than five attempts to five
_ANY_SIZE = 2**31 - 1  # bytes; by default gRPC does not retry requests beyond 256 KiB


class GrpcTransport:
    """TensorFlow Serving's gRPC interface."""

    def __init__(self, endpoint: Endpoint, credentials: grpc.ChannelCredentials | None = None):
        self._address, self._model, self._version, self._timeout, retries, backoff = endpoint
        if retries > _MOST_RETRIES:
            raise ValueError(f"gRPC retries at most {_MOST_RETRIES} times, got {retries=}")
        self._attempts = retries + 1
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.per_rpc_retry_buffer_size", _ANY_SIZE),
            ("grpc.enable_retries", int(retries > 0)),
            ("grpc.service_config", _service_config(self._attempts, backoff)),
        ]
        if credentials is None:
            self._channel = grpc.insecure_channel(self._address, options)
        else:
            self._channel = grpc.secure_channel(self._address, credentials, options)

    def signatures(self) -> dict[str, SignatureInfo]:
        """Inputs and outputs of each signature."""
        request = metadata_request(self._model, self._version)
        answer = self._ask("GetModelMetadata", request, "GetModelMetadataResponse")
        try:
            return infos_of(signatures_of(answer))
        except (DecodeError, KeyError, TypeError) as error:
            raise ServerError(f"cannot read the metadata of {self._address}") from error

    def predict(
        self, inputs: dict[str, np.ndarray], signature: str, info: SignatureInfo
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature."""
        request = predict_request(inputs, self._model, signature, self._version)
        answer = self._ask("Predict", request, "PredictResponse")
        try:
            outputs = outputs_of(answer)
        except (DecodeError, TypeError, ValueError) as error:
            raise ServerError(f"cannot read the answer of {self._address}") from error
        if missing := {*info.outputs} - {*outputs}:
            raise ServerError(f"{self._address} left out {', '.join(sorted(missing))}")
        return {name: outputs[name] for name in info.outputs}

    def close(self) -> None:
        """Close the connections."""
        self._channel.close()

    def _ask(self, method: str, request: Any, answer: str) -> Any:
        call = self._channel.unary_unary(
            f"/{_SERVICE}/{method}",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=message(answer).FromString,
        )
        try:
            return call(request, timeout=self._timeout)
        except grpc.RpcError as error:
            code, text = error.code(), f"{self._address}: {error.details()}"
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TimeoutError(
                    f"{self._address} did not answer within {self._timeout} s"
                ) from error
            if code in _BUSY:
                raise ServerUnavailableError(f"{text} (after {self._attempts} attempts)") from error
            if code in _REFUSED:
                raise RequestRefusedError(text) from error
            raise ServerError(f"{code.name}: {text}") from error


def _service_config(attempts: int, backoff: float) -> str:
    """Which errors gRPC retries, how often and after which pauses, as JSON."""
    policy = {
        "maxAttempts": max(attempts, 2),  # one is invalid; `enable_retries` is off then
        "initialBackoff": f"{max(backoff, 0.001):.3f}s",  # zero is invalid
        "maxBackoff": "30s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": [code.name for code in _BUSY],
    }
    return json.dumps({"methodConfig": [{"name": [{"service": _SERVICE}], "retryPolicy": policy}]})
