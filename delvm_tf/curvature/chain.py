"""Reading a Keras network as a chain of layers."""

from typing import Any

import keras


def layer_chain(network: Any) -> list[keras.layers.Layer] | None:
    """The layers of a network in order, if each one feeds exactly the next; otherwise None.

    Sequential and functional models are followed from output to input, nested ones unrolled.
    Networks that branch, take several inputs, or are written as a subclass give None.
    """
    if not isinstance(network, keras.Model):
        return [network] if isinstance(network, keras.layers.Layer) else None
    outputs = getattr(network, "outputs", None)
    inputs = getattr(network, "inputs", None)
    if not outputs or not inputs or len(outputs) != 1 or len(inputs) != 1:
        return None

    chain: list[keras.layers.Layer] = []
    tensor = outputs[0]
    while tensor is not inputs[0]:
        layer, node_index, _ = tensor._keras_history
        if not isinstance(layer, keras.layers.Layer):
            return None
        parents = layer._inbound_nodes[node_index].input_tensors
        if isinstance(layer, keras.layers.InputLayer) or len(parents) != 1:
            return None
        inner = layer_chain(layer)
        if inner is None:
            return None
        chain = inner + chain
        tensor = parents[0]
    return chain
