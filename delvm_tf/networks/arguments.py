"""The arguments that all networks share."""

from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any

import keras

from delvm_tf.networks.constraints import get_constraint


def positive_ints(name: str, values: int | Sequence[int]) -> tuple[int, ...]:
    """One or several positive integers as a tuple; ValueError for anything else."""
    result = tuple(values) if isinstance(values, Iterable) else (values,)
    if not result or any(
        not isinstance(v, Integral) or isinstance(v, bool) or v < 1 for v in result
    ):
        raise ValueError(f"{name} must be one or more positive integers, got {values!r}")
    return tuple(int(v) for v in result)


def one_for_each(name: str, value: int | Sequence[int], count: int, what: str) -> tuple[int, ...]:
    """A positive integer for each of `count` layers or axes; a single one serves all."""
    values = positive_ints(name, value)
    if len(values) not in (1, count):
        raise ValueError(f"{name} has {len(values)} values for {count} {what}: {value!r}")
    return values * count if len(values) == 1 else values


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


def layer_arguments(
    prefix: str,
    layers: int,
    activation: Any,
    kernel_initializer: Any,
    seed: int | None,
    output_activation: Any = None,
    bias_constraint: Any = None,
    first: int = 0,
    **kwargs: Any,
) -> Iterator[dict[str, Any]]:
    """The keyword arguments of each layer; the last one has its own activation if that is given.

    Kernels of layer k are drawn with seed + `first` + k.
    """
    for index in range(layers):
        own = index == layers - 1 and output_activation is not None
        yield {
            "activation": output_activation if own else activation,
            "kernel_initializer": layer_kernel_initializer(kernel_initializer, seed, first + index),
            "bias_constraint": get_constraint(bias_constraint),
            "name": f"{prefix}_{index + 1}",
            **kwargs,
        }
