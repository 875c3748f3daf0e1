"""A client of TensorFlow Serving that checks what it sends and retries."""

import json
import time
from typing import Any, Self

import grpc
import numpy as np
import requests

from delvm_tf.inputs.columns import check_names, names_of
from delvm_tf.schema import Schema
from delvm_tf.serving.checks import (
    by_threshold,
    checked_count,
    checked_images,
    checked_rows,
    checked_threshold,
    with_text,
)
from delvm_tf.serving.drawing import DRAWING, drawing_inputs, refuse_given
from delvm_tf.serving.errors import RequestRefusedError, ServerError, ServerUnavailableError
from delvm_tf.serving.rest import RestTransport
from delvm_tf.serving.rpc import GrpcTransport
from delvm_tf.serving.signatures import (
    COLUMNS,
    DECIDE,
    DECIDE_TABLE,
    DEFAULT,
    IMAGE_BYTES,
    OF_TABLES,
    SCHEMA,
    TABLE,
)
from delvm_tf.serving.transport import Endpoint, SignatureInfo


class Client:
    """Asks a model server for scores, over REST or gRPC.

    Rows are checked, then sent in batches. A request is retried if the server is busy or cannot be
    reached, after pauses that double or that the server asks for (`Retry-After`). It is not retried
    if the server refuses it, or if it times out: the server may still be working on it.

    Args:
        address: `http://host:8501` for REST, `host:8500` or `grpc://host:8500` for gRPC.
        model: name of the model on the server.
        version: of the model; None for the newest.
        timeout: seconds to wait for an answer; over gRPC for all attempts together.
        retries: attempts after the first, at most 4 over gRPC.
        backoff: unit of the pauses in seconds. REST: none before the second attempt, then 2, 4, ...
            units and a random part of one more. gRPC: about 1, 2, 4, ... units, at random. At most
            30 seconds.
        batch_size: rows of a request.
        session: for REST, with your headers, `auth`, `verify`, `cert` and proxies. The client
            mounts its retries on it for the address of the model, and leaves it open.
        credentials: for gRPC, of TLS and of the caller; None for no encryption.

    Raises:
        ValueError: for settings out of range, or that do not apply to the address.

    Examples:
        >>> with dv.serving.Client("http://localhost:8501", "ecg5000") as client:
        ...     decide = lambda beats: client.predict(beats)["is_anomaly"]
        >>> import requests
        >>> session = requests.Session()
        >>> session.headers["Authorization"] = "Bearer ..."
        >>> session.verify = "authority.pem"
        >>> client = dv.serving.Client("https://scores.example.org", "ecg5000", session=session)
    """

    def __init__(
        self,
        address: str,
        model: str,
        version: int | None = None,
        timeout: float = 10.0,
        retries: int = 3,
        backoff: float = 0.2,
        batch_size: int = 256,
        session: requests.Session | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ):
        if timeout <= 0 or retries < 0 or backoff < 0 or batch_size < 1:
            raise ValueError(
                f"timeout and batch_size must be positive, retries and backoff not negative, got "
                f"{timeout=}, {batch_size=}, {retries=}, {backoff=}"
            )
        rest = address.startswith(("http://", "https://"))
        if rest and credentials is not None:
            raise ValueError(f"credentials are for gRPC; give a session for {address}")
        if session is not None and not rest:
            raise ValueError(
                f"a session is for REST (http:// or https://); give credentials for {address}"
            )
        endpoint = Endpoint(
            address.removeprefix("grpc://"), model, version, timeout, retries, backoff
        )
        self._transport: RestTransport | GrpcTransport = (
            RestTransport(endpoint, session) if rest else GrpcTransport(endpoint, credentials)
        )
        self.batch_size = batch_size
        self._known: dict[str, SignatureInfo] | None = None
        self._columns: tuple[str, ...] | None = None
        self._schema: Schema | None = None

    def predict(
        self, x: Any, signature: str = DEFAULT, threshold: float | None = None, **given: Any
    ) -> dict[str, np.ndarray]:
        """All outputs of a signature by name, one row for each of x.

        Args:
            x: (n, ...) in raw units; for `encoded_images` a list of bytes; for `table` and
                `explain_table` a table, whose columns are matched by name and must hold what
                they held in training. Elsewhere a data frame must have the training data's
                columns in their order, `x[list(client.columns())]`.
                For `sample` the seeds, (n,) integers.
            signature: its name.
            threshold: decides instead of the detector's own; `is_anomaly` and `threshold` follow.
            **given: what a signature takes besides x; see `ServedModel.predict`.

        Raises:
            TypeError: if x does not hold real numbers, or bytes, or for what is not taken.
            ValueError: for an unknown signature, a wrong shape, wrong columns, no rows, or values
                that are not finite; for a threshold with a signature without decisions.
            RequestRefusedError: if the server refuses the request.
            ServerUnavailableError: if it cannot be reached.
            TimeoutError: if it takes too long.
            ServerError: for any other failure.
        """
        info = self.signatures().get(signature)
        if info is None:
            names = ", ".join(sorted(self.signatures()))
            raise ValueError(f"unknown signature {signature!r}; the server has {names}")
        if threshold is not None:
            checked_threshold(threshold, info.outputs, signature)
        inputs = self._inputs(x, signature, info, given)
        count = checked_count(inputs)
        parts = []
        for start in range(0, count, self.batch_size):
            batch = {name: rows[start : start + self.batch_size] for name, rows in inputs.items()}
            parts.append(self._transport.predict(batch, signature, info))
        outputs = {k: with_text(np.concatenate([part[k] for part in parts])) for k in parts[0]}
        return outputs if threshold is None else by_threshold(outputs, threshold)

    def _inputs(
        self, x: Any, signature: str, info: SignatureInfo, given: dict[str, Any]
    ) -> dict[str, np.ndarray]:
        """The checked inputs of a signature by name."""
        if signature in DRAWING:
            wanted = info.inputs.get("x")
            return drawing_inputs(x, signature, wanted.shape[1:] if wanted else (), given)
        refuse_given(signature, given)
        if signature in (DECIDE, DECIDE_TABLE):
            raise ValueError(
                f"{signature} is for those who ask without this library; "
                f"pass threshold= with {DEFAULT} or {TABLE}"
            )
        if signature in OF_TABLES:
            schema = self.schema()
            if schema is None:
                raise ValueError(
                    "the server does not say what the columns of its tables are, as models of "
                    "earlier versions of this library do not; export the model again"
                )
            return dict(zip(schema.inputs, schema.cells(x).values(), strict=True))
        ((name, wanted),) = info.inputs.items()
        if name == IMAGE_BYTES:
            return {name: checked_images(x)}
        check_names(names_of(x), self.columns(), "the model")
        return {name: checked_rows(x, wanted.shape[1:])}

    def columns(self) -> tuple[str, ...] | None:
        """Names of the columns of x, or None if the model has none; requested once."""
        if self._columns is None and (said := self._said(COLUMNS)) is not None:
            self._columns = tuple(map(str, said))
        return self._columns

    def schema(self) -> Schema | None:
        """The columns of the tables that the model takes, or None; requested once.

        Raises:
            ServerError: if the server describes them in a way that is not known here.
        """
        if self._schema is None and (said := self._said(SCHEMA)) is not None:
            try:
                self._schema = Schema.from_json(json.loads(said))
            except ValueError as error:
                raise ServerError(f"the server has no schema of a table: {error}") from error
        return self._schema

    def _said(self, signature: str) -> Any:
        """What a signature says of the model, whichever row it gets; None if there is none."""
        info = self.signatures().get(signature)
        if info is None:
            return None
        ((name, wanted),) = info.inputs.items()
        row = np.zeros((1, *(size or 1 for size in wanted.shape[1:])), np.float32)
        return with_text(self._transport.predict({name: row}, signature, info)[signature])[0]

    def signatures(self) -> dict[str, SignatureInfo]:
        """Inputs and outputs of each signature; requested once."""
        if self._known is None:
            self._known = self._transport.signatures()
        return self._known

    def wait_until_ready(self, seconds: float = 60.0, pause: float = 0.5) -> None:
        """Wait until the server has loaded the model; TimeoutError if it has not in time."""
        end = time.monotonic() + seconds
        while True:
            try:
                self._known = self._transport.signatures()
                return
            except (
                ServerUnavailableError, TimeoutError, RequestRefusedError, ServerError,
            ) as error:  # fmt: skip
                problem = error
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the model was not ready within {seconds} s: {problem}")
            time.sleep(min(pause, left))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
