"""Operations in gradients that tf2onnx lacks, as formulas of ONNX's own operations."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Formula = Callable[..., str | tuple[str, ...]]

_INT32, _INT64 = 6, 7  # TensorProto.DataType
_FLAT = np.array([-1], np.int64)
_ONE = np.array([1], np.int32)
_LEAST, _MOST = (np.array(v, np.int64) for v in (-(2**62), 2**62))
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_CHANNELS_FIRST, _CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


class Graph:
    """Builds tf2onnx's graph `context`: `graph.Mul(a, b)` adds an operation and names its output.

    Numbers among the inputs become constants of the type `dtype`.
    """

    def __init__(self, context: Any, dtype: np.dtype):
        self.context = context
        self._dtype = dtype

    def __getattr__(self, operation: str) -> Callable[..., str]:
        def add(*inputs: str | float | np.ndarray, **attributes: Any) -> str:
            names = [self._name(value) for value in inputs]
            return self.context.make_node(operation, names, attr=attributes).output[0]

        return add

    def outputs(self, operation: str, count: int, *inputs: str, **attributes: Any) -> Any:
        """All outputs of an operation that has several."""
        node = self.context.make_node(operation, inputs, attr=attributes, output_count=count)
        return node.output

    def _name(self, value: str | float | np.ndarray) -> str:
        if isinstance(value, str):
            return value
        array = value if isinstance(value, np.ndarray) else np.asarray(value, self._dtype)
        from tf2onnx import utils

        return self.context.make_const(utils.make_name("constant"), array).output[0]


def _log1p(g: Graph, node: Any, x: str) -> str:
    """Exact for small x too: the rounding of 1 + x cancels in the ratio."""
    u = g.Add(1, x)
    ratio = g.Div(g.Log(u), g.Where(g.Equal(u, 1), 1, g.Sub(u, 1)))
    return g.Where(g.Equal(u, 1), x, g.Where(g.IsInf(u), g.Log(u), g.Mul(x, ratio)))


def _broadcast_gradient_args(g: Graph, node: Any, *shapes: str) -> tuple[str, ...]:
    """For each operand the axes to sum over: those that it lacks or has one row along."""
    ranks = [g.context.get_shape(shape)[0] for shape in shapes]
    axes = []
    for shape, rank in zip(shapes, ranks, strict=True):
        missing = np.ones(max(ranks) - rank, np.int32)
        padded = g.Concat(missing, shape, axis=0) if len(missing) else shape
        found = g.NonZero(g.Equal(padded, _ONE))
        axes.append(g.Cast(g.Reshape(found, _FLAT), to=_INT32))
    return tuple(axes)


def _dynamic_stitch(g: Graph, node: Any, *inputs: str) -> str:
    """Values at their places, later ones over earlier ones."""
    flat = [g.Reshape(x, _FLAT) for x in inputs]
    places, values = flat[: len(flat) // 2], flat[len(flat) // 2 :]
    last = g.ReduceMax(g.Concat(*places, axis=0), keepdims=1)
    result = g.Cast(g.ConstantOfShape(g.Cast(g.Add(last, _ONE), to=_INT64)), to=_INT32)
    for place, value in zip(places, values, strict=True):
        result = g.ScatterElements(result, place, value)
    return result


def _max_pool_grad(g: Graph, node: Any, x: str, y: str, dy: str) -> str:
    """Each derivative goes to the maximum of its window; windows may overlap."""
    padding = node.get_attr_value("padding").decode()
    _, places = g.outputs(
        "MaxPool", 2, g.Transpose(x, perm=_CHANNELS_FIRST),
        kernel_shape=list(node.get_attr_value("ksize")[1:3]),
        strides=list(node.get_attr_value("strides")[1:3]),
        auto_pad="SAME_UPPER" if padding == "SAME" else "VALID",
    )  # fmt: skip
    shape = g.Shape(g.Transpose(x, perm=_CHANNELS_FIRST))
    dx = g.ScatterElements(
        g.ConstantOfShape(g.ReduceProd(shape, keepdims=1)),
        g.Reshape(places, _FLAT), g.Reshape(g.Transpose(dy, perm=_CHANNELS_FIRST), _FLAT),
        reduction="add",
    )  # fmt: skip
    return g.Transpose(g.Reshape(dx, shape), perm=_CHANNELS_LAST)


def _avg_pool_grad(g: Graph, node: Any, shape: str, dy: str) -> str:
    """Each derivative is spread evenly over its window: a transposed convolution by ones."""
    size, steps = (list(node.get_attr_value(name)[1:3]) for name in ("ksize", "strides"))
    rows, windows = node.output_shapes[0], g.context.get_shape(dy)
    lengths, counts = rows[1:3], windows[1:3]
    begin, end, more, shares = [], [], [], []
    for n, k, s, w in zip(lengths, size, steps, counts, strict=True):
        reach = (w - 1) * s + k
        begin.append(max(reach - n, 0) // 2)
        end.append(max(reach - n, 0) - begin[-1])
        more.append(max(n - reach, 0))
        first = np.arange(w) * s - begin[-1]
        shares.append(1 / (np.minimum(first + k, n) - np.maximum(first, 0)))
    parts = g.Mul(g.Transpose(dy, perm=_CHANNELS_FIRST), np.float32(np.outer(*shares)))
    dx = g.ConvTranspose(
        g.Reshape(parts, np.array([-1, 1, *counts])), np.ones((1, 1, *size), np.float32),
        strides=steps, pads=begin + end, output_padding=more,
    )  # fmt: skip
    planes = g.Reshape(dx, np.array([-1, rows[3], *lengths]))
    return g.Transpose(planes, perm=_CHANNELS_LAST)


def _extract_image_patches(g: Graph, node: Any, x: str) -> str:
    """A convolution with one filter for each value of a patch, of any number of channels."""
    size, steps, rates = (
        list(node.get_attr_value(name)[1:3]) for name in ("ksizes", "strides", "rates")
    )
    _, *lengths, channels = g.context.get_shape(x)
    pads = np.zeros(2, int)
    if node.get_attr_value("padding") == b"SAME":
        reach = [
            (math.ceil(n / s) - 1) * s + (k - 1) * r + 1
            for n, k, s, r in zip(lengths, size, steps, rates, strict=True)
        ]
        pads = np.maximum(np.subtract(reach, lengths), 0)
    values = np.eye(math.prod(size) * channels, dtype=np.float32)
    filters = values.reshape(-1, *size, channels).transpose(0, 3, 1, 2)
    patches = g.Conv(
        g.Transpose(x, perm=_CHANNELS_FIRST), np.ascontiguousarray(filters), strides=steps,
        dilations=rates, pads=[*(pads // 2).tolist(), *(pads - pads // 2).tolist()],
    )  # fmt: skip
    return g.Transpose(patches, perm=_CHANNELS_LAST)


def _upper_bound(g: Graph, node: Any, rows: str, values: str) -> str:
    """How many of each ascending row are not greater than its values, (rows, values)."""
    last = np.array([-1], np.int64)
    reached = g.LessOrEqual(g.Unsqueeze(rows, np.array([1], np.int64)), g.Unsqueeze(values, last))
    return g.ReduceSum(g.Cast(reached, to=_INT32), last, keepdims=0)


def _concat_offset(g: Graph, node: Any, axis: str, *shapes: str) -> tuple[str, ...]:
    """Where each part begins in what is joined along an axis."""
    rank = g.context.get_shape(shapes[0])[0]
    along = g.Equal(np.arange(rank, dtype=np.int32), g.Mod(axis, np.array(rank, np.int32)))
    begins = [g.Identity(np.zeros(rank, np.int32))]
    for shape in shapes[:-1]:
        begins.append(g.Where(along, g.Add(begins[-1], shape), begins[0]))
    return tuple(begins)


def _strided_slice_grad(
    g: Graph, node: Any, shape: str, begin: str, end: str, strides: str, dy: str
) -> str:
    """Each derivative goes to the place that its value was taken from."""
    count = g.context.get_shape(begin)[0]
    new, ellipsis, single, no_begin, no_end = (
        np.array([bool(node.get_attr_value(f"{name}_mask") >> k & 1) for k in range(count)])
        for name in ("new_axis", "ellipsis", "shrink_axis", "begin", "end")
    )
    # Axes behind an ellipsis are counted from the end; a new axis and an ellipsis take nothing.
    (places,) = np.nonzero(~new & ~ellipsis)
    axes = np.arange(len(places))
    if ellipsis.any():
        axes = np.where(places > ellipsis.argmax(), axes - len(places), axes)
    begin, end, strides = (
        g.Gather(g.Cast(values, to=_INT64), places) for values in (begin, end, strides)
    )
    single, no_begin, no_end = single[places], no_begin[places] & ~single[places], no_end[places]
    zero, one = np.array(0), np.array(1)
    forward = g.Greater(strides, zero)
    after = g.Where(g.Equal(begin, np.array(-1)), _MOST, g.Add(begin, one))
    last = g.Where(no_end, g.Where(forward, _MOST, _LEAST), end)
    start = g.Where(no_begin, g.Where(forward, zero, _MOST), begin)
    shape = g.Cast(shape, to=_INT64)
    size = g.ReduceProd(shape, keepdims=1)
    taken = g.Slice(
        g.Reshape(g.Range(zero, g.Squeeze(size), one), shape), start,
        g.Where(single, after, last), axes, g.Where(single, one, strides),
    )  # fmt: skip
    dx = g.ScatterElements(g.Expand(0, size), g.Reshape(taken, _FLAT), g.Reshape(dy, _FLAT))
    return g.Reshape(dx, shape)


# The formula of an operation takes its node, for the attributes, and its inputs in their order.
FORMULAS: dict[str, Formula] = {
    "SigmoidGrad": lambda g, node, y, dy: g.Mul(dy, g.Mul(y, g.Sub(1, y))),
    "TanhGrad": lambda g, node, y, dy: g.Mul(dy, g.Sub(1, g.Mul(y, y))),
    "SoftsignGrad": lambda g, node, dy, x: g.Div(dy, g.Mul(g.Add(1, g.Abs(x)), g.Add(1, g.Abs(x)))),
    "ReluGrad": lambda g, node, dy, y: g.Where(g.Greater(y, 0), dy, 0),
    "Relu6Grad": lambda g, node, dy, y: g.Where(g.And(g.Greater(y, 0), g.Less(y, 6)), dy, 0),
    "LeakyReluGrad": lambda g, node, dy, x: g.Where(
        g.Greater(x, 0), dy, g.Mul(dy, node.get_attr_value("alpha"))
    ),
    "EluGrad": lambda g, node, dy, y: g.Where(g.Less(y, 0), g.Mul(dy, g.Add(y, 1)), dy),
    "SeluGrad": lambda g, node, dy, y: g.Where(
        g.Less(y, 0), g.Mul(dy, g.Add(y, _SELU_SCALE * _SELU_ALPHA)), g.Mul(dy, _SELU_SCALE)
    ),
    "SqrtGrad": lambda g, node, y, dy: g.Div(g.Mul(dy, 0.5), y),
    "RsqrtGrad": lambda g, node, y, dy: g.Mul(g.Mul(dy, -0.5), g.Mul(y, g.Mul(y, y))),
    "ReciprocalGrad": lambda g, node, y, dy: g.Neg(g.Mul(dy, g.Mul(y, y))),
    "Log1p": _log1p,
    # (e^x + 1) tanh(x / 2) loses no digits for small x.
    "Expm1": lambda g, node, x: g.Mul(g.Add(g.Exp(x), 1), g.Tanh(g.Mul(x, 0.5))),
    # Right to the digits of 1, as the GELU needs it.
    "Erfc": lambda g, node, x: g.Sub(1, g.Erf(x)),
    "ShapeN": lambda g, node, *xs: tuple(g.Cast(g.Shape(x), to=_INT32) for x in xs),
    "BroadcastGradientArgs": _broadcast_gradient_args,
    "ConcatOffset": _concat_offset,
    "DynamicStitch": _dynamic_stitch,
    "StridedSliceGrad": _strided_slice_grad,
    "MaxPoolGrad": _max_pool_grad,
    "AvgPoolGrad": _avg_pool_grad,
    "ExtractImagePatches": _extract_image_patches,
    "UpperBound": _upper_bound,
}


def handlers() -> dict[str, Any]:
    """The formulas as tf2onnx takes them."""
    return {name: (_handler(formula), []) for name, formula in FORMULAS.items()}


def _handler(formula: Formula) -> Callable[..., None]:
    def replace(context: Any, node: Any, name: str, arguments: Any) -> None:
        from tf2onnx import utils

        names, shapes, dtypes = list(node.output), node.output_shapes, node.output_dtypes
        dtype = np.dtype(utils.map_onnx_to_numpy_type(context.get_dtype(node.input[-1])))
        results = formula(Graph(context, dtype), node, *node.input)
        context.remove_node(node.name)
        for k, result in enumerate((results,) if isinstance(results, str) else results):
            context.make_node(
                "Identity", [result], outputs=[names[k]], shapes=[shapes[k]], dtypes=[dtypes[k]]
            )

    return replace
