"""Checking and building the networks that models are given."""

from typing import Any

import keras

from delvm_tf.curvature.graph import is_graph, layer_chain
from delvm_tf.inputs.notices import warn

POINTWISE = (
    keras.layers.Dense, keras.layers.Activation, keras.layers.Dropout, keras.layers.Identity,
    keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU,
)  # fmt: skip


def check_network(network: Any, what: str = "network") -> None:
    """Accept Keras models and layers that take x alone, or may do so.

    Raises:
        TypeError: for anything else, such as a network that takes the noise level too.
    """
    if not isinstance(network, keras.layers.Layer):
        raise TypeError(
            f"{what} must be a Keras model such as dv.networks.ffnn((256,)), got {network!r}"
        )
    inputs = getattr(network, "inputs", None)
    if getattr(network, "takes_level", False) or (inputs is not None and len(inputs) != 1):
        raise TypeError(
            f"{what} must be a Keras model of x alone, such as dv.networks.ffnn((256,)), got "
            f"{network!r}, which takes more; networks of [x, log σ] are for models with noise "
            f"levels, such as dv.NoiseConditionalDELVM and dv.DensityDELVM"
        )


def check_level_network(network: Any) -> None:
    """Accept Keras models and layers that take the noise level too, or may do so.

    Raises:
        TypeError: for anything else, such as a network that is known to take x alone.
    """
    inputs = getattr(network, "inputs", None)
    alone = isinstance(network, keras.Sequential) or (inputs is not None and len(inputs) != 2)
    if not isinstance(network, keras.layers.Layer) or alone:
        raise TypeError(
            f"network must be a Keras model of [x, log σ] such as dv.networks.level_ffnn((256,)), "
            f"got {network!r}, which takes no noise level"
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
        if not is_graph(network):
            # Keras passes over the error of a subclass that cannot take such inputs.
            network(keras.KerasTensor(input_shape, network.compute_dtype))
    expected = getattr(network, "input_shape", None)
    if isinstance(expected, tuple) and tuple(expected[1:]) != tuple(input_shape[1:]):
        raise ValueError(
            f"{what} takes inputs of shape {tuple(expected[1:])}, but {source} shape "
            f"{tuple(input_shape[1:])}"
        )
    _warn_of_pixels(network, input_shape, what)


def _warn_of_pixels(network: Any, input_shape: tuple[int | None, ...], what: str) -> None:
    """Dense layers act on the last axis, so on images alone they see one pixel at a time."""
    chain = layer_chain(network) or []
    dense = any(type(layer) is keras.layers.Dense for layer in chain)
    if len(input_shape) > 2 and dense and all(type(layer) in POINTWISE for layer in chain):
        warn(
            f"the dense layers of {what} act on the last axis of inputs of shape "
            f"{tuple(input_shape[1:])}, so that each position has its own values only; put "
            f"keras.layers.Flatten() first, unless this is meant"
        )
