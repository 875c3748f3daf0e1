"""Elementwise functions with their first two derivatives.

A jet holds φ(a), φ′(a) and φ″(a). Derivatives that are constant are kept as Python floats, so that
multiplying by one or by zero costs nothing. The most used activations have formulas; every other
elementwise activation of Keras is differentiated automatically, which is exact too.
"""

from collections.abc import Callable
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
        gate: whether φ′ takes the values 0 and 1 only and φ = a·φ′, as for the ReLU. Then
            φ′² = φ′ and φφ′ = φ, which spares passes over memory.
    """

    value: tf.Tensor
    first: Number
    second: Number
    gate: bool = False


JetFunction = Callable[[tf.Tensor], Jet]


def multiply(a: Number, b: Number) -> Number:
    """The product a·b, skipping the work where a factor is the float 0.0 or 1.0."""
    for one, other in ((a, b), (b, a)):
        if isinstance(one, float):
            if one == 0.0:
                return 0.0
            if one == 1.0:
                return other
    return a * b


def add(a: Number, b: Number) -> Number:
    """The sum a + b, skipping the work where a term is the float 0.0."""
    for one, other in ((a, b), (b, a)):
        if isinstance(one, float) and one == 0.0:
            return other
    return a + b


def square(a: Number) -> Number:
    """a². `tf.square` and not `a ** 2`: the third derivative of `tf.pow` at 0 is NaN."""
    return a * a if isinstance(a, float) else tf.square(a)


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


def relu(a: tf.Tensor) -> Jet:
    """max(a, 0), its step and 0."""
    value = tf.nn.relu(a)
    # A step of the value: 0 or 1, and no gradient to compute on the way back.
    return Jet(value, tf.stop_gradient(tf.sign(value)), 0.0, gate=True)


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


def silu(a: tf.Tensor) -> Jet:
    """aσ, σ + aσ′ and 2σ′ + aσ″."""
    s = tf.sigmoid(a)
    slope = s * (1.0 - s)
    return Jet(a * s, s + a * slope, slope * (2.0 + a * (1.0 - 2.0 * s)))


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


_FORMULAS: dict[Any, JetFunction] = {
    keras.activations.linear: linear,
    keras.activations.relu: relu,
    keras.activations.tanh: tanh,
    keras.activations.sigmoid: sigmoid,
    keras.activations.softplus: softplus,
    keras.activations.silu: silu,
    # TensorFlow cannot differentiate these two often enough, or not everywhere.
    keras.activations.softsign: softsign,
    keras.activations.sparse_plus: sparse_plus,
}

# Every other activation of Keras that maps each element by itself (softmax and its kin do not).
_ELEMENTWISE = [
    getattr(keras.activations, name)
    for name in (
        "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu",
        "hard_tanh", "leaky_relu", "log_sigmoid", "mish", "relu6", "selu", "soft_shrink",
        "sparse_sigmoid", "squareplus", "tanh_shrink",
    )
]  # fmt: skip

_ELEMENTWISE_LAYERS = (
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
    keras.layers.PReLU,
)


def activation_jet(activation: Any) -> JetFunction | None:
    """The jet of a Keras activation function, or None if it is not known to be elementwise."""
    if activation is None:
        return linear
    if activation in _FORMULAS:
        return _FORMULAS[activation]
    if activation in _ELEMENTWISE:
        return differentiated(activation)
    if isinstance(activation, keras.layers.Layer):
        return layer_jet(activation)
    return None


def layer_jet(layer: keras.layers.Layer) -> JetFunction | None:
    """The jet of an activation layer, or None if the layer is not one."""
    if type(layer) is keras.layers.Activation:
        return activation_jet(layer.activation)
    if type(layer) in _ELEMENTWISE_LAYERS:
        return differentiated(layer.call)  # not __call__, which would cast to the compute type
    return None
