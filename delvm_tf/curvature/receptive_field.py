"""How far the outputs of a network, or the terms of a potential, see along each axis of the input.

Two input values that no term of a potential g(f(x)) sees together do not interact: their entry of
the Hessian is zero. A probe vector may then hold both, and vᵀHv is the sum of their diagonal
entries, exactly. For Σᵢ gᵢ(fᵢ(x)) the terms are the outputs; any other outer function g puts
outputs together, and says by `Outer.terms` which.

Carried from layer to layer is, for every element of a tensor, the box of input values that it
depends on: their first and last index along each input axis. Borders, strides and branches need
no thought of their own, as every element has its own box. Cost: a few forward passes on one input.

Layers without a rule are taken to see all of their inputs from everywhere, which is always safe.
Own layers get a rule with `register_receptive_field`; one that is elementwise, by

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
from delvm_tf.curvature.boxes import FAR, Boxes, Indices, everything, map_boxes, union
from delvm_tf.curvature.curvature import Potential
from delvm_tf.curvature.graph import is_graph, layer_nodes

logger = logging.getLogger(__name__)
layers = keras.layers

Rule = Callable[..., Boxes | None]
_RULES: dict[type, Rule] = {}


def receptive_field(function: Any, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """How far the outputs of a network, or the terms of a `Potential`, see along each input axis.

    For every output the input values it depends on lie between a first and a last index along an
    axis; the length is the largest last − first + 1 of all outputs. For n convolutions of kernel
    size kᵢ and stride sᵢ that is 1 + Σᵢ (kᵢ − 1) s₁⋯sᵢ₋₁, or the size of the input if smaller.

    Args:
        function: any function of a batch; only graphs of layers are looked into, and potentials of
            these.
        input_shape: the shape of one input, channels included, without batch.

    Returns:
        For each axis of one input (channels included), the smallest length R such that no output
        of the network, or term of the potential, sees two input values R or more apart along that
        axis. The whole input shape for a function that is not a graph of layers of known sizes
        with such inputs.

    Raises:
        ValueError: if a registered rule gives boxes of another shape than its layer's output.

    Example:
        >>> receptive_field(dv.networks.cnn((70, 70), 5, input_shape=(28, 28, 3)), (28, 28, 3))
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

    The rule takes the boxes of each input tensor and returns those of the output; None if the
    layer is to be treated as one without a rule. So are calls with another number of tensors than
    the rule takes.
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
    layers.Identity, layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D,
    layers.SpatialDropout3D, layers.GaussianDropout, layers.GaussianNoise, layers.AlphaDropout,
    layers.ActivityRegularization, layers.BatchNormalization, layers.Normalization,
    layers.Rescaling,
)  # fmt: skip
def pointwise(layer: Any, boxes: Boxes) -> Boxes:
    """Layers each output of which depends on the input at the same place only, in inference."""
    return boxes


@register_receptive_field(
    layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.PReLU,
)  # fmt: skip
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
    layers.Softmax, layers.LayerNormalization, layers.RMSNormalization, layers.UnitNormalization,
)  # fmt: skip
def normalization_along_axis(layer: Any, boxes: Boxes) -> Boxes:
    """Layers that divide by a statistic of the values along an axis."""
    return union(boxes, layer.axis)


@register_receptive_field(
    layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector,
    layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D,
    layers.Cropping1D, layers.Cropping2D, layers.Cropping3D,
    layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D,
)  # fmt: skip
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
    return _activated(layer.activation, _repeat_channels(_mix_channels(boxes), layer.units))


