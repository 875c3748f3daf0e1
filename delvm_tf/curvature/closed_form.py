"""Exact derivatives of a one-layer network: an affine map followed by activations.

For a = Wx + b and c = γ∘φ elementwise, the potential Σⱼ c(aⱼ) has

    ∇ₓ = Wᵀ c′(a)        tr ∇ₓ² = Σⱼ c″(aⱼ) ‖wⱼ‖²

For a convolution, ‖wⱼ‖² at each position is the convolution of an image of ones with w², which is
right at the borders too. Cost: about one step of an autoencoder with tied weights.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from delvm_tf.curvature import jets
from delvm_tf.curvature import layer_kinds as kinds
from delvm_tf.curvature.affine import linear_map
from delvm_tf.curvature.curvature import Curvature, Potential
from delvm_tf.curvature.graph import layer_chain
from delvm_tf.curvature.outer import ElementwiseOuter

_SHAPE_LAYERS = (keras.layers.Flatten, keras.layers.Reshape, keras.layers.Permute)


class AffineStage(NamedTuple):
    """A potential in parts: reshapes, one affine layer, elementwise functions and reshapes, outer.

    Elementwise functions and reshapes commute.
    """

    before: list[keras.layers.Layer]
    affine: keras.layers.Layer
    jet: jets.JetFunction
    outer: ElementwiseOuter
    after: list[keras.layers.Layer]


def affine_stage(potential: object) -> AffineStage | str:
    """The parts of a one-layer potential, or why it has no closed form."""
    if not isinstance(potential, Potential) or not isinstance(potential.outer, ElementwiseOuter):
        return "the energy is not a sum over the outputs of a network"
    chain = layer_chain(potential.network)
    if chain is None:
        return "the network is not a chain of layers"
    before: list[keras.layers.Layer] = []
    after: list[keras.layers.Layer] = []
    affine: keras.layers.Layer | None = None
    jet: jets.JetFunction = jets.linear
    placed: keras.layers.Layer | None = None  # elementwise, but different at every place
    for layer in chain:
        if type(layer) in kinds.INERT:
            continue
        if type(layer) in _SHAPE_LAYERS:
            (before if affine is None else after).append(layer)
            continue
        if affine is None:
            if type(layer) is not keras.layers.Dense and type(layer) not in kinds.CONVOLUTIONS:
                return f"its first layer, {layer.name}, is not a dense or convolutional layer"
            if getattr(layer, "data_format", "channels_last") != "channels_last":
                return f"layer {layer.name} has its channels first"
            affine = layer
            step = jets.activation_jet(layer.activation)
        else:
            step = jets.layer_jet(layer)
            placed = layer if type(layer) is keras.layers.PReLU else placed
        if step is None:
            return f"layer {layer.name} is not elementwise after the first layer"
        jet = step if jet is jets.linear else jets.compose(step, jet)
    if affine is None:
        return "the network has no dense or convolutional layer"
    if placed is not None and after:
        return (
            f"layer {placed.name} has a slope for each place, but layer {after[0].name} moves them"
        )
    return AffineStage(before, affine, jet, potential.outer, after)


def require_affine_stage(potential: object) -> AffineStage:
    """The parts of a one-layer potential; ValueError if there is no closed form, saying why."""
    stage = affine_stage(potential)
    if isinstance(stage, str):
        raise ValueError(
            f"trace='closed_form' needs one dense or convolutional layer followed by elementwise "
            f"activations, but {stage}. Use trace='exact' or 'auto'."
        )
    return stage


def closed_form(potential: Potential, x: tf.Tensor) -> Curvature:
    """Gradient and Laplacian of a one-layer potential in closed form.

    Exact but for the kinks of piecewise-linear activations; ValueError without a closed form.
    """
    stage = require_affine_stage(potential)
    dtype, layer = potential.dtype, stage.affine
    kernel = tf.convert_to_tensor(layer.kernel)
    with tf.GradientTape() as tape:
        tape.watch(x)
        inputs = _through(stage.before, x)
        product = linear_map(
            layer, tf.cast(inputs, layer.compute_dtype), tf.cast(kernel, layer.compute_dtype)
        )
        a = tf.cast(product, dtype)
        if layer.bias is not None:
            a += tf.cast(layer.bias, dtype)
        a = _through(stage.after, a)
    phi = stage.jet(a)
    gamma = stage.outer.jet(phi.value)
    combined = jets.chain_rule(gamma, phi)
    gradient = tape.gradient(a, x, output_gradients=tf.broadcast_to(combined.first, tf.shape(a)))

    squared_norms = linear_map(
        layer, tf.ones_like(inputs[:1], dtype), tf.square(tf.cast(kernel, dtype))
    )
    squared_norms = _through(stage.after, squared_norms)
    batch = tf.shape(a)[0]
    if isinstance(combined.second, float):
        laplacian = tf.fill((batch,), combined.second * tf.reduce_sum(squared_norms))
    else:
        second = tf.broadcast_to(combined.second, tf.shape(a))
        laplacian = tf.linalg.matvec(
            tf.reshape(second, (batch, -1)), tf.reshape(squared_norms, (-1,))
        )
    return Curvature(phi.value, gradient, laplacian)


def _through(shape_layers: list[keras.layers.Layer], t: tf.Tensor) -> tf.Tensor:
    """Values through layers that only move them, by `call`, since `__call__` would cast them."""
    for layer in shape_layers:
        t = layer.call(t)
    return t
