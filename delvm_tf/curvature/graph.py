"""Reading a Keras network as a graph of layers."""

from collections.abc import Callable, Hashable
from typing import Any

import keras

from delvm_tf import keras_private


def is_graph(network: Any) -> bool:
    """Whether a network is a functional or built Sequential model of one input and one output.

    A subclass with its own `call` is not, since that may do more than run the layers.
    """
    if not isinstance(network, keras.Model):
        return False
    if not type(network).call.__module__.startswith("keras."):
        return False
    outputs, inputs = getattr(network, "outputs", None), getattr(network, "inputs", None)
    return len(outputs or ()) == len(inputs or ()) == 1


class Call:
    """A node of a network that is not simply a layer applied to its input tensors.

    For example `x + y`, `x[:, 1:]`, `keras.ops.tanh(x)`, `attention(x, x)`, one of several outputs.
    It is called like a layer, with the values of its distinct input tensors.
    """

    def __init__(self, node: keras_private.Node, parents: list[Any]):
        self.name = node.operation.name
        self._node, self._parents = node, parents

    @property
    def weights(self) -> list[Any]:
        """The variables of the layer that is called; empty for an operation."""
        return getattr(self._node.operation, "weights", [])

    def __call__(self, values: Any, training: bool = False) -> Any:
        """The output for the value, or the list of values, of the parents."""
        listed = values if isinstance(values, list) else [values]
        by_tensor = {id(p): v for p, v in zip(self._parents, listed, strict=True)}
        args, kwargs = self._node.arguments.fill_in(by_tensor)
        if keras_private.takes_training(self._node.operation):
            kwargs["training"] = training
        return keras.tree.flatten(self._node.operation(*args, **kwargs))[self._node.place]


def _is_plain(node: keras_private.Node) -> bool:
    """Whether a layer was called with a tensor or a list of tensors and returned one."""
    options = {key: value for key, value in node.arguments.kwargs.items() if key != "training"}
    return (
        isinstance(node.operation, keras.layers.Layer)
        and len(node.arguments.args) == len(node.outputs) == 1
        and all(value is None for value in options.values())
    )


def layer_nodes(network: Any) -> list[tuple[Any, list[Any], Any]]:
    """The layers between input and output with their input tensors and output tensor, in order.

    Read from the tensors and not from `layer.output`, which is ambiguous for a layer that is used
    twice or was loaded from a file.
    """
    done: dict[int, tuple[Any, list[Any], Any]] = {}

    def visit(tensor: Any) -> None:
        if id(tensor) in done or tensor is network.inputs[0]:
            return
        node = keras_private.node_of(tensor)
        layer, parents = node.operation, node.inputs
        if not _is_plain(node):
            parents = list({id(parent): parent for parent in parents}.values())
            layer = Call(node, parents)
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
    """The layers of a network in order if each one feeds exactly the next, otherwise None.

    Nested models are unrolled. None also for a subclass with its own `call`.
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


def structure_key(model: Any) -> Hashable:
    """The layers of a model and their activations, which a user may replace; () for a function."""
    layers = keras_private.all_layers(model) if isinstance(model, keras.layers.Layer) else ()
    return tuple((layer, getattr(layer, "activation", None)) for layer in layers)
