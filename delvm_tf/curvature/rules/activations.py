"""Activations: elementwise ones by their jets, and those that mix the elements of an axis."""

import logging
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature import jets
from delvm_tf.curvature import layer_kinds as kinds
from delvm_tf.curvature.taylor import (
    TaylorJet,
    differentiated_layer,
    elementwise_rule,
    register_rule,
)

logger = logging.getLogger(__name__)
layers = keras.layers
Axes = int | tuple[int, ...]


@register_rule(*kinds.ACTIVATIONS, layers.Softmax)
def activation_layer(layer: Any, jet: TaylorJet) -> TaylorJet:
    """Activation layers."""
    return activated(layer, jet)


def activated(activation: Any, jet: TaylorJet) -> TaylorJet:
    """The jet after an activation: a function, an activation layer or None."""
    while type(activation) is layers.Activation:
        activation = activation.activation
    elementwise = jets.activation_jet(activation)
    if elementwise is jets.linear:
        return jet
    if elementwise is not None:
        return elementwise_rule(jet, elementwise)
    if type(activation) is layers.Softmax:
        return softmax_rule(jet, activation.axis)
    function, options = jets.without_options(activation)
    if function in _OF_AN_AXIS:
        return _OF_AN_AXIS[function](jet, **options)
    logger.info("activation %s has no rule and is differentiated automatically", activation)
    return differentiated_layer(lambda t, training: activation(t), [jet])


def softmax_rule(jet: TaylorJet, axis: Axes = -1) -> TaylorJet:
    """Of y = softmax(x): Dy = yc and D²y = y(c² − ⟨y, c²⟩), with c = v − ⟨y, v⟩ along v."""
    y, centred = _softmax(jet, axis)
    c = centred(jet.tangents)
    second = centred(tf.reduce_sum(tf.square(c), axis=0))
    if not isinstance(jet.second, float):
        second += centred(jet.second)
    return TaylorJet(y, y * c, y * second)


def log_softmax_rule(jet: TaylorJet, axis: Axes = -1) -> TaylorJet:
    """Of log y with y = softmax(x): c = v − ⟨y, v⟩ and −⟨y, c²⟩ along v."""
    _, centred = _softmax(jet, axis)
    c = centred(jet.tangents)
    squares = tf.reduce_sum(tf.square(c), axis=0)
    second = centred(squares) - squares
    if not isinstance(jet.second, float):
        second += centred(jet.second)
    return TaylorJet(keras.ops.log_softmax(jet.value, axis=axis), c, second)


def _softmax(jet: TaylorJet, axis: Axes) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """The softmax y, and the map t ↦ t − ⟨y, t⟩ of tensors with or without an axis of probes."""
    rank = jet.value.shape.rank
    axes = [a % rank - rank for a in ((axis,) if isinstance(axis, int) else axis)]
    y = tf.exp(jet.value - tf.reduce_logsumexp(jet.value, axis=axes, keepdims=True))
    return y, lambda t: t - tf.reduce_sum(y * t, axis=axes, keepdims=True)


_OF_AN_AXIS: dict[Any, Callable[..., TaylorJet]] = {
    keras.activations.softmax: softmax_rule,
    keras.activations.log_softmax: log_softmax_rule,
    tf.nn.softmax: softmax_rule,
    tf.nn.log_softmax: log_softmax_rule,
}
