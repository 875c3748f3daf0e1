"""Exact derivatives of a one-layer network: an affine map followed by activations.

For a = Wx + b and c = γ∘φ elementwise, the potential Σⱼ c(aⱼ) has

    ∇ₓ = Wᵀ c′(a)        tr ∇ₓ² = Σⱼ c″(aⱼ) ‖wⱼ‖²

For a convolution, ‖wⱼ‖² at each position is the convolution of an image of ones with w², so the
borders are right. Cost: about one step of an autoencoder with tied weights.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from delvm_tf.curvature import jets
from delvm_tf.curvature.affine import CONVOLUTIONS, linear_map
from delvm_tf.curvature.curvature import Curvature, Potential
from delvm_tf.curvature.graph import layer_chain
from delvm_tf.curvature.outer import ElementwiseOuter

_SHAPE_LAYERS = (keras.layers.Flatten, keras.layers.Reshape, keras.layers.Permute)
INERT_LAYERS = (keras.layers.Identity, keras.layers.Dropout)


class AffineStage(NamedTuple):
    """A potential taken apart: reshapes, one affine layer, elementwise functions, outer one.

    Reshapes after the affine layer change nothing but the order of the output.
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
    for layer in chain:
        if type(layer) in INERT_LAYERS:
            continue
        if type(layer) in _SHAPE_LAYERS:
            (before if affine is None else after).append(layer)
            continue
        if affine is None:
            if type(layer) is not keras.layers.Dense and type(layer) not in CONVOLUTIONS:
                return f"its first layer, {layer.name}, is not a dense or convolutional layer"
            if getattr(layer, "data_format", "channels_last") != "channels_last":
                return f"layer {layer.name} has its channels first"
            affine = layer
            step = jets.activation_jet(layer.activation)
        else:
            step = jets.layer_jet(layer)
        if step is None:
            return f"layer {layer.name} is not elementwise after the first layer"
        jet = step if jet is jets.linear else jets.compose(step, jet)
    if affine is None:
        return "the network has no dense or convolutional layer"
    return AffineStage(before, affine, jet, potential.outer, after)


def require_affine_stage(potential: object) -> AffineStage:
    """The parts of a one-layer potential.

    Raises:
        ValueError: if the potential has no closed form; the message says why.
    """
    stage = affine_stage(potential)
    if isinstance(stage, str):
        raise ValueError(
            f"trace='closed_form' needs one dense or convolutional layer followed by elementwise "
            f"activations, but {stage}. Use trace='exact' or 'auto'."
        )
    return stage


def closed_form(potential: Potential, x: tf.Tensor) -> Curvature:
    """Gradient and Laplacian of a one-layer potential in closed form.

    Args:
        potential: an elementwise outer function of a network with one affine layer.
        x: inputs, (batch, ...).

    Returns:
        The exact `Curvature`; kinks of piecewise-linear activations are ignored.

    Raises:
        ValueError: if the potential has no closed form; the message says why.
    """
    stage = require_affine_stage(potential)
    dtype, layer = potential.dtype, stage.affine
    kernel = tf.convert_to_tensor(layer.kernel)
    with tf.GradientTape() as tape:
        tape.watch(x)
        reshaped = x
        for shape_layer in stage.before:
            reshaped = shape_layer.call(reshaped)
        a = tf.cast(
            linear_map(
                layer, tf.cast(reshaped, layer.compute_dtype), tf.cast(kernel, layer.compute_dtype)
            ),
            dtype,
        )
    pre_activation = a if layer.bias is None else a + tf.cast(layer.bias, dtype)
    phi = stage.jet(pre_activation)
    gamma = stage.outer.jet(phi.value)
    combined = jets.chain_rule(gamma, phi)
    gradient = tape.gradient(a, x, output_gradients=tf.broadcast_to(combined.first, tf.shape(a)))

    squared_norms = linear_map(
        layer, tf.ones_like(reshaped[:1], dtype), tf.square(tf.cast(kernel, dtype))
    )
    batch = tf.shape(a)[0]
    squared_norms = tf.reshape(squared_norms, (-1,))
    if isinstance(combined.second, float):
        laplacian = tf.fill((batch,), combined.second * tf.reduce_sum(squared_norms))
    else:
        laplacian = tf.linalg.matvec(tf.reshape(combined.second, (batch, -1)), squared_norms)
    output = phi.value
    for shape_layer in stage.after:
        output = shape_layer.call(output)
    return Curvature(output, gradient, laplacian)
