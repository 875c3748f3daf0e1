"""Requests over HTTP and JSON."""

import base64
import json
from typing import Any, Self

import numpy as np
import requests
from google.protobuf.json_format import ParseDict, ParseError
from requests.adapters import HTTPAdapter
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError
from urllib3.util import Retry

from delvm_tf.serving.errors import RequestRefusedError, ServerError, ServerUnavailableError
from delvm_tf.serving.transport import Endpoint, SignatureInfo, infos_of

_BUSY = (408, 429, 502, 503, 504)
_LATE = (ReadTimeoutError, ConnectTimeoutError)  # NewConnectionError is a ConnectTimeoutError


class _Retry(Retry):
    """Does not repeat a request that timed out: the server may still be working on it."""

    def increment(self, *args: Any, **named: Any) -> Self:
        error = named.get("error")
        if isinstance(error, _LATE) and not isinstance(error, NewConnectionError):
            raise error
        return super().increment(*args, **named)


class RestTransport:
    """TensorFlow Serving's REST interface."""

    def __init__(self, endpoint: Endpoint, session: requests.Session | None = None):
        self._own = session is None
        self._session = session or requests.Session()
        url = f"{endpoint.address.rstrip('/')}/v1/models/{endpoint.model}"
        if endpoint.version is not None:
            url += f"/versions/{endpoint.version}"
        self._url = str(requests.Request("GET", url).prepare().url)  # quoted, as adapters are found
        self._timeout, self._attempts = endpoint.timeout, endpoint.retries + 1
        retry = _Retry(
            endpoint.retries,
            other=0,  # TLS errors, which do not go away
            allowed_methods=None,  # POST too: it changes nothing on a model server
            status_forcelist=_BUSY,
            backoff_factor=endpoint.backoff,
            backoff_jitter=endpoint.backoff,
            backoff_max=30,
            raise_on_status=False,
        )
        self._session.mount(self._url, HTTPAdapter(max_retries=retry))

    def signatures(self) -> dict[str, SignatureInfo]:
        """Inputs and outputs of each signature."""
        answer = self._ask("GET", f"{self._url}/metadata")
        try:
            found = answer["metadata"]["signature_def"]["signature_def"]
            return infos_of({n: _signature(s) for n, s in found.items()})
        except (KeyError, TypeError, AttributeError, ValueError, ParseError) as error:
            raise ServerError(f"cannot read {self._url}/metadata: {error!r}") from error

    def predict(
        self, inputs: dict[str, np.ndarray], signature: str, info: SignatureInfo
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature."""
        body = {"signature_name": signature, "inputs": {n: _json(v) for n, v in inputs.items()}}
        answer = self._ask("POST", f"{self._url}:predict", body)
        try:
            values = answer["outputs"]
            if len(info.outputs) == 1:  # a single output comes without its name
                values = dict.fromkeys(info.outputs, values)
            return {n: np.asarray(values[n], t.numpy_dtype) for n, t in info.outputs.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(
                f"the answer of {self._url} does not match its metadata: {error!r}"
            ) from error

    def close(self) -> None:
        """Close the connections, except those of a session that was passed in."""
        if self._own:
            self._session.close()

    def _ask(self, method: str, url: str, body: Any = None) -> dict[str, Any]:
        try:
            answer = self._session.request(
                method, url, timeout=self._timeout,
                # TensorFlow Serving reads NaN, which is a missing value; requests refuses it.
                data=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json"},
                verify=self._session.verify,  # or REQUESTS_CA_BUNDLE would override it
            )  # fmt: skip
        except (requests.RequestException, ConnectTimeoutError) as error:
            raise self._problem(url, error) from error
        try:
            content = answer.json()
        except (ValueError, RecursionError):
            content = None
        known = isinstance(content, dict)
        said = content.get("error", content) if known else answer.text[:200]
        text = f"{url} answered {answer.status_code} {answer.reason}: {said}"
        if answer.status_code in _BUSY:
            raise ServerUnavailableError(f"{text} (after {self._attempts} attempts)")
        if 400 <= answer.status_code < 500:
            raise RequestRefusedError(text)
        if not (answer.ok and known):
            raise ServerError(text if not answer.ok else f"{text!r}, not a JSON object")
        return content

    def _problem(self, url: str, error: Exception) -> Exception:
        late = (requests.Timeout, *_LATE)
        if isinstance(error, late) or any(isinstance(cause, _LATE) for cause in error.args):
            return TimeoutError(f"{url} did not answer within {self._timeout} s")
        if isinstance(error, requests.exceptions.SSLError):
            return ServerUnavailableError(
                f"{url} cannot be trusted: {error}; set `session.verify` to its authority"
            )
        if isinstance(error, requests.ConnectionError):
            return ServerUnavailableError(
                f"{url} cannot be reached: {error} (after {self._attempts} attempts)"
            )
        return ServerUnavailableError(f"{url} failed: {error}")


def _json(value: np.ndarray) -> Any:
    if value.dtype == object:  # bytes, or text
        return [{"b64": base64.b64encode(v).decode()} if isinstance(v, bytes) else v for v in value]
    return value.tolist()


def _signature(content: Any) -> SignatureDef:
    return ParseDict(content, SignatureDef(), ignore_unknown_fields=True)
