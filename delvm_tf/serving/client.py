"""A client of TensorFlow Serving that checks what it sends, and tries again."""

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Self, TypeVar

import numpy as np

from delvm_tf.inputs.columns import check_names, names_of
from delvm_tf.serving.checks import checked_images, checked_rows
from delvm_tf.serving.errors import RequestRefusedError, ServerError, ServerUnavailableError
from delvm_tf.serving.rest import RestTransport
from delvm_tf.serving.rpc import GrpcTransport
from delvm_tf.serving.signatures import COLUMNS, DEFAULT, IMAGE_BYTES
from delvm_tf.serving.transport import Endpoint, SignatureInfo, Transport, Unavailable

Result = TypeVar("Result")
_LONGEST_PAUSE = 30.0  # seconds


class Client:
    """Asks a model server for scores, over REST or gRPC.

    Rows are checked before they are sent, and sent in batches. What fails because the server is
    busy or cannot be reached is tried again, after pauses that double; what the server refuses is
    not, and neither is what takes too long, for it may be at work still.

    Args:
        address: `http://host:8501` for REST, `host:8500` or `grpc://host:8500` for gRPC.
        model: name of the model on the server.
        version: of the model; the newest if None.
        timeout: seconds that one attempt may take.
        retries: attempts after the first.
        backoff: seconds of the first pause; a random part of up to as much is added.
        batch_size: rows of a request.

    Raises:
        ImportError: if requests, or grpcio, is missing.
        ValueError: for settings out of range.

    Example:
        >>> with dv.serving.Client("http://localhost:8501", "ecg5000") as client:
        ...     client.predict(beats)["is_anomaly"]
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
    ):
        if timeout <= 0 or retries < 0 or backoff < 0 or batch_size < 1:
            raise ValueError(
                f"timeout and batch_size must be positive, retries and backoff not negative, got "
                f"{timeout=}, {batch_size=}, {retries=}, {backoff=}"
            )
        kind = RestTransport if address.startswith(("http://", "https://")) else GrpcTransport
        address = address.removeprefix("grpc://")
        self._transport: Transport = kind(Endpoint(address, model, version, timeout))
        self.retries = retries
        self.backoff = backoff
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
            parts.append(self._again(partial(self._transport.predict, batch, signature, info)))
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
            self._known = self._again(self._transport.signatures)
        return self._known

    def wait_until_ready(self, seconds: float = 60.0, pause: float = 0.5) -> None:
        """Wait until the model is there.

        Raises:
            TimeoutError: if it does not come.
        """
        end = time.monotonic() + seconds
        while True:
            try:
                if self._transport.ready():
                    return
                problem: object = "the model is not loaded"
            except (Unavailable, TimeoutError, RequestRefusedError, ServerError) as error:
                problem = error
            if time.monotonic() >= end:
                raise TimeoutError(f"the model was not ready within {seconds} s: {problem}")
            time.sleep(min(pause, max(0.0, end - time.monotonic())))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _again(self, attempt: Callable[[], Result]) -> Result:
        pause = self.backoff
        for left in range(self.retries, -1, -1):
            try:
                return attempt()
            except Unavailable as error:
                if not left:
                    raise ServerUnavailableError(
                        f"{error} (after {self.retries + 1} attempts)"
                    ) from error
            time.sleep(min(pause, _LONGEST_PAUSE) + random.uniform(0, self.backoff))
            pause *= 2
        raise AssertionError("unreachable")
