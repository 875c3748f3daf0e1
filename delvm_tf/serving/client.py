"""A client of TensorFlow Serving that checks what it sends, and tries again."""

import time
from typing import Any, Self

import grpc
import numpy as np
import requests

from delvm_tf.inputs.columns import check_names, names_of
from delvm_tf.serving.checks import checked_images, checked_rows
from delvm_tf.serving.errors import RequestRefusedError, ServerError, ServerUnavailableError
from delvm_tf.serving.rest import RestTransport
from delvm_tf.serving.rpc import GrpcTransport
from delvm_tf.serving.signatures import COLUMNS, DEFAULT, IMAGE_BYTES
from delvm_tf.serving.transport import Endpoint, SignatureInfo


class Client:
    """Asks a model server for scores, over REST or gRPC.

    Rows are checked before they are sent, and sent in batches. What fails because the server is
    busy or cannot be reached is tried again, after pauses that double, or as long as the server
    asks for (`Retry-After`); what the server refuses is not, and neither is what takes too long,
    for it may be at work still.

    Args:
        address: `http://host:8501` for REST, `host:8500` or `grpc://host:8500` for gRPC.
        model: name of the model on the server.
        version: of the model; the newest if None.
        timeout: seconds to wait for an answer; over gRPC those of all attempts together.
        retries: attempts after the first, at most 4 over gRPC.
        backoff: seconds by which pauses are measured. REST: the second attempt follows at once,
            then the pauses are 2, 4, ... times as long, and a random part of it more. gRPC: random
            pauses about 1, 2, 4, ... times as long. At most 30 seconds.
        batch_size: rows of a request.
        session: for REST, with headers, `auth`, `verify`, `cert` and proxies as they are set there.
            The client mounts its retries on it for the address of the model, and leaves it open.
        credentials: for gRPC, of TLS and of the caller; without encryption if None.

    Raises:
        ValueError: for an address that cannot be read, and for settings out of range or of no use
            with it.

    Example:
        >>> with dv.serving.Client("http://localhost:8501", "ecg5000") as client:
        ...     client.predict(beats)["is_anomaly"]
        >>> session = requests.Session()
        >>> session.headers["Authorization"] = f"Bearer {token}"
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
                f"a session is for REST, http:// or https://; give credentials for {address}"
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

    def predict(self, x: Any, signature: str = DEFAULT) -> dict[str, np.ndarray]:
        """All outputs of a signature by name, the first axis being that of x.

        Args:
            x: (n, ...) in raw units; for `encoded_images` a list of bytes. A data frame must have
                the columns of the training data in their order, `x[list(client.columns())]`.
            signature: its name.

        Raises:
            TypeError: if x does not hold real numbers, or bytes.
            ValueError: for an unknown signature, a wrong shape, other names of columns, no rows, or
                NaN and infinity.
            RequestRefusedError: if the server refuses it.
            ServerUnavailableError: if it cannot be reached.
            TimeoutError: if it takes too long.
            ServerError: for any other answer.
        """
        info = self.signatures().get(signature)
        if info is None:
            names = ", ".join(sorted(self.signatures()))
            raise ValueError(f"unknown signature {signature!r}; the server has {names}")
        (name, wanted), *more = info.inputs.items()
        if more:
            raise ValueError(f"signature {signature!r} has more than one input; it is not ours")
        if name == IMAGE_BYTES:
            rows = checked_images(x)
        else:
            if signature != COLUMNS:
                check_names(names_of(x), self.columns(), "the model")
            rows = checked_rows(x, wanted.shape[1:])
        parts = []
        for start in range(0, len(rows), self.batch_size):
            batch = {name: rows[start : start + self.batch_size]}
            parts.append(self._transport.predict(batch, signature, info))
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def columns(self) -> tuple[str, ...] | None:
        """Names of the columns of x, or None if the model knows none; asked for once."""
        info = self.signatures().get(COLUMNS)
        if info is not None and self._columns is None:
            (wanted,) = info.inputs.values()
            row = np.zeros((1, *(size or 1 for size in wanted.shape[1:])), np.float32)
            found = self.predict(row, COLUMNS)[COLUMNS][0]
            self._columns = tuple(n.decode() if isinstance(n, bytes) else str(n) for n in found)
        return self._columns

    def signatures(self) -> dict[str, SignatureInfo]:
        """Inputs and outputs of each signature; asked for once."""
        if self._known is None:
            self._known = self._transport.signatures()
        return self._known

    def wait_until_ready(self, seconds: float = 60.0, pause: float = 0.5) -> None:
        """Wait until the model is there.

        Raises:
            TimeoutError: if it does not come.
        """
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
