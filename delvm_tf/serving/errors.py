"""What can go wrong between a client and a server."""


class ServerError(RuntimeError):
    """The server answered with an error of its own, or with what it should not answer."""


class ServerUnavailableError(ConnectionError):
    """No server could be reached, also not at the last attempt."""


class RequestRefusedError(ValueError):
    """The server refused the request: it names no model or signature, or its rows are wrong."""
