"""What derivatives cost: multiplications and memory, counted from the layers.

Costs are in steps of an autoencoder with the network as encoder and its mirror image as decoder.
With F multiplications in a forward pass such a step takes 6F: encoder and decoder, times three for
the gradients. Elementwise work is not counted; it matters for small layers only.
"""

import math
from typing import Any, NamedTuple

import tensorflow as tf

from delvm_tf.curvature.curvature import Potential
from delvm_tf.curvature.graph import is_graph, layer_nodes
from delvm_tf.curvature.taylor import has_rule

DIFFERENTIATION = 4  # forward-over-reverse derivatives of a function, in forward passes
COPIES = 3  # of each tensor of derivatives that a backward pass holds at its peak
BYTES_OF_A_FUNCTION = 256  # for each input value, if the network is not a graph of layers


class Multiplications(NamedTuple):
    """Multiplications for one example.

    Attributes:
        forward: in one forward pass.
        tangent: in propagating one probe that is the same for all examples, without the first
            layer, whose derivatives are computed once for the batch.
    """

    forward: int
    tangent: int


def multiplications(network: Any) -> Multiplications | None:
    """Multiplications of all layers with kernels: their values times the positions they serve.

    None if a layer with weights has no propagation rule: recurrent layers, for example, use their
    weights at every step.
    """
    counts = [_layer_multiplications(*node) for node in layer_nodes(network)]
    known = [count for count in counts if count]
    if None in counts:
        return None
    return Multiplications(sum(known), sum(known[1:]))


def _layer_multiplications(layer: Any, parents: list[Any], output: Any) -> int | None:
    if is_graph(layer):
        inner = multiplications(layer)
        return None if inner is None else inner.forward
    if layer.weights and not has_rule(layer):
        return None
    transposed = "Transpose" in type(layer).__name__
    shape = (parents[0] if transposed else output).shape
    first = getattr(layer, "data_format", None) == "channels_first"
    positions = math.prod(shape[2:] if first else shape[1:-1])
    return sum(positions * math.prod(w.shape) for w in layer.weights if len(w.shape) > 1)


def tangent_bytes(network: Any, itemsize: int = 4) -> int:
    """Memory of one probe of one example with the gradient in the weights, in bytes."""
    values = 0
    for layer, _, tensor in layer_nodes(network):
        if is_graph(layer):
            values += tangent_bytes(layer, itemsize) // (COPIES * itemsize)
        else:
            values += math.prod(tensor.shape[1:])
    return COPIES * itemsize * values


def bytes_per_probe(potential: Any, x: tf.Tensor) -> int:
    """Memory of the derivatives along one probe of one example, in bytes."""
    if isinstance(potential, Potential) and is_graph(potential.network):
        return max(1, tangent_bytes(potential.network, x.dtype.size))
    return BYTES_OF_A_FUNCTION * math.prod(x.shape[1:])
