"""Checking and spreading the arguments that all networks share."""

from collections.abc import Sequence
from typing import Any

import keras


def positive_ints(name: str, values: int | Sequence[int]) -> tuple[int, ...]:
    """One or several positive integers as a tuple.

    Raises:
        ValueError: if there is none, or one is not a positive integer.
    """
    result = (values,) if isinstance(values, int) else tuple(values)
    if not result or any(not isinstance(v, int) or isinstance(v, bool) or v < 1 for v in result):
        raise ValueError(f"{name} must be one or more positive integers, got {values!r}")
    return result


def layer_kernel_initializer(identifier: Any, seed: int | None, index: int) -> Any:
    """A fresh initializer for layer `index`, seeded if `seed` is given."""
    initializer = keras.initializers.get(identifier)
    config = initializer.get_config()
    if seed is not None and "seed" in config:
        config["seed"] = seed + index
    return type(initializer).from_config(config)
