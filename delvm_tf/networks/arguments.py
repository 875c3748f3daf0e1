"""Checking and spreading the arguments that all networks share."""

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import keras


def positive_ints(name: str, values: int | Sequence[int]) -> tuple[int, ...]:
    """One or several positive integers as a tuple; ValueError for anything else."""
    result = tuple(values) if isinstance(values, Iterable) else (values,)
    if not result or any(
        not isinstance(v, Integral) or isinstance(v, bool) or v < 1 for v in result
    ):
        raise ValueError(f"{name} must be one or more positive integers, got {values!r}")
    return tuple(int(v) for v in result)


def layer_kernel_initializer(identifier: Any, seed: int | None, index: int) -> Any:
    """A fresh initializer for layer `index`, seeded if `seed` is given."""
    initializer = keras.initializers.get(identifier)
    config = initializer.get_config()
    if seed is not None and "seed" in config:
        config["seed"] = seed + index
    return type(initializer).from_config(config)


def input_layers(input_shape: tuple[int, ...] | None, dtype: Any) -> list[Any]:
    """The input layer if the shape is known, in the type that layers of `dtype` compute in."""
    if input_shape is None:
        return []
    return [keras.Input(input_shape, dtype=keras.dtype_policies.get(dtype).compute_dtype)]


def layer_activations(activation: Any, output_activation: Any, layers: int) -> list[Any]:
    """The activation of each layer; the last one has its own, unless that is None."""
    last = activation if output_activation is None else output_activation
    return [activation] * (layers - 1) + [last]
