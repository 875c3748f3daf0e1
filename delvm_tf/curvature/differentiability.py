"""Finds what TensorFlow cannot differentiate, before it silently drops part of a gradient.

The gradient in the weights of an objective of ∇E goes through the gradient of each layer.
TensorFlow takes some of these for constants, such as that of `tf.image.resize`, and computes others
wrongly. Of activations with kinks the second derivatives lack what is in the kinks.
"""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf
from tensorflow.python.framework import ops

from delvm_tf.curvature.graph import structure_key

_GRADIENT = re.compile(r"Grad(V\d+|Image|WithArgmax)?$|Backprop")
# What was found to be differentiable, by the object and the state of its layers.
_SOUND: WeakKeyDictionary[Any, set[Any]] = WeakKeyDictionary()
_MAX_POOLING = {"MaxPoolGrad", "MaxPoolGradV2", "MaxPool3DGrad"}
_KINKS = {"Relu", "Relu6", "LeakyRelu", "Selu", "MaxPool", "MaxPoolV2", "MaxPool3D"}


@tf.autograph.experimental.do_not_convert
def graph_nodes(function: Callable[..., Any], specs: Sequence[tf.TensorSpec]) -> list[Any]:
    """The operations of a function, including those in loops and branches; it is traced once."""

    def trace() -> Any:
        traced = tf.function(lambda *x: function(*x), autograph=False)
        return traced.get_concrete_function(*specs).graph.as_graph_def()

    # In another thread, out of reach of the caller's graphs, tapes and scopes.
    with ThreadPoolExecutor(1) as thread:
        graph = thread.submit(trace).result()
    return [*graph.node, *(node for f in graph.library.function for node in f.node_def)]


def first_kink(function: Callable[..., Any], specs: Sequence[tf.TensorSpec]) -> str | None:
    """The name of an operation whose slope jumps, such as ReLU; None if there is none.

    Cost: tracing the function.

    Args:
        function: of tensors.
        specs: shapes and types of the tensors.
    """
    names = (node.name for node in graph_nodes(function, specs) if node.op in _KINKS)
    return next(names, None)


def require_differentiable(
    what: str, function: Callable[..., Any], specs: Sequence[tf.TensorSpec], given: Any = None
) -> None:
    """Refuse a function of gradients, such as ∇E(x), that cannot be differentiated once more.

    Cost: tracing it; for an object, or a method of it, once as long as its layers stay the same.

    Args:
        what: needs the derivative, for the message.
        function: of tensors.
        specs: shapes and types of the tensors.
        given: the object or method that the function was made from; by default the function.

    Raises:
        ValueError: names the operation that cannot be differentiated, and so the layer.
    """
    given = function if given is None else given
    owner = getattr(given, "__self__", given)
    layers = structure_key(getattr(owner, "network", owner))
    key = (what, getattr(given, "__name__", ""), *specs, layers)
    if key in _SOUND.setdefault(owner, set()):
        return
    for node in graph_nodes(function, specs):
        reason = _obstacle(node)
        if reason is not None:
            raise ValueError(
                f"{what} needs the derivative of a gradient, but the network contains {node.name}, "
                f"{reason}. Use another layer there, or an objective without derivatives of "
                f"gradients: dv.ContrastiveDivergence(sampler='langevin')"
            )
    _SOUND[owner].add(key)


def require_differentiable_gradient(
    what: str, function: Callable[..., Any], specs: Sequence[tf.TensorSpec]
) -> None:
    """`require_differentiable` of the gradient of a function in its arguments."""

    def gradient(*x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(*x)
        return [g for g in tape.gradient(y, x) if g is not None]

    require_differentiable(what, gradient, specs, function)


def _obstacle(node: Any) -> str | None:
    """Why the gradient of a node would be missing or wrong, or None."""
    if _GRADIENT.search(node.op) and not _has_gradient(node.op):
        return f"whose operation {node.op} TensorFlow cannot differentiate"
    if node.name.endswith("moments/StopGradient"):
        return (
            "where tf.nn.moments treats the mean as a constant in the variance, so that second "
            "derivatives are wrong; write tf.reduce_mean(tf.square(x - mean))"
        )
    if (
        node.op in _MAX_POOLING
        and node.attr["padding"].s == b"SAME"
        and set(node.attr["strides"].list.i) == {1}
    ):
        return (
            "max pooling with strides 1 and padding 'same', whose second derivatives TensorFlow "
            "computes wrongly"
        )
    return None


def _has_gradient(operation: str) -> bool:
    try:
        return ops.gradient_registry.lookup(operation) is not None
    except LookupError:
        return False
