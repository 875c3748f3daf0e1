"""The output of a network in a form that TensorFlow can differentiate as often as needed."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf import keras_private
from delvm_tf.curvature.graph import evaluate_graph, is_graph
from delvm_tf.curvature.jets import without_options
from delvm_tf.curvature.layer_kinds import MAX_POOLINGS
from delvm_tf.curvature.taylor import has_rule, value_by_rule

layers = keras.layers
_MOMENTS = (layers.LayerNormalization, layers.GroupNormalization)


def network_value(network: Any, x: tf.Tensor) -> tf.Tensor:
    """f(x), layers such as dropout in inference mode.

    Layers whose second derivatives are wrong or missing in TensorFlow are computed by their
    propagation rule, which gives the same value.
    """
    if not is_graph(network) or not any(map(_needs_rule, keras_private.all_layers(network))):
        return network(x, training=False)

    def apply(layer: Any, inputs: list[tf.Tensor]) -> tf.Tensor:
        if is_graph(layer):
            return network_value(layer, inputs[0])
        if _needs_rule(layer):
            return _by_rule(layer, inputs[0])
        return layer(inputs if len(inputs) > 1 else inputs[0], training=False)

    return evaluate_graph(network, x, apply)


def _by_rule(layer: Any, x: tf.Tensor) -> tf.Tensor:
    half = layer.compute_dtype in ("float16", "bfloat16")
    value = value_by_rule(layer, tf.cast(x, "float32" if half else layer.compute_dtype))
    value = tf.cast(value, layer.compute_dtype)
    if layer.supports_masking:
        keras_private.copy_mask(x, value)
    return value


def _needs_rule(layer: Any) -> bool:
    if is_graph(layer) or not has_rule(layer):
        return False
    if isinstance(layer, _MOMENTS):  # `tf.nn.moments` treats the mean as a constant
        return True
    if isinstance(layer, layers.UpSampling2D):  # `tf.image.resize` has no second gradient
        return layer.interpolation != "nearest"
    if isinstance(layer, MAX_POOLINGS):  # MaxPoolGradGrad writes over its input
        return layer.padding == "same" and set(layer.strides) == {1}
    return without_options(getattr(layer, "activation", None))[0] is keras.activations.softsign
