"""How far the outputs of a network, or the terms of a potential, see along each axis of the input.

Two input values that no term of a potential g(f(x)) sees together do not interact: their entry of
the Hessian is zero. A probe vector may then hold both, and vᵀHv is the sum of their diagonal
entries, exactly. For Σᵢ gᵢ(fᵢ(x)) the terms are the outputs; any other outer function g puts
outputs together, and says by `Outer.terms` which.

For every element of a tensor the box of input values that it depends on, their first and last index
along each input axis, is carried from layer to layer, so that borders, strides and branches are
right. Cost: a few forward passes on one input.

Layers without a rule are taken to see all of their inputs from everywhere, which is always safe.
`register_receptive_field` gives your own layers a rule; for an elementwise one,

    register_receptive_field(MyScaling)(pointwise)
"""

import inspect
import logging
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.curvature import jets
from delvm_tf.curvature import layer_kinds as kinds
from delvm_tf.curvature.boxes import FAR, Boxes, Indices, everything, map_boxes, union
from delvm_tf.curvature.curvature import Potential
from delvm_tf.curvature.graph import is_graph, layer_nodes

logger = logging.getLogger(__name__)
layers = keras.layers

Rule = Callable[..., Boxes | None]
_RULES: dict[type, Rule] = {}


def receptive_field(function: Any, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """How far the outputs of a network, or the terms of a `Potential`, see along each input axis.

    The input values that an output depends on lie between a first and a last index along an axis;
    the length is the largest last − first + 1 of all outputs. For convolutions of kernel size kᵢ
    and stride sᵢ it is 1 + Σᵢ (kᵢ − 1) s₁⋯sᵢ₋₁, or the size of the input if that is smaller.

    Args:
        function: any function of a batch.
        input_shape: the shape of one input, channels included.

    Returns:
        For each axis of one input, the smallest length R such that no output of the network, or
        term of the potential, sees two input values R or more apart along that axis. The whole
        input shape unless the function is a graph of layers of known sizes with such inputs, or a
        potential of one.

    Raises:
        ValueError: if a registered rule gives boxes of another shape than its layer's output.

    Examples:
        >>> network = dv.networks.cnn((70, 70), 5, input_shape=(28, 28, 3))
        >>> dv.curvature.receptive_field(network, (28, 28, 3))
        (9, 9, 3)
    """
    input_shape = tuple(input_shape)
    network = function.network if isinstance(function, Potential) else function
    if not _is_readable(network, input_shape):
        return input_shape
    index = np.indices(input_shape, dtype=np.int64)
    with tf.init_scope():  # plain numbers, even while a training step is being traced
        boxes = _propagate(network, Boxes(index, index))
    if isinstance(function, Potential):
        boxes = function.outer.terms(boxes)
    lengths = (boxes.hi - boxes.lo + 1).max(axis=tuple(range(1, boxes.lo.ndim)))
    return tuple(max(int(length), 1) for length in lengths)


def register_receptive_field(*layer_types: type) -> Callable[[Rule], Rule]:
    """Decorator that makes `rule(layer, *boxes) -> boxes` the rule of exactly these layer classes.

    The rule takes the boxes of each input tensor and returns those of the output, or None for a
    layer to be treated like one without a rule, as are calls with more or fewer tensors than the
    rule takes. Boxes have for each element of a tensor the first, `lo`, and last index, `hi`, along
    each input axis that it depends on, (input axes, ...); `pointwise`, `map_boxes` and `union` make
    them for most layers.

    Args:
        *layer_types: classes of Keras layers; subclasses need a rule of their own.

    Examples:
        >>> class Reverse(keras.layers.Layer):
        ...     def call(self, x):
        ...         return tf.reverse(x, [1])
        >>> @dv.curvature.register_receptive_field(Reverse)
        ... def reverse(layer, boxes):
        ...     return dv.curvature.map_boxes(lambda side: side[:, ::-1], boxes)
        >>> network = keras.Sequential([keras.Input((9, 1)), Reverse(), keras.layers.Conv1D(4, 3)])
        >>> dv.curvature.receptive_field(network, (9, 1))
        (3, 1)
    """

    def register(rule: Rule) -> Rule:
        for layer_type in layer_types:
            _RULES[layer_type] = rule
        return rule

    return register


def _is_readable(network: Any, input_shape: tuple[int, ...]) -> bool:
    """Whether a network is a graph of tensors of known sizes with inputs of this shape."""
    if not is_graph(network) or tuple(network.inputs[0].shape[1:]) != input_shape:
        return False
    return all(None not in tensor.shape[1:] for _, _, tensor in layer_nodes(network))


def _propagate(network: Any, boxes: Boxes) -> Boxes:
    """Carry boxes from the input of a readable network to its output, layer by layer."""
    known = {id(network.inputs[0]): boxes}
    for layer, parents, tensor in layer_nodes(network):
        inputs = [known[id(parent)] for parent in parents]
        known[id(tensor)] = _through_layer(layer, inputs, tuple(tensor.shape[1:]))
    return known[id(network.outputs[0])]


def _through_layer(layer: Any, inputs: list[Boxes], shape: tuple[int, ...]) -> Boxes:
    """The boxes of a layer's output, of the given shape without batch."""
    if len(inputs) == 1 and _is_readable(layer, inputs[0].lo.shape[1:]):
        return _propagate(layer, inputs[0])
    rule = _RULES.get(type(layer))
    boxes = rule(layer, *inputs) if rule is not None and _takes(rule, len(inputs)) else None
    if boxes is None:
        logger.info("layer %s is taken to see all of its inputs from everywhere", layer.name)
        return everything(inputs, shape)
    if boxes.lo.shape[1:] != shape:
        raise ValueError(
            f"the receptive field rule of layer {layer.name} gives boxes of shape "
            f"{boxes.lo.shape[1:]}, but its output has shape {shape}"
        )
    return boxes


def _takes(rule: Rule, tensors: int) -> bool:
    try:
        inspect.signature(rule).bind(None, *range(tensors))
    except TypeError:
        return False
    return True


@register_receptive_field(
    *kinds.INERT, layers.BatchNormalization, layers.Normalization, layers.Rescaling
)
def pointwise(layer: Any, boxes: Boxes) -> Boxes:
    """The rule of layers whose outputs depend only on the input at the same place, in inference.

    For `register_receptive_field`.

    Examples:
        >>> class Double(keras.layers.Layer):
        ...     def call(self, x):
        ...         return 2 * x
        >>> rule = dv.curvature.register_receptive_field(Double)(dv.curvature.pointwise)
        >>> network = keras.Sequential([keras.Input((9, 1)), Double(), keras.layers.Conv1D(4, 3)])
        >>> dv.curvature.receptive_field(network, (9, 1))
        (3, 1)
    """
    return boxes


@register_receptive_field(*kinds.ACTIVATIONS)
def activation_layer(layer: Any, boxes: Boxes) -> Boxes | None:
    """Activation layers."""
    return _activated(getattr(layer, "activation", layer), boxes)


# Along the last axis; other activations that are not elementwise are treated as unknown.
_NORMALIZING_ACTIVATIONS = (
    keras.activations.softmax,
    keras.activations.log_softmax,
    keras.activations.sparsemax,
)


def _activated(activation: Any, boxes: Boxes) -> Boxes | None:
    if jets.activation_jet(activation) is not None:
        return boxes
    return union(boxes, -1) if activation in _NORMALIZING_ACTIVATIONS else None


@register_receptive_field(
    layers.Softmax, layers.LayerNormalization, layers.RMSNormalization, layers.UnitNormalization
)
def normalization_along_axis(layer: Any, boxes: Boxes) -> Boxes:
    """Layers that divide by a statistic of the values along an axis."""
    return union(boxes, layer.axis)


@register_receptive_field(*kinds.MOVING, layers.UpSampling2D)
def shape_layer(layer: Any, boxes: Boxes) -> Boxes | None:
    """Layers that move values, applied to the boxes as if these were data."""
    if getattr(layer, "interpolation", "nearest") != "nearest":
        return None
    # Shifted, so that the zeros of a padding become elements that see nothing.
    return map_boxes(lambda side: np.asarray(layer.call(side - FAR)) + FAR, boxes)


@register_receptive_field(
    layers.Add, layers.Subtract, layers.Average, layers.Multiply, layers.Maximum, layers.Minimum
)
def elementwise_merge(layer: Any, *boxes: Boxes) -> Boxes:
    """Elementwise functions of several tensors, broadcast; missing axes come after the batch's."""
    rank = max(box.lo.ndim for box in boxes)

    def lower(*sides: Indices) -> Indices:
        full = [np.expand_dims(s, tuple(range(1, 1 + rank - s.ndim))) for s in sides]
        return np.min(np.broadcast_arrays(*full), axis=0)

    return map_boxes(lower, *boxes)


@register_receptive_field(layers.Concatenate)
def concatenate(layer: Any, *boxes: Boxes) -> Boxes:
    """Tensors side by side along an axis."""
    return map_boxes(lambda *sides: np.concatenate(sides, axis=layer.axis), *boxes)


@register_receptive_field(layers.Dense)
def dense(layer: Any, boxes: Boxes) -> Boxes | None:
    """Dense layers see the whole last axis."""
    mixed = map_boxes(lambda side: np.repeat(_by_group(side, 1), layer.units, axis=-1), boxes)
    return _activated(layer.activation, mixed)


@register_receptive_field(*kinds.CONVOLUTIONS)
def convolution(layer: Any, boxes: Boxes) -> Boxes | None:
    """Convolutions see a window of all channels of their group."""
    return _windowed(layer, boxes, layer.groups, layer.filters // layer.groups)


@register_receptive_field(*kinds.DEPTHWISE)
def depthwise_convolution(layer: Any, boxes: Boxes) -> Boxes | None:
    """Depthwise convolutions see a window of one channel."""
    return _windowed(layer, boxes, None, layer.depth_multiplier)


@register_receptive_field(*kinds.SEPARABLE)
def separable_convolution(layer: Any, boxes: Boxes) -> Boxes | None:
    """Separable convolutions, a depthwise one and then one across channels, see as a full one."""
    return _windowed(layer, boxes, 1, layer.filters)


@register_receptive_field(*kinds.MAX_POOLINGS, *kinds.AVERAGE_POOLINGS)
def pooling(layer: Any, boxes: Boxes) -> Boxes | None:
    """Pooling layers see a window of one channel."""
    return _windowed(layer, boxes, None, 1)


@register_receptive_field(*kinds.TRANSPOSED)
def transposed_convolution(layer: Any, boxes: Boxes) -> Boxes | None:
    """Transposed convolutions link the same places as the convolution from output to input.

    So they are convolutions of values that stand a stride apart, with nothing in between.
    """

    def lower(side: Indices) -> Indices:
        side = _by_group(side, 1)
        for axis, (kernel, stride, dilation) in enumerate(_taps(layer), start=1):
            size, span = (
                _transposed_size(layer, axis, side.shape[axis]),
                (kernel - 1) * dilation + 1,
            )
            before, _ = kinds.window_padding(layer.padding, size, span, stride)
            side = _slide(side, axis, span, dilation, span - 1 - before, size + span - 1, stride)
        return np.repeat(side, layer.filters, axis=-1)

    return _activated(layer.activation, _in_channels_last(layer, lower, boxes))


@register_receptive_field(*kinds.GLOBAL_AVERAGE_POOLINGS, *kinds.GLOBAL_MAX_POOLINGS)
def global_pooling(layer: Any, boxes: Boxes) -> Boxes:
    """Global pooling layers see all places of one channel."""
    first = 2 if layer.data_format == "channels_first" else 1
    axes = tuple(range(first, first + boxes.lo.ndim - 2))
    return map_boxes(lambda side: side.min(axis=axes, keepdims=layer.keepdims), boxes)


def _windowed(layer: Any, boxes: Boxes, groups: int | None, repeats: int) -> Boxes | None:
    """Windows of the channels of each group, or of each channel, `repeats` outputs for each."""

    def lower(side: Indices) -> Indices:
        side = _by_group(side, groups)
        for axis, (kernel, stride, dilation) in enumerate(_taps(layer), start=1):
            size, span = side.shape[axis], (kernel - 1) * dilation + 1
            before, after = kinds.window_padding(layer.padding, size, span, stride)
            side = _slide(side, axis, span, dilation, before, before + size + after)
            side = side[(slice(None),) * axis + (slice(None, None, stride),)]
        return np.repeat(side, repeats, axis=-1)

    activation = getattr(layer, "activation", None)
    return _activated(activation, _in_channels_last(layer, lower, boxes))


def _in_channels_last(layer: Any, lower: Callable[[Indices], Indices], boxes: Boxes) -> Boxes:
    """`map_boxes` with a function of channels last, whatever the layer's format."""
    if layer.data_format == "channels_last":
        return map_boxes(lower, boxes)
    return map_boxes(lambda side: np.moveaxis(lower(np.moveaxis(side, 1, -1)), -1, 1), boxes)


def _by_group(side: Indices, groups: int | None) -> Indices:
    """The least of the channels of each group: (..., channels) to (..., groups)."""
    return side if groups is None else side.reshape(*side.shape[:-1], groups, -1).min(axis=-1)


def _taps(layer: Any) -> list[tuple[int, int, int]]:
    """Kernel size, stride and dilation along each spatial axis."""
    sizes = getattr(layer, "kernel_size", None) or layer.pool_size
    dilations = getattr(layer, "dilation_rate", (1,) * len(sizes))
    return list(zip(sizes, layer.strides, dilations, strict=True))


def _transposed_size(layer: Any, axis: int, size: int) -> int:
    """The size of a transposed convolution's output along an axis, from that of its input."""
    position = axis if layer.data_format == "channels_last" else axis + 1
    shape = [None, *(size for _ in range(layer.rank + 1))]
    return int(layer.compute_output_shape(shape)[position])


def _slide(
    side: Indices, axis: int, span: int, dilation: int, first: int, length: int, apart: int = 1
) -> Indices:
    """The least of each window along an axis that is padded with `FAR` to this length.

    The values stand `apart`, the first at the place `first`.
    """
    side = np.moveaxis(side, axis, -1)
    places = first + apart * np.arange(side.shape[-1])
    padded = np.full((*side.shape[:-1], length), FAR)
    padded[..., places[places < length]] = side[..., places < length]
    windows = np.lib.stride_tricks.sliding_window_view(padded, span, axis=-1)
    return np.moveaxis(windows[..., ::dilation].min(axis=-1), -1, axis)