@register_receptive_field(layers.Conv1D, layers.Conv2D, layers.Conv3D)
def convolution(layer: Any, boxes: Boxes) -> Boxes | None:
    """Convolutions see a window of all channels of their group."""

    def convolved(boxes: Boxes) -> Boxes:
        windows = _through_windows(_mix_channels(boxes, layer.groups), layer.padding, _taps(layer))
        return _repeat_channels(windows, layer.filters // layer.groups)

    return _activated(layer.activation, _in_channels_last(layer, convolved, boxes))


@register_receptive_field(layers.DepthwiseConv1D, layers.DepthwiseConv2D)
def depthwise_convolution(layer: Any, boxes: Boxes) -> Boxes | None:
    """Depthwise convolutions see a window of one channel."""

    def convolved(boxes: Boxes) -> Boxes:
        windows = _through_windows(boxes, layer.padding, _taps(layer))
        return _repeat_channels(windows, layer.depth_multiplier)

    return _activated(layer.activation, _in_channels_last(layer, convolved, boxes))


@register_receptive_field(layers.SeparableConv1D, layers.SeparableConv2D)
def separable_convolution(layer: Any, boxes: Boxes) -> Boxes | None:
    """Separable convolutions, a depthwise one and then one across channels, see as a full one."""

    def convolved(boxes: Boxes) -> Boxes:
        windows = _through_windows(_mix_channels(boxes), layer.padding, _taps(layer))
        return _repeat_channels(windows, layer.filters)

    return _activated(layer.activation, _in_channels_last(layer, convolved, boxes))


@register_receptive_field(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
def transposed_convolution(layer: Any, boxes: Boxes) -> Boxes | None:
    """Transposed convolutions link the same places as the convolution from output to input."""

    def convolved(boxes: Boxes) -> Boxes:
        boxes = _mix_channels(boxes)
        for axis, taps in enumerate(_taps(layer), start=1):
            size = _transposed_size(layer, axis, boxes.lo.shape[axis])
            _, links = _window_links(size, *taps, layer.padding)
            boxes = _unite(boxes, axis, size, [(places, windows) for windows, places in links])
        return _repeat_channels(boxes, layer.filters)

    return _activated(layer.activation, _in_channels_last(layer, convolved, boxes))


@register_receptive_field(
    layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D,
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
)  # fmt: skip
def pooling(layer: Any, boxes: Boxes) -> Boxes:
    """Pooling layers see a window of one channel."""
    taps = [(size, stride, 1) for size, stride in zip(layer.pool_size, layer.strides, strict=True)]
    return _in_channels_last(layer, lambda b: _through_windows(b, layer.padding, taps), boxes)


@register_receptive_field(
    layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D,
    layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D,
)  # fmt: skip
def global_pooling(layer: Any, boxes: Boxes) -> Boxes:
    """Global pooling layers see all places of one channel."""
    first = 2 if layer.data_format == "channels_first" else 1
    axes = tuple(range(first, first + boxes.lo.ndim - 2))
    return map_boxes(lambda side: side.min(axis=axes, keepdims=layer.keepdims), boxes)


def _in_channels_last(layer: Any, function: Callable[[Boxes], Boxes], boxes: Boxes) -> Boxes:
    """Apply a function of boxes whose last axis is the channels, whatever the layer's format."""
    if layer.data_format == "channels_last":
        return function(boxes)
    moved = function(map_boxes(lambda side: np.moveaxis(side, 1, -1), boxes))
    return map_boxes(lambda side: np.moveaxis(side, -1, 1), moved)


def _mix_channels(boxes: Boxes, groups: int = 1) -> Boxes:
    """The union over the channels of each group: (..., channels) to (..., groups)."""
    return map_boxes(lambda side: side.reshape(*side.shape[:-1], groups, -1).min(axis=-1), boxes)


def _repeat_channels(boxes: Boxes, times: int) -> Boxes:
    """Each channel several times in a row: (..., channels) to (..., channels · times)."""
    return map_boxes(lambda side: np.repeat(side, times, axis=-1), boxes)


Taps = tuple[int, int, int]  # kernel size, stride and dilation along one axis
Links = list[tuple[Indices, Indices]]  # for each tap, the places on either side


def _taps(layer: Any) -> list[Taps]:
    return list(zip(layer.kernel_size, layer.strides, layer.dilation_rate, strict=True))


def _transposed_size(layer: Any, axis: int, size: int) -> int:
    """The size of a transposed convolution's output along an axis, from that of its input."""
    position = axis if layer.data_format == "channels_last" else axis + 1
    shape = [None, *(size for _ in range(layer.rank + 1))]
    return int(layer.compute_output_shape(shape)[position])


def _window_links(
    size: int, kernel: int, stride: int, dilation: int, padding: str
) -> tuple[int, Links]:
    """Which places of an axis each window sees.

    Tap t of window w lies at place w · stride + t · dilation − p, with p places of padding before
    the first.

    Returns:
        The number of windows, and for each tap the windows that find it within the axis with the
        places where they do.
    """
    span = (kernel - 1) * dilation + 1
    if padding == "same":
        count = -(-size // stride)
        before = max((count - 1) * stride + span - size, 0) // 2
    else:
        before = span - 1 if padding == "causal" else 0
        count = (before + size - span) // stride + 1
    links = []
    for tap in range(kernel):
        places = np.arange(count) * stride + tap * dilation - before
        windows = np.flatnonzero((places >= 0) & (places < size))
        links.append((windows, places[windows]))
    return count, links


def _through_windows(boxes: Boxes, padding: str, taps: list[Taps]) -> Boxes:
    """Unions over windows along each axis but the last, the channels."""
    for axis, (kernel, stride, dilation) in enumerate(taps, start=1):
        count, links = _window_links(boxes.lo.shape[axis], kernel, stride, dilation, padding)
        boxes = _unite(boxes, axis, count, links)
    return boxes


def _unite(boxes: Boxes, axis: int, size: int, links: Links) -> Boxes:
    """Boxes of another size along an axis: each target the union of the sources linked to it.

    In one (targets, sources) pair no target occurs twice.
    """

    def lower(side: Indices) -> Indices:
        side = np.moveaxis(side, axis, 0)
        united = np.full((size, *side.shape[1:]), FAR)
        for targets, sources in links:
            united[targets] = np.minimum(united[targets], side[sources])
        return np.moveaxis(united, 0, axis)

    return map_boxes(lower, boxes)
