"""What can go wrong between a client and a server."""


class ServerError(RuntimeError):
    """The server failed, or its answer makes no sense. It is not asked again.

    Examples:
        >>> client = dv.serving.Client("http://localhost:8501", "ecg5000")
        >>> def decide(beats):
        ...     try:
        ...         return client.predict(beats)["is_anomaly"]
        ...     except dv.serving.ServerError:
        ...         return np.full(len(beats), True)  # a person looks at what was not decided
    """


class ServerUnavailableError(ConnectionError):
    """The server could not be reached or was busy, even at the last attempt.

    Examples:
        >>> client = dv.serving.Client("http://localhost:1", "ecg5000", retries=0)
        >>> try:
        ...     client.predict(x)
        ... except dv.serving.ServerUnavailableError as error:
        ...     print(error)
        http://localhost:1...(after 1 attempts)
    """


class RequestRefusedError(ValueError):
    """The server refused the request: an unknown model or signature, or wrong rows.

    It is a `ValueError`, as those of rows that the client refuses before they are sent.

    Examples:
        >>> client = dv.serving.Client("http://localhost:8501", "ecg5000")
        >>> def decide(beats):
        ...     try:
        ...         return client.predict(beats)["is_anomaly"]
        ...     except dv.serving.RequestRefusedError as error:
        ...         print(f"the caller is to mend it: {error}")
    """
