"""Reading a Keras network as a graph of layers."""

from collections.abc import Callable
from typing import Any

import keras


def is_graph(network: Any) -> bool:
    """Whether a network is a functional or built Sequential model of one input and one output."""
    if not isinstance(network, keras.Model):
        return False
    outputs, inputs = getattr(network, "outputs", None), getattr(network, "inputs", None)
    return len(outputs or ()) == len(inputs or ()) == 1


def layer_nodes(network: Any) -> list[tuple[Any, list[Any], Any]]:
    """The layers between input and output with their input tensors and output tensor, in order.

    Read from the tensors and not from `layer.output`, which is ambiguous for a layer that is used
    twice or was loaded from a file.
    """
    done: dict[int, tuple[Any, list[Any], Any]] = {}

    def visit(tensor: Any) -> None:
        if id(tensor) in done or tensor is network.inputs[0]:
            return
        layer, node_index, _ = tensor._keras_history
        parents = layer._inbound_nodes[node_index].input_tensors
        for parent in parents:
            visit(parent)
        done[id(tensor)] = (layer, parents, tensor)

    visit(network.outputs[0])
    return list(done.values())


def evaluate_graph(network: Any, value: Any, apply: Callable[[Any, list[Any]], Any]) -> Any:
    """Run `apply(layer, inputs)` over the graph, from the value at its input to its output."""
    values = {id(network.inputs[0]): value}
    for layer, parents, tensor in layer_nodes(network):
        values[id(tensor)] = apply(layer, [values[id(parent)] for parent in parents])
    return values[id(network.outputs[0])]


def layer_chain(network: Any) -> list[keras.layers.Layer] | None:
    """The layers of a network in order, if each one feeds exactly the next; otherwise None.

    Nested models are unrolled. Networks that branch, take several inputs, or are written as a
    subclass give None.
    """
    if not isinstance(network, keras.Model):
        return [network] if isinstance(network, keras.layers.Layer) else None
    if not is_graph(network):
        return None
    chain: list[keras.layers.Layer] = []
    previous = network.inputs[0]
    for layer, parents, tensor in layer_nodes(network):
        inner = layer_chain(layer)
        if inner is None or len(parents) != 1 or parents[0] is not previous:
            return None
        chain += inner
        previous = tensor
    return chain
