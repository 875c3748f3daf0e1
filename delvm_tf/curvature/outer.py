"""Outer functions g, from a network's output to one number per example.

An energy of this library is E(x) = quadratic(x) − g(f(x)). Summing or integrating the hidden
variables out of exp(hᵀf − …) gives g, and its gradient is their conditional mean E[h|x]. What score
matching needs of g beside that is tᵀ∇²g t along the derivatives t = J v of the output.
"""

import abc

import tensorflow as tf

from delvm_tf.curvature import jets
from delvm_tf.curvature.jets import Jet
from delvm_tf.curvature.sums import sum_per_example


class Outer(abc.ABC):
    """A function g of a network's output f, (batch, ...) to (batch,)."""

    @abc.abstractmethod
    def __call__(self, f: tf.Tensor) -> tf.Tensor:
        """g(f), shape (batch,)."""

    @abc.abstractmethod
    def mean_hidden(self, f: tf.Tensor) -> tf.Tensor:
        """The mean of the hidden variables given x; for h that enters as hᵀf, ∇g(f)."""

    def quadratic_form(self, f: tf.Tensor, tangents: tf.Tensor) -> tf.Tensor:
        """Σ_c t_cᵀ ∇²g(f) t_c, shape (batch,); by automatic differentiation unless overridden.

        Args:
            f: outputs, (batch, ...).
            tangents: directions t_c, (P, batch or 1, ...).
        """
        probes, batch = tf.shape(tangents)[0], tf.shape(f)[0]
        full = tf.concat([[probes], tf.shape(f)], axis=0)
        flat = tf.concat([[probes * batch], tf.shape(f)[1:]], axis=0)
        at = tf.reshape(tf.broadcast_to(f[tf.newaxis], full), flat)
        t = tf.reshape(tf.broadcast_to(tangents, full), flat)
        with tf.GradientTape() as second:
            second.watch(at)
            with tf.GradientTape() as first:
                first.watch(at)
                value = self(at)
            gradient = first.gradient(value, at)
        hessian_t = second.gradient(
            gradient, at, output_gradients=t, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return tf.reduce_sum(tf.reshape(sum_per_example(t * hessian_t), (probes, batch)), axis=0)


class ElementwiseOuter(Outer):
    """An outer function that is a sum over outputs, g(f) = Σₖ γ(fₖ)."""

    @abc.abstractmethod
    def jet(self, f: tf.Tensor) -> Jet:
        """γ, γ′ and γ″ at every output."""

    def __call__(self, f: tf.Tensor) -> tf.Tensor:
        """Σₖ γ(fₖ), shape (batch,)."""
        return sum_per_example(self.jet(f).value)

    def mean_hidden(self, f: tf.Tensor) -> tf.Tensor:
        """γ′(f), shape of f."""
        return self.jet(f).first

    def quadratic_form(self, f: tf.Tensor, tangents: tf.Tensor) -> tf.Tensor:
        """Σₖ γ″(fₖ) Σ_c t_ck², shape (batch,)."""
        squares = tf.reduce_sum(tf.square(tangents), axis=0)
        # Without any nonlinearity the tangents may still be the same for all examples.
        forms = tf.broadcast_to(jets.multiply(self.jet(f).second, squares), tf.shape(f))
        return sum_per_example(forms)


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


class GaussianLogPartition(Outer):
    """Σₖ A(λ + tₖ) of Gaussian hidden variables with natural parameters that depend on x.

    The last axis of f holds two halves a and b, of which t = (a, −b²) are the sufficient statistics
    of a conjugate energy model. With λ = (0, −½) and A(n₁, n₂) = −n₁²/(4n₂) − ½log(−2n₂),

        A(λ + t) = ½a²s − ½log(1/s)        s = 1/(1 + 2b²)

    and h given x is normal with mean as and variance s.

    Source: Wu, Esmaeili, Wick, Tristan and van de Meent (2021), Conjugate energy-based models.
    """

    def __call__(self, f: tf.Tensor) -> tf.Tensor:
        """Σₖ A(λ + tₖ), shape (batch,)."""
        a, b = tf.split(f, 2, axis=-1)
        variance = self.variance(f)
        return 0.5 * sum_per_example(tf.square(a) * variance - tf.math.log1p(2.0 * tf.square(b)))

    def variance(self, f: tf.Tensor) -> tf.Tensor:
        """The variance s of the hidden variables given x, half as many as the outputs."""
        b = tf.split(f, 2, axis=-1)[1]
        return 1.0 / (1.0 + 2.0 * tf.square(b))

    def mean_hidden(self, f: tf.Tensor) -> tf.Tensor:
        """The mean as of the hidden variables given x, half as many as the outputs."""
        return tf.split(f, 2, axis=-1)[0] * self.variance(f)

    def quadratic_form(self, f: tf.Tensor, tangents: tf.Tensor) -> tf.Tensor:
        """Σ over pairs of A_aa Σt_a² + 2A_ab Σt_a t_b + A_bb Σt_b², shape (batch,)."""
        (a, b), s = tf.split(f, 2, axis=-1), self.variance(f)
        t_a, t_b = tf.split(tangents, 2, axis=-1)
        mean_squared = tf.square(a * s)
        curvature_ab = -4.0 * a * b * tf.square(s)
        curvature_bb = 8.0 * tf.square(b) * s * (2.0 * mean_squared + s) - 2.0 * (mean_squared + s)
        forms = (
            s * tf.reduce_sum(tf.square(t_a), axis=0)
            + 2.0 * curvature_ab * tf.reduce_sum(t_a * t_b, axis=0)
            + curvature_bb * tf.reduce_sum(tf.square(t_b), axis=0)
        )
        return sum_per_example(forms)
