"""What tf2onnx lacks of the operations in gradients, each as a formula of ONNX's own operations."""

from collections.abc import Callable
from typing import Any

import numpy as np

Formula = Callable[..., str | tuple[str, ...]]

_INT32, _INT64 = 6, 7  # TensorProto.DataType
_FLAT = np.array([-1], np.int64)
_ONE = np.array([1], np.int32)
_CHANNELS_FIRST, _CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


class Graph:
    """A graph in the making: `graph.Mul(a, b)` adds an operation and gives its output's name.

    Args:
        context: tf2onnx's graph.
        dtype: of the numbers among the inputs.
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


def _sigmoid_grad(g: Graph, node: Any, y: str, dy: str) -> str:
    return g.Mul(dy, g.Mul(y, g.Sub(1, y)))


def _tanh_grad(g: Graph, node: Any, y: str, dy: str) -> str:
    return g.Mul(dy, g.Sub(1, g.Mul(y, y)))


def _softsign_grad(g: Graph, node: Any, dy: str, x: str) -> str:
    root = g.Add(1, g.Abs(x))
    return g.Div(dy, g.Mul(root, root))


def _relu_grad(g: Graph, node: Any, dy: str, y: str) -> str:
    return g.Where(g.Greater(y, 0), dy, 0)


def _relu6_grad(g: Graph, node: Any, dy: str, y: str) -> str:
    return g.Where(g.And(g.Greater(y, 0), g.Less(y, 6)), dy, 0)


def _leaky_relu_grad(g: Graph, node: Any, dy: str, x: str) -> str:
    return g.Where(g.Greater(x, 0), dy, g.Mul(dy, node.get_attr_value("alpha")))


def _elu_grad(g: Graph, node: Any, dy: str, y: str) -> str:
    return g.Where(g.Less(y, 0), g.Mul(dy, g.Add(y, 1)), dy)


def _selu_grad(g: Graph, node: Any, dy: str, y: str) -> str:
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    return g.Where(g.Less(y, 0), g.Mul(dy, g.Add(y, scale * alpha)), g.Mul(dy, scale))


def _sqrt_grad(g: Graph, node: Any, y: str, dy: str) -> str:
    return g.Div(g.Mul(dy, 0.5), y)


def _rsqrt_grad(g: Graph, node: Any, y: str, dy: str) -> str:
    return g.Mul(g.Mul(dy, -0.5), g.Mul(y, g.Mul(y, y)))


def _reciprocal_grad(g: Graph, node: Any, y: str, dy: str) -> str:
    return g.Neg(g.Mul(dy, g.Mul(y, y)))


def _log1p(g: Graph, node: Any, x: str) -> str:
    """Exact to the last digits for small x too: the rounding of 1 + x cancels in the ratio."""
    u = g.Add(1, x)
    ratio = g.Div(g.Log(u), g.Where(g.Equal(u, 1), 1, g.Sub(u, 1)))
    return g.Where(g.Equal(u, 1), x, g.Where(g.IsInf(u), g.Log(u), g.Mul(x, ratio)))


def _expm1(g: Graph, node: Any, x: str) -> str:
    """(e^x + 1) tanh(x / 2), which loses no digits for small x."""
    return g.Mul(g.Add(g.Exp(x), 1), g.Tanh(g.Mul(x, 0.5)))


def _erfc(g: Graph, node: Any, x: str) -> str:
    """1 − erf(x): right to the digits of 1, as the GELU needs it."""
    return g.Sub(1, g.Erf(x))


def _shape_n(g: Graph, node: Any, *xs: str) -> tuple[str, ...]:
    return tuple(g.Cast(g.Shape(x), to=_INT32) for x in xs)


def _broadcast_gradient_args(g: Graph, node: Any, *shapes: str) -> tuple[str, ...]:
    """The axes to sum over, for each operand: those along which it has one row, or none."""
    ranks = [g.context.get_shape(shape)[0] for shape in shapes]
    axes = []
    for shape, rank in zip(shapes, ranks, strict=True):
        missing = np.ones(max(ranks) - rank, np.int32)
        padded = g.Concat(missing, shape, axis=0) if len(missing) else shape
        found = g.NonZero(g.Equal(padded, _ONE))
        axes.append(g.Cast(g.Reshape(found, _FLAT), to=_INT32))
    return tuple(axes)


def _dynamic_stitch(g: Graph, node: Any, *inputs: str) -> str:
    """Lengths of axes at their places, the later ones over the earlier."""
    flat = [g.Reshape(x, _FLAT) for x in inputs]
    places, values = flat[: len(flat) // 2], flat[len(flat) // 2 :]
    last = g.ReduceMax(g.Concat(*places, axis=0), keepdims=1)
    result = g.Cast(g.ConstantOfShape(g.Cast(g.Add(last, _ONE), to=_INT64)), to=_INT32)
    for place, value in zip(places, values, strict=True):
        result = g.ScatterElements(result, place, value)
    return result


def _max_pool_grad(g: Graph, node: Any, x: str, y: str, dy: str) -> str:
    """Each derivative goes to where its window has its maximum; windows may overlap."""
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
    """Each derivative goes to its whole window in equal parts: a transposed convolution by ones."""
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


FORMULAS: dict[str, Formula] = {
    "SigmoidGrad": _sigmoid_grad,
    "TanhGrad": _tanh_grad,
    "SoftsignGrad": _softsign_grad,
    "ReluGrad": _relu_grad,
    "Relu6Grad": _relu6_grad,
    "LeakyReluGrad": _leaky_relu_grad,
    "EluGrad": _elu_grad,
    "SeluGrad": _selu_grad,
    "SqrtGrad": _sqrt_grad,
    "RsqrtGrad": _rsqrt_grad,
    "ReciprocalGrad": _reciprocal_grad,
    "Log1p": _log1p,
    "Expm1": _expm1,
    "Erfc": _erfc,
    "ShapeN": _shape_n,
    "BroadcastGradientArgs": _broadcast_gradient_args,
    "DynamicStitch": _dynamic_stitch,
    "MaxPoolGrad": _max_pool_grad,
    "AvgPoolGrad": _avg_pool_grad,
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
