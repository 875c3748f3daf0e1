"""Feature maps of a network: what its hidden layers say about an input."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature.graph import is_graph, layer_nodes
from delvm_tf.curvature.jets import layer_jet


def feature_function(network: Any) -> Any:
    """A function from inputs to the list of feature maps of a network, one per nonlinear stage.

    A stage ends at a layer with its own nonlinear activation or at an activation layer; the
    network's output is always the last. Networks written as a subclass have that one map only.
    """
    if not is_graph(network):
        return lambda x: [network(x, training=False)]
    outputs = network.outputs
    maps = [tensor for layer, _, tensor in layer_nodes(network) if _is_nonlinear(layer)]
    if all(m is not outputs[0] for m in maps):
        maps.append(outputs[0])
    function = keras.Function(network.inputs, maps)
    return lambda x: function([tf.cast(x, network.inputs[0].dtype)])


def _is_nonlinear(layer: keras.layers.Layer) -> bool:
    activation = getattr(layer, "activation", None)
    if activation is not None and activation is not keras.activations.linear:
        return True
    return layer_jet(layer) is not None and not isinstance(layer, keras.layers.Activation)


def flatten_map(feature_map: tf.Tensor, pool: int | None, dtype: str) -> tf.Tensor:
    """Max-pool the positions of a feature map, if it has any, and flatten: (batch, features)."""
    t = tf.cast(feature_map, dtype)
    spatial = t.shape[1:-1]
    if pool and len(spatial) > 0 and all(s is not None and s >= pool for s in spatial):
        t = keras.ops.max_pool(t, pool, strides=pool)
    return tf.reshape(t, (tf.shape(t)[0], -1))
