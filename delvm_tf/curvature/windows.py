"""Exact traces of convolutional networks, following each input value through its window.

A lattice probe holds one value in every receptive field, but layers below the last see smaller
fields and mostly multiply zeros. Here the derivatives with respect to each input pixel q are kept
only at the positions p = q + offset that it reaches: k×k of them after a convolution of size k,
(2k−1)×(2k−1) after two. A convolution of windows is

    T′[a + s] = Σ_a T[a] W[k − 1 − s]

over the cells a of a window, one matrix product for each cell of the result. Multiplications of a
layer: pixels × cells before × k² × channels × filters; lattice probes take the cells of the *last*
layer. For two layers of 5×5 that is a third.
"""

import itertools
import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from delvm_tf.curvature import jets
from delvm_tf.curvature import layer_kinds as kinds
from delvm_tf.curvature.affine import affine_map, is_plain_convolution, plain_padding
from delvm_tf.curvature.chunks import chunk_sizes, either, read_weights, sum_in_chunks
from delvm_tf.curvature.curvature import Curvature, Potential
from delvm_tf.curvature.graph import layer_chain
from delvm_tf.curvature.outer import ElementwiseOuter
from delvm_tf.curvature.sums import sum_per_example

Cell = tuple[int, int]
Window = dict[Cell, tf.Tensor]

COPIES = 5  # of a window that a backward pass holds, some of them concatenated for products


class Stage(NamedTuple):
    """A convolution and the elementwise function that follows it."""

    convolution: keras.layers.Conv2D
    jet: jets.JetFunction


def window_stages(potential: Any) -> list[Stage] | str:
    """A potential's convolutions with what follows each, or why windows do not fit it."""
    if not isinstance(potential, Potential) or not isinstance(potential.outer, ElementwiseOuter):
        return "the energy is not a sum over the outputs of a network"
    stages: list[Stage] = []
    flattened = False
    for layer in layer_chain(potential.network) or []:
        if type(layer) in kinds.INERT:
            continue
        if type(layer) is keras.layers.Flatten:
            flattened = True
            continue
        if is_plain_convolution(layer) and not flattened:
            stages.append(Stage(layer, jets.linear))
            function = jets.activation_jet(layer.activation)
        else:
            function = jets.layer_jet(layer)
        if not stages or function is None:
            return f"layer {layer.name} is neither a plain convolution nor elementwise"
        if flattened and type(layer) is keras.layers.PReLU:
            return f"layer {layer.name} has a slope for each value of a flattened image"
        last = stages[-1]
        stages[-1] = Stage(last.convolution, jets.compose(function, last.jet))
    return stages or "the network is not a chain of layers"


def require_window_stages(potential: Any) -> list[Stage]:
    """A potential's convolutions with what follows each; ValueError if windows do not fit it."""
    stages = window_stages(potential)
    if isinstance(stages, str):
        raise ValueError(
            f"trace='windows' needs a chain of convolutions without strides and elementwise "
            f"activations, but {stages}. Use trace='exact' or 'lattice'."
        )
    return stages


def window_multiplications(stages: list[Stage], shape: tuple[int, ...]) -> int:
    """Multiplications for all input values of one example; the first layer has none."""
    side, total = (1, 1), 0
    for index, stage in enumerate(stages):
        kernel = tuple(stage.convolution.kernel.shape)
        if index:
            total += math.prod(side) * math.prod(kernel)
        side = (side[0] + kernel[0] - 1, side[1] + kernel[1] - 1)
    return math.prod(shape) * total


def window_bytes(stages: list[Stage], image: tuple[int, ...], itemsize: int = 4) -> int:
    """Memory for the values of one input channel of one example, in bytes."""
    side, cells = (1, 1), 0
    for stage in stages:
        height, width, _, filters = stage.convolution.kernel.shape
        side = (side[0] + height - 1, side[1] + width - 1)
        cells += math.prod(side) * filters
    return COPIES * itemsize * math.prod(image) * cells


