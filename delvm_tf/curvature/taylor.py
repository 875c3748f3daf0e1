"""Collapsed Taylor propagation: second derivatives of a potential along many probes at once.

For a potential u(x) = g(f(x)) of layers and probe directions v_c, the sum of second derivatives is

    Σ_c D²u[v_c, v_c] = Σ_y ⟨∂u/∂y, q_y⟩        q_y = Σ_c D²layer[J v_c, J v_c]

over the outputs y of all layers, with J v_c the derivatives of the layer's *inputs*: a second-order
term arises at a layer and reaches u by the same chain rule that gives the gradient. So one forward
sweep carries the value and the first derivatives J v_c along all probes, each layer adds its own
q_y, and the one backward pass for ∇u weighs them. Linear layers map both and add nothing;
elementwise ones give φ and φ′·(J v_c) and add φ″·Σ_c(J v_c)², which is zero for piecewise-linear
ones. Cost for P probes: the multiplications of P + 2 forward passes, for smooth layers too.

A layer without a rule is differentiated automatically, on its own, at about four times that.
`register_rule` gives your own layers a rule:

    @register_rule(MyScaling)
    def my_scaling(layer, jet):
        return linear_rule(jet, lambda t: t * layer.factor)
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from delvm_tf.curvature.differentiability import require_differentiable_gradient
from delvm_tf.curvature.graph import evaluate_graph, is_graph
from delvm_tf.curvature.jets import JetFunction, along, multiply, square
from delvm_tf.curvature.sums import for_each_probe, sum_over_probes

logger = logging.getLogger(__name__)


class TaylorJet(NamedTuple):
    """Derivatives of one tensor of the network along P probes.

    Attributes:
        value: the tensor, (batch, ...).
        tangents: first derivatives J v_c, (P, batch, ...), or (P, 1, ...) while they are the same
            for all examples, which saves the first layer most of its work.
        second: the second-order terms Σ_c that a rule has gathered so far, (batch, ...), or the
            float 0.0. `propagate` takes them off after each layer.
    """

    value: tf.Tensor
    tangents: tf.Tensor
    second: Any = 0.0


class Curved(NamedTuple):
    """A tensor y of the network and the second-order term q_y that arises there; one shape."""

    value: tf.Tensor
    second: tf.Tensor


Rule = Callable[..., TaylorJet]
_RULES: dict[type, Rule] = {}


def register_rule(*layer_types: type) -> Callable[[Rule], Rule]:
    """Decorator that makes `rule(layer, *jets) -> jet` the rule of exactly these layer classes.

    A jet holds a tensor of the network, `value`, and its derivatives along all probes; the rule
    takes those of the layer's inputs and returns that of its output, which `linear_rule` and
    `elementwise_rule` make for most layers. A layer without a rule is differentiated automatically,
    at about four times the cost.

    Args:
        *layer_types: classes of Keras layers; subclasses need a rule of their own.

    Examples:
        >>> class Double(keras.layers.Layer):
        ...     def call(self, x):
        ...         return 2 * x
        >>> @dv.curvature.register_rule(Double)
        ... def double(layer, jet):
        ...     return dv.curvature.linear_rule(jet, layer.call)
    """

    def register(rule: Rule) -> Rule:
        for layer_type in layer_types:
            _RULES[layer_type] = rule
        return rule

    return register


def linear_rule(
    jet: TaylorJet,
    linear: Callable[[tf.Tensor], tf.Tensor],
    affine: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> TaylorJet:
    """The rule of a layer whose value is `affine` (by default `linear`) and derivative `linear`.

    Args:
        jet: of the layer's input.
        linear: the linear part, a function of (n, ...).
        affine: the layer, where it adds a constant.

    Returns:
        The jet of the output. Cost: one pass for the value and one for each probe.

    Examples:
        >>> class Shifted(keras.layers.Layer):
        ...     def call(self, x):
        ...         return 2 * x + 1
        >>> @dv.curvature.register_rule(Shifted)
        ... def shifted(layer, jet):
        ...     return dv.curvature.linear_rule(jet, lambda t: 2 * t, layer.call)
        >>> network = keras.Sequential([keras.Input((3,)), Shifted()])
        >>> potential = dv.curvature.Potential(network, dv.curvature.HalfSquaredNorm())
        >>> plan = dv.curvature.plan_trace("basis", potential, (3,), dv.curvature.TraceSettings())
        >>> seed = keras.random.SeedGenerator(0)
        >>> dv.curvature.compute_trace(plan, potential, tf.ones((1, 3)), seed).laplacian.numpy()
        array([12.], dtype=float32)
    """
    return TaylorJet(
        (affine or linear)(jet.value),
        over_probes(linear, jet.tangents),
        jet.second if isinstance(jet.second, float) else linear(jet.second),
    )


def elementwise_rule(jet: TaylorJet, function: JetFunction) -> TaylorJet:
    """The rule of an elementwise function, given by its own jet.

    Args:
        jet: of the layer's input.
        function: of a tensor, gives the `Jet` of φ: value and two derivatives.

    Returns:
        The jet of the output.

    Examples:
        ½ Σ xᵢ⁶ of a layer that cubes has the Laplacian 15 Σ xᵢ⁴:

        >>> class Cube(keras.layers.Layer):
        ...     def call(self, x):
        ...         return x**3
        >>> @dv.curvature.register_rule(Cube)
        ... def cube(layer, jet):
        ...     return dv.curvature.elementwise_rule(
        ...         jet, lambda a: dv.curvature.Jet(a**3, 3 * a**2, 6 * a)
        ...     )
        >>> network = keras.Sequential([keras.Input((2,)), Cube()])
        >>> potential = dv.curvature.Potential(network, dv.curvature.HalfSquaredNorm())
        >>> plan = dv.curvature.plan_trace("basis", potential, (2,), dv.curvature.TraceSettings())
        >>> seed = keras.random.SeedGenerator(0)
        >>> dv.curvature.compute_trace(plan, potential, tf.ones((1, 2)), seed).laplacian.numpy()
        array([30.], dtype=float32)
    """
    phi = function(jet.value)
    second: Any = multiply(phi.first, jet.second)
    if not isinstance(phi.second, float):
        second = second + phi.second * tf.reduce_sum(square(jet.tangents), axis=0)
    return TaylorJet(phi.value, along(phi, jet.tangents), second)


def over_probes(function: Callable[[tf.Tensor], tf.Tensor], tangents: tf.Tensor) -> tf.Tensor:
    """Apply a function of (n, ...) to tangents (P, batch, ...), all at once."""
    lead = tf.shape(tangents)[:2]
    merged = tf.reshape(tangents, tf.concat([[-1], tf.shape(tangents)[2:]], axis=0))
    merged = tf.ensure_shape(merged, (None, *tangents.shape[2:]))
    mapped = function(merged)
    result = tf.reshape(mapped, tf.concat([lead, tf.shape(mapped)[1:]], axis=0))
    return tf.ensure_shape(result, (*tangents.shape[:2], *mapped.shape[1:]))


def has_rule(layer: Any) -> bool:
    """Whether a layer has a rule, or is a nested network."""
    return is_graph(layer) or type(layer) in _RULES


def value_by_rule(layer: Any, x: tf.Tensor) -> tf.Tensor:
    """The value of a layer as its rule computes it."""
    return _RULES[type(layer)](layer, TaylorJet(x, x[tf.newaxis])).value


def propagate(network: Any, jet: TaylorJet) -> tuple[TaylorJet, list[Curved]]:
    """Carry a jet from the input of a network to its output, layer by layer.

    Returns:
        The jet of the output, without second-order terms, and these with the tensors where they
        arose.
    """
    curved: list[Curved] = []

    def collect(jet: TaylorJet) -> TaylorJet:
        if isinstance(jet.second, float):
            return jet
        curved.append(Curved(jet.value, tf.broadcast_to(jet.second, tf.shape(jet.value))))
        return TaylorJet(jet.value, jet.tangents)

    def apply(layer: Any, inputs: list[TaylorJet]) -> TaylorJet:
        if is_graph(layer):
            return through(layer, inputs[0])
        rule = _RULES.get(type(layer))
        if rule is not None:
            return collect(rule(layer, *inputs))
        logger.info("layer %s has no rule and is differentiated automatically", layer.name)
        return collect(differentiated_layer(layer, inputs))

    def through(graph: Any, jet: TaylorJet) -> TaylorJet:
        return evaluate_graph(graph, jet, apply)

    if is_graph(network):
        return through(network, jet), curved
    return collect(differentiated_layer(network, [jet])), curved


def differentiated_layer(layer: Any, inputs: list[TaylorJet]) -> TaylorJet:
    """The jet of any layer, by automatic differentiation of it alone."""
    batch = tf.shape(inputs[0].value)[0]
    probes = tf.shape(inputs[0].tangents)[0]

    def call(values: list[tf.Tensor]) -> tf.Tensor:
        result = layer(values if len(values) > 1 else values[0], training=False)
        return tf.cast(result, values[0].dtype)

    specs = [tf.TensorSpec((None, *jet.value.shape[1:]), jet.value.dtype) for jet in inputs]
    require_differentiable_gradient("a trace", lambda *values: call(list(values)), specs)
    values = [for_each_probe(jet.value[tf.newaxis], probes, batch) for jet in inputs]
    tangents = [for_each_probe(jet.tangents, probes, batch) for jet in inputs]
    first = _directional(call, values, tangents)
    shape = tf.concat([[probes, batch], tf.shape(first)[1:]], axis=0)
    second = sum_over_probes(
        _directional(lambda at: _directional(call, at, tangents), values, tangents), probes, batch
    )
    primal = [jet.value for jet in inputs]
    if any(not isinstance(jet.second, float) for jet in inputs):
        incoming = [tf.zeros_like(jet.value) + jet.second for jet in inputs]
        second += _directional(call, primal, incoming)
    return TaylorJet(call(primal), tf.reshape(first, shape), second)


def _directional(
    function: Callable[[list[tf.Tensor]], tf.Tensor], at: list[tf.Tensor], v: list[tf.Tensor]
) -> tf.Tensor:
    """The directional derivative Jv by two reverse passes: uᵀJ is linear in u, with slope J.

    Unlike nested forward accumulators, this can be differentiated again in the weights.
    """
    with tf.GradientTape() as by_u:
        with tf.GradientTape() as by_x:
            by_x.watch(at)
            y = function(at)
        u = tf.zeros_like(y)
        by_u.watch(u)
        pulled_back = by_x.gradient(
            y, at, output_gradients=u, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
    return by_u.gradient(
        pulled_back, u, output_gradients=v, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
