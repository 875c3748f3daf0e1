"""Outer functions g, from a network's output to one number per example.

An energy of this library is E(x) = quadratic(x) − g(f(x)). Summing or integrating the hidden
variables out of exp(hᵀf − …) gives g, and its gradient is their conditional mean E[h|x].
"""

import abc

import tensorflow as tf

from delvm_tf.curvature import jets
from delvm_tf.curvature.jets import Jet


class Outer(abc.ABC):
    """A function g of a network's output f, (batch, ...) to (batch,)."""

    @abc.abstractmethod
    def __call__(self, f: tf.Tensor) -> tf.Tensor:
        """g(f), shape (batch,)."""

    @abc.abstractmethod
    def mean_hidden(self, f: tf.Tensor) -> tf.Tensor:
        """∇g(f), the mean of the hidden variables given x; shape of f."""


class ElementwiseOuter(Outer):
    """An outer function that is a sum over outputs, g(f) = Σₖ γ(fₖ)."""

    @abc.abstractmethod
    def jet(self, f: tf.Tensor) -> Jet:
        """γ, γ′ and γ″ at every output."""

    def __call__(self, f: tf.Tensor) -> tf.Tensor:
        """Σₖ γ(fₖ), shape (batch,)."""
        value = self.jet(f).value
        return tf.reduce_sum(tf.reshape(value, (tf.shape(f)[0], -1)), axis=1)

    def mean_hidden(self, f: tf.Tensor) -> tf.Tensor:
        """γ′(f), shape of f."""
        return self.jet(f).first


class HalfSquaredNorm(ElementwiseOuter):
    """½‖f‖², from Gaussian hidden variables h|x ~ N(f(x), I)."""

    def jet(self, f: tf.Tensor) -> Jet:
        """½f², f and 1."""
        return Jet(0.5 * tf.square(f), f, 1.0)


class SoftplusSum(ElementwiseOuter):
    """Σₖ softplus(fₖ), from binary hidden variables with P(hₖ=1|x) = σ(fₖ(x))."""

    def jet(self, f: tf.Tensor) -> Jet:
        """softplus(f), σ(f) and σ(f)(1 − σ(f))."""
        return jets.softplus(f)
