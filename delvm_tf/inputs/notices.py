"""Warnings that point at the line of the user's program which led to them."""

import sys
import warnings

# Packages whose frames lie between a user's call and a warning of this library.
_INNER = {"delvm_tf", "keras", "sklearn", "tensorflow"}


def warn(message: str) -> None:
    """Warn, naming the innermost line that is not of this library or of one that calls it."""
    frame = sys._getframe(1)
    level = 2
    while frame.f_back is not None and _package(frame.f_globals) in _INNER:
        frame = frame.f_back
        level += 1
    warnings.warn(message, UserWarning, stacklevel=level)


def _package(scope: dict[str, object]) -> str:
    return str(scope.get("__name__", "")).partition(".")[0]
