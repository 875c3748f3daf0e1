"""Outer functions g, from a network's output to one number per example.

An energy of this library is E(x) = quadratic(x) − g(f(x)). Summing or integrating the hidden
variables out of exp(hᵀf − …) gives g, whose gradient is their conditional mean E[h|x]. Score
matching also needs tᵀ∇²g t along the derivatives t = J v of the output.
"""

import abc
from typing import Any

import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature import jets
from delvm_tf.curvature.boxes import Boxes, everything
from delvm_tf.curvature.jets import Jet
from delvm_tf.curvature.sums import (
    for_each_probe,
    squared_norms,
    sum_over_probes,
    sum_per_example,
)


class Outer(abc.ABC):
    """A function g of a network's output f, (batch, ...) to (batch,).

    A subclass gives g as `__call__`, and `mean_hidden`. If g is a sum of terms of few outputs each,
    `terms` that say so make exact traces of convolutional networks cheaper; `quadratic_form` is
    differentiated automatically unless it is given too.

    Attributes:
        linear: whether the hidden variables enter the energy only as hᵀf, so that x given h is
            normal if f is linear.

    Examples:
        One hidden variable that is one of the outputs' numbers, g = log Σ exp fₖ:

        >>> class OneOf(dv.curvature.Outer):
        ...     def __call__(self, f):
        ...         return tf.reduce_logsumexp(f, axis=1)
        ...     def mean_hidden(self, f):
        ...         return tf.nn.softmax(f)
        >>> OneOf().gradient(tf.zeros((1, 4))).numpy()
        array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    linear: bool = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A subclass with another g does not inherit the formulas of its base class."""
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls):
            for name in {"quadratic_form", "terms", "gradient"} - {*vars(cls)}:
                setattr(cls, name, getattr(Outer, name))

    @property
    def variables(self) -> list[Any]:
        """The Keras variables of g, if it is learned itself."""
        return []

    @abc.abstractmethod
    def __call__(self, f: tf.Tensor) -> tf.Tensor:
        """g(f), shape (batch,)."""

    @abc.abstractmethod
    def mean_hidden(self, f: tf.Tensor) -> tf.Tensor:
        """The mean of the hidden variables given x; ∇g(f) if `linear`."""

    def gradient(self, f: tf.Tensor) -> tf.Tensor:
        """∇g(f), shape of f."""
        with tf.GradientTape() as tape:
            tape.watch(f)
            value = self(f)
        return tape.gradient(value, f)

    def sample_hidden(self, f: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """A draw of the hidden variables given x, shape of their mean."""
        raise TypeError(f"{type(self).__name__} does not say how to sample its hidden variables")

    def terms(self, boxes: Boxes) -> Boxes:
        """The part of the input that each term of g depends on; by default g is one term.

        With fewer outputs in a term, exact traces of convolutional networks take fewer probes.

        Args:
            boxes: the part of the input that each output depends on; see `union`, `map_boxes`.
        """
        return everything([boxes], ())

    def quadratic_form(self, f: tf.Tensor, tangents: tf.Tensor) -> tf.Tensor:
        """Σ_c t_cᵀ ∇²g(f) t_c, shape (batch,); by automatic differentiation unless overridden.

        Args:
            f: outputs, (batch, ...).
            tangents: directions t_c, (P, batch or 1, ...).
        """
        probes, batch = tf.shape(tangents)[0], tf.shape(f)[0]
        at, t = (for_each_probe(v, probes, batch) for v in (f[tf.newaxis], tangents))
        with tf.GradientTape() as second:
            second.watch(at)
            with tf.GradientTape() as first:
                first.watch(at)
                value = self(at)
            gradient = first.gradient(value, at)
        hessian_t = second.gradient(
            gradient, at, output_gradients=t, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return sum_over_probes(sum_per_example(t * hessian_t), probes, batch)


class ElementwiseOuter(Outer):
    """An outer function that is a sum over outputs, g(f) = Σₖ γ(fₖ).

    A subclass gives the `jet` of γ, and `sample_hidden` if chains are to sample hidden variables.

    Raises:
        TypeError: for a subclass with a `__call__` of its own and no jet.

    Examples:
        >>> class Quartic(dv.curvature.ElementwiseOuter):
        ...     def jet(self, f):
        ...         return dv.curvature.Jet(f**4, 4 * f**3, 12 * f**2)
        >>> Quartic()(tf.constant([[1.0, 2.0]])).numpy()
        array([17.], dtype=float32)
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a g that need not be the sum of its jet."""
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls) and "jet" not in vars(cls):
            raise TypeError(
                f"{cls.__name__} defines __call__ without jet, but an ElementwiseOuter is the sum "
                f"of its jet over all outputs; define jet, or subclass Outer for another function"
            )

    @abc.abstractmethod
    def jet(self, f: tf.Tensor) -> Jet:
        """γ, γ′ and γ″ at every output."""

    def __call__(self, f: tf.Tensor) -> tf.Tensor:
        """Σₖ γ(fₖ), shape (batch,)."""
        return sum_per_example(self.jet(f).value)

    def gradient(self, f: tf.Tensor) -> tf.Tensor:
        """γ′(f), shape of f."""
        first = self.jet(f).first
        return tf.fill(tf.shape(f), tf.cast(first, f.dtype)) if isinstance(first, float) else first

    def mean_hidden(self, f: tf.Tensor) -> tf.Tensor:
        """γ′(f), shape of f."""
        return self.gradient(f)

    def terms(self, boxes: Boxes) -> Boxes:
        """One term for each output."""
        return boxes

    def quadratic_form(self, f: tf.Tensor, tangents: tf.Tensor) -> tf.Tensor:
        """Σₖ γ″(fₖ) Σ_c t_ck², shape (batch,)."""
        second = self.jet(f).second
        if isinstance(second, float) and tangents.shape[0] == 1:
            return second * squared_norms(tf.squeeze(tangents, 0))
        squares = tf.reduce_sum(tf.square(tangents), axis=0)
        # In a linear network the tangents are the same for all examples.
        forms = tf.broadcast_to(jets.multiply(second, squares), tf.shape(f))
        return sum_per_example(forms)


class HalfSquaredNorm(ElementwiseOuter):
    """½‖f‖², from Gaussian hidden variables h|x ~ N(f(x), I); the outer function of a `DELVM`.

    Examples:
        >>> dv.curvature.HalfSquaredNorm()(tf.constant([[3.0, 4.0]])).numpy()
        array([12.5], dtype=float32)
    """

    def jet(self, f: tf.Tensor) -> Jet:
        """½f², f and 1."""
        return Jet(0.5 * tf.square(f), f, 1.0)

    def sample_hidden(self, f: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """A draw from N(f, I)."""
        return f + noise.normal(tf.shape(f), seed, f.dtype)


class SoftplusSum(ElementwiseOuter):
    """Σₖ softplus(fₖ), from binary hidden variables with P(hₖ=1|x) = σ(fₖ(x)).

    The outer function of a `DEM` and a `DSEBM`.

    Examples:
        >>> outer = dv.curvature.SoftplusSum()
        >>> outer.mean_hidden(tf.zeros((1, 3))).numpy()
        array([[0.5, 0.5, 0.5]], dtype=float32)
    """

    def jet(self, f: tf.Tensor) -> Jet:
        """softplus(f), σ(f) and σ(f)(1 − σ(f))."""
        return jets.softplus(f)

    def sample_hidden(self, f: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Zeros and ones, one with probability σ(f)."""
        return noise.bernoulli(tf.sigmoid(f), seed)
