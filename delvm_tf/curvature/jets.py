"""Elementwise functions with their first two derivatives.

A jet holds φ(a), φ′(a) and φ″(a). Constant derivatives are Python floats, so that multiplying by
one or zero costs nothing. The most common activations have formulas; Keras's other elementwise
activations are differentiated automatically, which is exact too.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import keras
import tensorflow as tf

Number = Any  # a tensor, or a float where the value is the same everywhere


class Jet(NamedTuple):
    """Value and first two derivatives of an elementwise function at a.

    Attributes:
        value: φ(a).
        first: φ′(a).
        second: φ″(a); for a piecewise-linear function 0.0, its kinks ignored.
        gate: whether φ′ is 0 or 1 and φ = a·φ′, as for the ReLU. Then φ′² = φ′ and φφ′ = φ, which
            saves passes over memory.

    Examples:
        >>> cubes = lambda a: dv.curvature.Jet(a**3, 3 * a**2, 6 * a)
        >>> [float(number) for number in cubes(tf.constant(2.0))[:3]]
        [8.0, 12.0, 12.0]
    """

    value: tf.Tensor
    first: Number
    second: Number
    gate: bool = False


JetFunction = Callable[[tf.Tensor], Jet]


def multiply(a: Number, b: Number) -> Number:
    """The product a·b, without work if a factor is the float 0.0 or 1.0."""
    for one, other in ((a, b), (b, a)):
        if isinstance(one, float):
            if one == 0.0:
                return 0.0
            if one == 1.0:
                return other
    return a * b


def add(a: Number, b: Number) -> Number:
    """The sum a + b, without work if a term is the float 0.0."""
    for one, other in ((a, b), (b, a)):
        if isinstance(one, float) and one == 0.0:
            return other
    return a + b


def square(a: Number) -> Number:
    """a². `tf.square` and not `a ** 2`: the third derivative of `tf.pow` at 0 is NaN."""
    return a * a if isinstance(a, float) else tf.square(a)


def along(phi: Jet, tangents: tf.Tensor) -> tf.Tensor:
    """The derivatives φ′·t of φ along tangents t, (P, batch or 1, ...)."""
    one_of_each_example = tangents.shape[0] == 1 and tangents.shape[1] != 1
    if phi.gate and not isinstance(phi.first, float) and one_of_each_example:
        return tf.expand_dims(gated(tf.squeeze(tangents, 0), phi.value), 0)
    return multiply(phi.first, tangents)


def chain_rule(gamma: Jet, phi: Jet) -> Jet:
    """The jet of γ∘φ from that of γ at φ(a): (γ∘φ)′ = γ′φ′ and (γ∘φ)″ = γ″φ′² + γ′φ″."""
    slope_squared = phi.first if phi.gate else square(phi.first)
    gated = phi.gate and gamma.first is phi.value  # φφ′ = φ
    return Jet(
        gamma.value,
        phi.value if gated else multiply(gamma.first, phi.first),
        add(multiply(gamma.second, slope_squared), multiply(gamma.first, phi.second)),
    )


def compose(outer: JetFunction, inner: JetFunction) -> JetFunction:
    """The jet function of outer∘inner."""

    def composed(a: tf.Tensor) -> Jet:
        phi = inner(a)
        return chain_rule(outer(phi.value), phi)

    return composed


def linear(a: tf.Tensor) -> Jet:
    """a, 1 and 0."""
    return Jet(a, 1.0, 0.0, gate=True)


def piecewise_linear(function: Callable[[tf.Tensor], tf.Tensor]) -> JetFunction:
    """The jet of a piecewise-linear function, with TensorFlow's slope at kinks."""

    def jet(a: tf.Tensor) -> Jet:
        with tf.GradientTape() as tape:
            tape.watch(a)
            value = function(a)
        slope = tape.gradient(value, a, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return Jet(value, tf.stop_gradient(slope), 0.0)

    return jet


def relu(
    a: tf.Tensor,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Jet:
    """max(a, 0), its step and 0; or Keras's function with these options and its slopes."""
    if negative_slope or max_value is not None or threshold:
        return piecewise_linear(
            partial(
                keras.activations.relu,
                negative_slope=negative_slope,
                max_value=max_value,
                threshold=threshold,
            )
        )(a)
    value = _rectified(a)
    # 0 or 1, without a gradient to compute on the way back.
    return Jet(value, tf.stop_gradient(tf.sign(value)), 0.0, gate=True)


@tf.custom_gradient
def _rectified(a: tf.Tensor) -> Any:
    """max(a, 0). TensorFlow's own gradient passes useless zeros on to a when differentiated."""
    value = tf.nn.relu(a)
    return value, lambda upstream: gated(upstream, value)


def gated(t: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """`t` where `value` is positive, else 0, in one pass over memory; no gradient in the value."""

    @tf.custom_gradient
    def gate(t: tf.Tensor) -> Any:
        passed = tf.raw_ops.ReluGrad(gradients=t, features=value)
        return passed, lambda upstream: gated(upstream, value)

    return gate(t)


def prelu(a: tf.Tensor, alpha: tf.Tensor) -> Jet:
    """max(a, 0) + α min(a, 0), whose slope has a gradient in α only."""
    positive = tf.stop_gradient(tf.sign(tf.nn.relu(a)))
    negative = tf.stop_gradient(tf.sign(tf.nn.relu(-a)))
    first = positive + alpha * negative
    return Jet(a * first, first, 0.0)


def tanh(a: tf.Tensor) -> Jet:
    """Value t, 1 − t² and −2t(1 − t²) of the hyperbolic tangent."""
    t = tf.tanh(a)
    first = 1.0 - tf.square(t)
    return Jet(t, first, -2.0 * t * first)


def sigmoid(a: tf.Tensor) -> Jet:
    """σ, σ(1 − σ) and σ(1 − σ)(1 − 2σ)."""
    s = tf.sigmoid(a)
    first = s * (1.0 - s)
    return Jet(s, first, first * (1.0 - 2.0 * s))


def softplus(a: tf.Tensor) -> Jet:
    """log(1 + eᵃ), σ and σ(1 − σ)."""
    s = tf.sigmoid(a)
    return Jet(tf.nn.softplus(a), s, s * (1.0 - s))


def elu(a: tf.Tensor, alpha: float = 1.0) -> Jet:
    """a, 1 and 0 above zero; α(eᵃ − 1), αeᵃ and αeᵃ below, where αeᵃ is the value plus α."""
    value = keras.activations.elu(a, alpha=alpha)
    below = tf.cast(a <= 0.0, a.dtype)
    second = below * (value + alpha)
    return Jet(value, second + (1.0 - below), second)


def selu(a: tf.Tensor) -> Jet:
    """A multiple of the elu with the α of Klambauer et al. (2017)."""
    scaled = elu(a, alpha=1.6732632423543772)
    scale = 1.0507009873554805
    return Jet(scale * scaled.value, scale * scaled.first, scale * scaled.second)


def times_argument(inner: JetFunction) -> JetFunction:
    """The jet function of aψ(a): aψ, ψ + aψ′ and 2ψ′ + aψ″."""

    def product(a: tf.Tensor) -> Jet:
        psi = inner(a)
        second = 2.0 * psi.first + multiply(a, psi.second)
        return Jet(a * psi.value, psi.value + a * psi.first, second)

    return product


silu = times_argument(sigmoid)
mish = times_argument(compose(tanh, softplus))
hard_silu = times_argument(piecewise_linear(keras.activations.hard_sigmoid))


def gelu(a: tf.Tensor, approximate: bool = False) -> Jet:
    """aΦ(a) with the normal distribution function or Hendrycks and Gimpel's approximation."""
    return times_argument(_approximate_normal_cdf if approximate else _normal_cdf)(a)


def _normal_cdf(a: tf.Tensor) -> Jet:
    """½ erfc(−ha) with h = √½, which TensorFlow rounds to float32 even for float64."""
    h = tf.cast(math.sqrt(0.5), a.dtype)
    density = h / math.sqrt(math.pi) * tf.exp(-tf.square(h * a))
    return Jet(0.5 * tf.math.erfc(-a * h), density, -2.0 * tf.square(h) * a * density)


def _approximate_normal_cdf(a: tf.Tensor) -> Jet:
    """½(1 + tanh(k(a + ca³))) with k = √(2/π), and c rounded as h above."""
    k, c = math.sqrt(2.0 / math.pi), tf.cast(0.044715, a.dtype)
    squared = tf.square(a)
    argument = Jet(k * a * (1.0 + c * squared), k * (1.0 + 3.0 * c * squared), 6.0 * k * c * a)
    t = chain_rule(tanh(argument.value), argument)
    return Jet(0.5 * (1.0 + t.value), 0.5 * t.first, 0.5 * t.second)


def softsign(a: tf.Tensor) -> Jet:
    """a/(1 + |a|), 1/(1 + |a|)² and −2 sign(a)/(1 + |a|)³."""
    denominator = 1.0 + tf.abs(a)
    first = 1.0 / tf.square(denominator)
    return Jet(a / denominator, first, -2.0 * tf.sign(a) * first / denominator)


def sparse_plus(a: tf.Tensor) -> Jet:
    """¼(a + 1)² between −1 and 1, 0 below and a above, and its derivatives."""
    first = 0.5 * tf.clip_by_value(a + 1.0, 0.0, 2.0)
    inside = tf.cast((a > -1.0) & (a < 1.0), a.dtype)
    return Jet(tf.where(a < 1.0, tf.square(first), a), first, 0.5 * inside)


def differentiated(function: Callable[[tf.Tensor], tf.Tensor]) -> JetFunction:
    """The jet of any elementwise function, by two nested gradient tapes."""

    def jet(a: tf.Tensor) -> Jet:
        with tf.GradientTape() as outer_tape:
            outer_tape.watch(a)
            with tf.GradientTape() as inner_tape:
                inner_tape.watch(a)
                value = function(a)
            first = inner_tape.gradient(value, a)
        second = None if first is None else outer_tape.gradient(first, a)
        return Jet(value, 0.0 if first is None else first, 0.0 if second is None else second)

    return jet


# Each also takes the options of its activation.
_FORMULAS: dict[Any, Callable[..., Jet]] = {
    keras.activations.linear: linear,
    keras.activations.relu: relu,
    keras.activations.tanh: tanh,
    keras.activations.sigmoid: sigmoid,
    keras.activations.softplus: softplus,
    keras.activations.silu: silu,
    keras.activations.gelu: gelu,
    keras.activations.mish: mish,
    keras.activations.elu: elu,
    keras.activations.selu: selu,
    keras.activations.hard_silu: hard_silu,
    # TensorFlow cannot differentiate these two often enough or everywhere.
    keras.activations.softsign: softsign,
    keras.activations.sparse_plus: sparse_plus,
}
_FORMULAS |= {
    getattr(tf.nn, name): _FORMULAS[getattr(keras.activations, name)]
    for name in ("relu", "tanh", "sigmoid", "softplus", "silu", "gelu", "elu", "selu", "softsign")
}

_PIECEWISE_LINEAR = [
    getattr(keras.activations, name)
    for name in (
        "hard_shrink", "hard_sigmoid", "hard_tanh", "leaky_relu", "relu6", "soft_shrink",
        "sparse_sigmoid", "threshold",
    )
]  # fmt: skip

# Keras's other elementwise activations.
_DIFFERENTIATED = [
    getattr(keras.activations, name)
    for name in ("celu", "exponential", "log_sigmoid", "squareplus", "tanh_shrink")
]


def without_options(activation: Any) -> tuple[Any, dict[str, Any]]:
    """An activation function and its options, if it is a `functools.partial`."""
    if isinstance(activation, partial) and not activation.args:
        return activation.func, activation.keywords
    return activation, {}


def activation_jet(activation: Any) -> JetFunction | None:
    """The jet of a Keras activation function, or None if it is not known to be elementwise."""
    if activation is None:
        return linear
    if isinstance(activation, keras.layers.Layer):
        return layer_jet(activation)
    function, options = without_options(activation)
    if function in _FORMULAS:
        return partial(_FORMULAS[function], **options) if options else _FORMULAS[function]
    if function in _PIECEWISE_LINEAR:
        return piecewise_linear(activation)
    if function in _DIFFERENTIATED:
        return differentiated(activation)
    return None


def layer_jet(layer: keras.layers.Layer) -> JetFunction | None:
    """The jet of an activation layer, or None if the layer is not one."""
    if type(layer) is keras.layers.Activation:
        return activation_jet(layer.activation)
    if type(layer) is keras.layers.ReLU:
        options = ("negative_slope", "max_value", "threshold")
        return partial(relu, **{name: getattr(layer, name) for name in options})
    if type(layer) is keras.layers.LeakyReLU:
        return piecewise_linear(layer.call)  # not __call__, which would cast to the compute type
    if type(layer) is keras.layers.ELU:
        return partial(elu, alpha=layer.alpha)
    if type(layer) is keras.layers.PReLU:
        return lambda a: prelu(a, tf.cast(layer.alpha, a.dtype))
    return None
