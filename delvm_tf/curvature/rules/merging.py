"""Layers of several inputs, the tangents of each of which may be shared by all examples.

As in Keras, inputs of fewer axes get axes of length one after the batch.
"""

from functools import reduce
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature import jets
from delvm_tf.curvature.taylor import TaylorJet, linear_rule, register_rule

layers = keras.layers


@register_rule(layers.Add)
def add(layer: Any, *inputs: TaylorJet) -> TaylorJet:
    """The sum of the inputs."""
    return reduce(sum_rule, _aligned(inputs))


@register_rule(layers.Average)
def average(layer: Any, *inputs: TaylorJet) -> TaylorJet:
    """The mean of the inputs."""
    return linear_rule(reduce(sum_rule, _aligned(inputs)), lambda t: t / len(inputs))


@register_rule(layers.Subtract)
def subtract(layer: Any, *inputs: TaylorJet) -> TaylorJet:
    """The difference of two inputs."""
    a, b = _aligned(inputs)
    return sum_rule(a, linear_rule(b, tf.negative))


@register_rule(layers.Multiply)
def multiply(layer: Any, *inputs: TaylorJet) -> TaylorJet:
    """The product of the inputs."""
    return reduce(product_rule, _aligned(inputs))


@register_rule(layers.Maximum)
def maximum(layer: Any, *inputs: TaylorJet) -> TaylorJet:
    """The largest input with its derivatives; among equal ones the first, as in the gradient."""
    return reduce(lambda a, b: _chosen(a.value >= b.value, a, b), _aligned(inputs))


@register_rule(layers.Minimum)
def minimum(layer: Any, *inputs: TaylorJet) -> TaylorJet:
    """The smallest input with its derivatives; among equal ones the first, as in the gradient."""
    return reduce(lambda a, b: _chosen(a.value <= b.value, a, b), _aligned(inputs))


@register_rule(layers.Concatenate)
def concatenate(layer: Any, *inputs: TaylorJet) -> TaylorJet:
    """The inputs side by side."""
    rank = inputs[0].value.shape.rank
    axis = layer.axis % rank - rank  # counts with or without probes
    tangents = [jet.tangents for jet in inputs]
    if any(t.shape[1] != 1 for t in tangents):
        batch = tf.shape(inputs[0].value)[0]
        tangents = [_for_each_example(t, batch) for t in tangents]
    second: Any = 0.0
    if any(not isinstance(jet.second, float) for jet in inputs):
        second = tf.concat([tf.zeros_like(jet.value) + jet.second for jet in inputs], axis)
    return TaylorJet(
        tf.concat([jet.value for jet in inputs], axis), tf.concat(tangents, axis), second
    )


def sum_rule(a: TaylorJet, b: TaylorJet) -> TaylorJet:
    """The rule of a + b."""
    return TaylorJet(a.value + b.value, a.tangents + b.tangents, jets.add(a.second, b.second))


def product_rule(a: TaylorJet, b: TaylorJet) -> TaylorJet:
    """The rule of ab, whose second-order term is 2 Σ_c Da[v_c] Db[v_c]."""
    crossed = 2.0 * tf.reduce_sum(a.tangents * b.tangents, axis=0)
    carried = jets.add(jets.multiply(a.second, b.value), jets.multiply(a.value, b.second))
    return TaylorJet(
        a.value * b.value,
        a.tangents * b.value + a.value * b.tangents,
        jets.add(carried, crossed),
    )


def _chosen(first: tf.Tensor, a: TaylorJet, b: TaylorJet) -> TaylorJet:
    """The jet a where `first` holds, and b elsewhere."""

    def choose(of_a: Any, of_b: Any) -> Any:
        if isinstance(of_a, float) and isinstance(of_b, float):
            return 0.0
        return tf.where(first, of_a, of_b)

    return TaylorJet(*map(choose, a, b))


def _aligned(inputs: tuple[TaylorJet, ...]) -> list[TaylorJet]:
    """The inputs, with the same number of axes each."""
    rank = max(jet.value.shape.rank for jet in inputs)

    def align(jet: TaylorJet) -> TaylorJet:
        ones = [1] * (rank - jet.value.shape.rank)
        if not ones:
            return jet
        return linear_rule(
            jet, lambda t: tf.reshape(t, tf.concat([tf.shape(t)[:1], ones, tf.shape(t)[1:]], 0))
        )

    return [align(jet) for jet in inputs]


def _for_each_example(tangents: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(tangents)
    return tf.broadcast_to(tangents, tf.concat([shape[:1], [batch], shape[2:]], axis=0))
