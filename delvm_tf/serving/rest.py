"""Requests over HTTP and JSON."""

import base64
from typing import Any

import numpy as np

from delvm_tf.serving.errors import RequestRefusedError, ServerError, ServerUnavailableError
from delvm_tf.serving.transport import Endpoint, SignatureInfo, TensorInfo, Unavailable

_BUSY = (408, 429, 502, 503, 504)
_DTYPES = {
    "DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_BOOL": "bool", "DT_INT32": "int32",
    "DT_INT64": "int64", "DT_STRING": "str", "DT_HALF": "float16",
}  # fmt: skip


class RestTransport:
    """TensorFlow Serving's REST interface."""

    def __init__(self, endpoint: Endpoint):
        try:
            import requests
        except ImportError as error:
            raise ImportError("REST needs requests: pip install 'delvm_tf[serving]'") from error
        self._requests = requests
        self._session = requests.Session()
        self._url = f"{endpoint.address.rstrip('/')}/v1/models/{endpoint.model}"
        if endpoint.version is not None:
            self._url += f"/versions/{endpoint.version}"
        self._timeout = endpoint.timeout

    def ready(self) -> bool:
        """Whether a version is there to answer."""
        states = self._ask("GET", self._url).get("model_version_status", [])
        return any(state.get("state") == "AVAILABLE" for state in states)

    def signatures(self) -> dict[str, SignatureInfo]:
        """Inputs and outputs of each signature."""
        answer = self._ask("GET", f"{self._url}/metadata")
        try:
            found = answer["metadata"]["signature_def"]["signature_def"]
            return {
                name: SignatureInfo(
                    {n: _info(t) for n, t in signature.get("inputs", {}).items()},
                    {n: _info(t) for n, t in signature.get("outputs", {}).items()},
                )
                for name, signature in found.items()
                if signature.get("method_name", "").endswith("predict")
            }
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ServerError(f"{self._url}/metadata is not understood: {error!r}") from error

    def predict(
        self, inputs: dict[str, np.ndarray], signature: str, info: SignatureInfo
    ) -> dict[str, np.ndarray]:
        """One attempt at one request."""
        body = {"signature_name": signature, "inputs": {n: _json(v) for n, v in inputs.items()}}
        answer = self._ask("POST", f"{self._url}:predict", body)
        try:
            values = answer["outputs"]
            if len(info.outputs) == 1:  # a single output comes without its name
                values = dict.fromkeys(info.outputs, values)
            return {n: np.asarray(values[n], info.outputs[n].dtype) for n in info.outputs}
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(
                f"the answer of {self._url} lacks outputs or holds others than its metadata "
                f"says: {error!r}"
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _ask(self, method: str, url: str, body: Any = None) -> dict[str, Any]:
        errors = self._requests.exceptions
        try:
            answer = self._session.request(method, url, json=body, timeout=self._timeout)
        except errors.Timeout as error:
            raise TimeoutError(f"{url} did not answer within {self._timeout} s") from error
        except errors.ConnectionError as error:
            raise Unavailable(f"{url} cannot be reached: {error}") from error
        except (errors.InvalidURL, errors.InvalidSchema, errors.MissingSchema) as error:
            raise ServerUnavailableError(f"{url} is no address: {error}") from error
        except errors.RequestException as error:
            raise Unavailable(f"{url} failed: {error}") from error
        if answer.status_code in _BUSY:
            raise Unavailable(f"{url} is busy: {answer.status_code} {answer.text[:500]}")
        try:
            content = answer.json()
            if not isinstance(content, dict):
                raise ValueError(f"a {type(content).__name__}")
        except (ValueError, RecursionError) as error:
            raise ServerError(
                f"{url} answered {answer.status_code} with what is no JSON object: "
                f"{answer.text[:200]!r}"
            ) from error
        if 400 <= answer.status_code < 500:
            raise RequestRefusedError(f"{url}: {content.get('error', content)}")
        if not answer.ok:
            raise ServerError(f"{url}: {answer.status_code} {content.get('error', content)}")
        return content


def _json(value: np.ndarray) -> Any:
    if value.dtype == object:
        return [{"b64": base64.b64encode(v).decode()} for v in value]
    return value.tolist()


def _info(tensor: Any) -> TensorInfo:
    shape = tensor["tensor_shape"]
    sizes = [] if shape.get("unknown_rank") else [int(d["size"]) for d in shape.get("dim", [])]
    return TensorInfo(_DTYPES[tensor["dtype"]], tuple(None if s < 0 else s for s in sizes))
