"""What can go wrong between a client and a server."""


class ServerError(RuntimeError):
    """The server failed, or its answer makes no sense."""


class ServerUnavailableError(ConnectionError):
    """The server could not be reached or was busy, even at the last attempt."""


class RequestRefusedError(ValueError):
    """The server refused the request: an unknown model or signature, or wrong rows."""
