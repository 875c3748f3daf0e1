"""Checking and building the networks that models are given."""

from typing import Any

import keras


def check_network(network: Any, what: str = "network") -> None:
    """Accept Keras models and layers.

    Raises:
        TypeError: for anything else.
    """
    if not isinstance(network, keras.layers.Layer):
        raise TypeError(
            f"{what} must be a Keras model such as dv.networks.ffnn((256,)), got {network!r}"
        )


def build_network(
    network: Any,
    input_shape: tuple[int | None, ...],
    what: str = "the network",
    source: str = "the data have",
) -> None:
    """Create the network's weights, unless they are there, for inputs of `input_shape`.

    Raises:
        ValueError: if it was made for inputs of another shape.
    """
    if not network.built:
        network.build(input_shape)
    expected = getattr(network, "input_shape", None)
    if isinstance(expected, tuple) and tuple(expected[1:]) != tuple(input_shape[1:]):
        raise ValueError(
            f"{what} takes inputs of shape {tuple(expected[1:])}, but {source} shape "
            f"{tuple(input_shape[1:])}"
        )
