"""Passing settings that may or may not be given."""

import inspect
from collections.abc import Callable
from typing import Any


def call_with(make: Callable[..., Any], what: str, settings: dict[str, Any]) -> Any:
    """Call with the settings that are given, that is, not None.

    Raises:
        ValueError: for a setting that `make` does not name as an argument.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    known = {
        name for name, parameter in inspect.signature(make).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }  # fmt: skip
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ValueError(
            f"{what} has no setting {', '.join(unknown)}; it has {', '.join(sorted(known))}"
        )
    return make(**given)