def trace_by_windows(potential: Potential, x: tf.Tensor, memory_budget: float) -> Curvature:
    """Exact gradient and Laplacian of a potential of plain convolutions.

    Args:
        potential: an elementwise outer function of a chain of convolutions and activations;
            ValueError for other layers.
        x: images, (batch, height, width, channels).
        memory_budget: GiB for the derivatives; what does not fit is computed in chunks of examples
            and input channels.
    """
    stages = require_window_stages(potential)
    image, channels = tuple(x.shape[1:3]), x.shape[3]
    budget = int(memory_budget * 2**30)
    batch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    sizes = chunk_sizes(batch, channels, window_bytes(stages, image, x.dtype.size), budget)
    weights = read_weights(potential.network)
    values = _value_pass(potential, stages, x)

    def all_at_once() -> tf.Tensor:
        return _windowed_sum(stages, values, image, 0, channels)

    def in_chunks() -> tf.Tensor:
        def part(x_part: tf.Tensor, noise: None, start: tf.Tensor) -> tf.Tensor:
            again = _value_pass(potential, stages, x_part)
            return _windowed_sum(stages, again, image, start, sizes.probes)

        return sum_in_chunks(part, x, None, sizes, weights)

    laplacian = either(sizes, batch, weights, all_at_once, in_chunks)
    output = _as_output(potential, values.output)
    return Curvature(output, values.gradient, laplacian)


class _Values(NamedTuple):
    """What the windows need of one pass over the values.

    Attributes:
        output: of the last stage, (batch, height, width, filters).
        gradient: as in `Curvature`.
        slopes: φ′ of each stage but the last, (batch, height, width, filters).
        counts: for each stage, the weight in the trace of a squared derivative before its φ, or
            None for zero.
    """

    output: tf.Tensor
    gradient: tf.Tensor
    slopes: list[tf.Tensor]
    counts: list[tf.Tensor | None]


