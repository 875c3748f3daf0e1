"""The argument of every trace method, a potential, and its result."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from delvm_tf.curvature.outer import Outer
from delvm_tf.curvature.values import network_value

PotentialFunction = Callable[[tf.Tensor], tf.Tensor]


class Curvature(NamedTuple):
    """Input derivatives of a potential u at a batch of d-dimensional inputs.

    Attributes:
        output: f(x), the output of the potential's network, in the accumulation type; u(x) for a
            function that is not a `Potential`.
        gradient: ∇ₓu, shape of x. For a DELVM this is Jᵀf, the reconstruction.
        laplacian: tr ∇ₓ²u, shape (batch,). For a DELVM this is ‖J‖² + Σₖ fₖΔfₖ.

    Examples:
        For a `DELVM` of x₁ + 2x₂, whose potential is u = ½(x₁ + 2x₂)²:

        >>> network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> network.set_weights([np.array([[1.0], [2.0]])])
        >>> potential = dv.curvature.Potential(network, dv.curvature.HalfSquaredNorm())
        >>> plan = dv.curvature.plan_trace("exact", potential, (2,), dv.curvature.TraceSettings())
        >>> seed = keras.random.SeedGenerator(0)
        >>> found = dv.curvature.compute_trace(plan, potential, tf.constant([[1.0, 1.0]]), seed)
        >>> found.output.numpy(), found.gradient.numpy(), found.laplacian.numpy()
        (array([[3.]]...), array([[3., 6.]]...), array([5.]...))
    """

    output: tf.Tensor
    gradient: tf.Tensor
    laplacian: tf.Tensor


class Potential:
    """The potential u(x) = g(f(x)) of a network f and an outer function g.

    Args:
        network: a Keras model or layer f, (batch, ...) to (batch, ...).
        outer: the outer function g, one number per example.
        dtype: the type in which g and all derivatives are accumulated, whatever the network's
            compute type.

    Examples:
        >>> network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> network.set_weights([np.array([[1.0], [2.0]])])
        >>> potential = dv.curvature.Potential(network, dv.curvature.HalfSquaredNorm())
        >>> potential(tf.constant([[1.0, 1.0]])).numpy()
        array([4.5], dtype=float32)
    """

    def __init__(self, network: Any, outer: Outer, dtype: str = "float32"):
        self.network = network
        self.outer = outer
        self.dtype = dtype

    @property
    def variables(self) -> list[Any]:
        """The variables of the network and of g."""
        return [*self.network.variables, *self.outer.variables]

    def output(self, x: tf.Tensor) -> tf.Tensor:
        """The output f(x) in the accumulation type, in inference mode."""
        return tf.cast(network_value(self.network, x), self.dtype)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """The value u(x), shape (batch,)."""
        return self.outer(self.output(x))


def output_and_value(potential: PotentialFunction, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Output f(x) and value u(x) = g(f(x)) of a `Potential`; u(x) twice for any other function."""
    if not isinstance(potential, Potential):
        u = potential(x)
        return u, u
    output = potential.output(x)
    return output, potential.outer(output)
