"""What both ways to a server have in common."""

from typing import NamedTuple, Protocol

import numpy as np


class Unavailable(Exception):
    """An attempt failed in a way that another attempt may mend."""


class TensorInfo(NamedTuple):
    """Type and shape of an input or output; None is a free dimension."""

    dtype: str
    shape: tuple[int | None, ...]


class SignatureInfo(NamedTuple):
    """Inputs and outputs by name."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]


class Endpoint(NamedTuple):
    """Which model to ask, and where.

    Attributes:
        address: `http://host:8501` for REST, `host:8500` for gRPC.
        model: its name on the server.
        version: of the model, or None for the newest.
        timeout: seconds that one attempt may take.
    """

    address: str
    model: str
    version: int | None
    timeout: float


class Transport(Protocol):
    """One attempt at a time; the client repeats what is `Unavailable`."""

    def ready(self) -> bool:
        """Whether a version is there to answer."""

    def signatures(self) -> dict[str, SignatureInfo]:
        """Inputs and outputs of each signature."""

    def predict(
        self, inputs: dict[str, np.ndarray], signature: str, info: SignatureInfo
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature."""

    def close(self) -> None:
        """Close the connections."""