def _value_pass(potential: Potential, stages: list[Stage], x: tf.Tensor) -> _Values:
    """Forward and backward through the network itself."""
    outer: Any = potential.outer
    phis: list[jets.Jet] = []
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = x
        for stage in stages:
            phis.append(stage.jet(affine_map(stage.convolution, value)))
            value = phis[-1].value
        u = outer(_as_output(potential, value))
    gradient, *adjoints = tape.gradient(
        u, [x, *(phi.value for phi in phis)], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    counts = [
        None if isinstance(phi.second, float) else phi.second * adjoint
        for phi, adjoint in zip(phis, adjoints, strict=True)
    ]
    # The last stage and the outer function are one function of the last convolution.
    last = jets.chain_rule(_outer_jet(potential, value), phis[-1])
    counts[-1] = _as_map(last.second, value)
    slopes = [_as_map(phi.first, phi.value) for phi in phis[:-1]]
    return _Values(value, gradient, slopes, counts)


def _as_output(potential: Potential, value: tf.Tensor) -> tf.Tensor:
    """The last stage's value in the shape of the network's output, which may be flat."""
    shape = tuple(potential.network.output_shape[1:])
    return value if tuple(value.shape[1:]) == shape else tf.reshape(value, (-1, *shape))


def _outer_jet(potential: Potential, value: tf.Tensor) -> jets.Jet:
    """The outer function's jet at every output, in the shape of `value`."""
    outer: Any = potential.outer
    output = _as_output(potential, value)
    jet = outer.jet(output)
    if output is value:
        return jet

    def image(number: jets.Number) -> jets.Number:
        if isinstance(number, float):
            return number
        return tf.reshape(tf.broadcast_to(number, tf.shape(output)), tf.shape(value))

    return jets.Jet(image(jet.value), image(jet.first), image(jet.second), jet.gate)


def _as_map(number: jets.Number, like: tf.Tensor) -> tf.Tensor:
    return tf.broadcast_to(tf.cast(number, like.dtype), tf.shape(like))


def _windowed_sum(
    stages: list[Stage], values: _Values, image: tuple[int, int], start: Any, channels: int
) -> tf.Tensor:
    """Σ of the second derivatives by all pixels of some input channels, (batch,)."""
    total: Any = 0.0
    window: Window = {}
    offset = (0, 0)  # of the first cell from its pixel
    for index, stage in enumerate(stages):
        layer = stage.convolution
        kernel = tf.cast(layer.kernel, layer.compute_dtype)
        paddings = zip(offset, plain_padding(layer), layer.kernel_size, strict=True)
        offset = tuple(at + before - size + 1 for at, (before, _), size in paddings)
        if index == 0:
            window = _first_window(kernel, start, channels, values.output.dtype)
        else:
            window = _convolved(window, kernel)
        counts = values.counts[index]
        if counts is not None:
            counts_at = _shifts(counts, window, offset, image)
            for cell, tangent in window.items():
                squares = tf.reduce_sum(tf.square(tangent), axis=3)
                total += sum_per_example(counts_at(cell) * squares)
        if index < len(stages) - 1:
            slope_at = _shifts(values.slopes[index], window, offset, image)
            window = {
                cell: tangent * slope_at(cell)[:, :, :, tf.newaxis]
                for cell, tangent in window.items()
            }
    return total


def _first_window(kernel: tf.Tensor, start: Any, channels: int, dtype: Any) -> Window:
    """The first convolution's kernel, reversed; the same for all pixels.

    Each cell is (1, 1, 1, input channels, filters); channels past the last are zero.
    """
    height, width, _, filters = kernel.shape
    padded = tf.cast(tf.pad(kernel, [[0, 0], [0, 0], [0, channels - 1], [0, 0]]), dtype)
    chosen = tf.slice(padded, [0, 0, start, 0], [height, width, channels, filters])
    return {
        (i, j): chosen[height - 1 - i, width - 1 - j][tf.newaxis, tf.newaxis, tf.newaxis]
        for i, j in itertools.product(range(height), range(width))
    }


def _shifts(t: tf.Tensor, window: Window, offset: Cell, image: tuple[int, int]) -> Any:
    """The function from a cell to t at q + offset + cell for every pixel q, zero outside of t."""
    ends = [max(cell[axis] for cell in window) for axis in (0, 1)]
    paddings = [
        [max(0, -low), max(0, size + low + end - t.shape[axis + 1])]
        for axis, (low, end, size) in enumerate(zip(offset, ends, image, strict=True))
    ]
    padded = tf.pad(t, [[0, 0], *paddings, [0, 0]])

    def at(cell: Cell) -> tf.Tensor:
        top, left = (
            low + c + before for low, c, (before, _) in zip(offset, cell, paddings, strict=True)
        )
        return padded[:, top : top + image[0], left : left + image[1]]

    return at


def _convolved(window: Window, kernel: tf.Tensor) -> Window:
    """The full convolution of windows with a kernel, (batch, height, width, channels, units) each.

    Products run in the kernel's type. The gradient is written out, since TensorFlow's of a
    concatenation would pass over memory once more for every cell in it.
    """
    height, width = kernel.shape[:2]
    cells = list(window)
    rows, columns = (1 + max(cell[axis] for cell in cells) for axis in (0, 1))
    results = list(itertools.product(range(rows + height - 1), range(columns + width - 1)))
    lead = tf.shape(window[cells[0]])[:-1]
    dtype = window[cells[0]].dtype

    def span(at: int, size: int, count: int) -> tuple[range, slice]:
        cells = range(max(0, at - size + 1), min(count - 1, at) + 1)
        return cells, slice(cells[0] + size - 1 - at, cells[-1] + size - at)

    def reached(cell: Cell) -> tuple[list[Cell], tuple[slice, slice]]:
        """The cells that a result sums over, and their taps of the kernel."""
        down, down_taps = span(cell[0], height, rows)
        across, across_taps = span(cell[1], width, columns)
        return [(i, j) for i in down for j in across], (down_taps, across_taps)

    @tf.custom_gradient
    def convolution(kernel: tf.Tensor, *tangents: tf.Tensor) -> Any:
        at = dict(zip(cells, tangents, strict=True))
        units, filters = kernel.shape[2:]

        def product(cell: Cell) -> tf.Tensor:
            sources, (down, across) = reached(cell)
            return tf.matmul(
                tf.concat([at[source] for source in sources], axis=1),
                tf.reshape(kernel[down, across], (len(sources) * units, filters)),
            )

        def gradient(*upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            above = dict(zip(results, upstream, strict=True))
            taps = list(itertools.product(range(height), range(width)))
            turned = tf.reverse(kernel, [0, 1])
            turned = tf.reshape(
                tf.transpose(turned, [0, 1, 3, 2]), (height * width * filters, units)
            )
            by_tangents = [
                tf.matmul(
                    tf.concat([above[cell[0] + i, cell[1] + j] for i, j in taps], axis=1), turned
                )
                for cell in cells
            ]
            by_kernel = []
            for cell in results:
                sources, (down, across) = reached(cell)
                slab = tf.concat([at[source] for source in sources], axis=1)
                shape = (down.stop - down.start, across.stop - across.start, units, filters)
                part = tf.reshape(tf.matmul(slab, above[cell], transpose_a=True), shape)
                edges = [[down.start, height - down.stop], [across.start, width - across.stop]]
                by_kernel.append(tf.pad(part, [*edges, [0, 0], [0, 0]]))
            return tf.add_n(by_kernel), *by_tangents

        return [product(cell) for cell in results], gradient

    flat = [tf.cast(tf.reshape(t, (-1, t.shape[-1])), kernel.dtype) for t in window.values()]
    shape = tf.concat([lead, [kernel.shape[-1]]], axis=0)
    return {
        cell: tf.cast(tf.reshape(result, shape), dtype)
        for cell, result in zip(results, convolution(kernel, *flat), strict=True)
    }
