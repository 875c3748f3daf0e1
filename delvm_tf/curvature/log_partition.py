"""Outer functions of conjugate energies: log-partitions of normal hidden variables.

The last axis of the network's output f consists of two halves a and b with the sufficient
statistics t = (a, −b²). The density of h has natural parameters λ + t: the hidden variables enter
as hᵀa − (h²)ᵀb², so that h given x is normal, but x given h is not.

Source: Wu, Esmaeili, Wick, Tristan and van de Meent (2021), Conjugate energy-based models.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.curvature.boxes import Boxes, map_boxes
from delvm_tf.curvature.outer import Outer
from delvm_tf.curvature.sums import sum_per_example


class GaussianLogPartition(Outer):
    """Σₖ A(λ + tₖ), for hidden variables that are standard normal a priori.

    With λ = (0, −½) and A(n₁, n₂) = −n₁²/(4n₂) − ½log(−2n₂),

        A(λ + t) = ½a²s − ½log(1/s)        s = 1/(1 + 2b²)

    and h given x is normal with mean as and variance s. The outputs are a and b side by side,
    f = (a, b), (batch, 2m) for m hidden variables. The outer function of a `CEBM`.

    Source: Wu, Esmaeili, Wick, Tristan and van de Meent (2021), Conjugate energy-based models.

    Examples:
        >>> outer, f = dv.curvature.GaussianLogPartition(), tf.constant([[3.0, 1.0]])
        >>> outer.mean_hidden(f).numpy(), outer.variance(f).numpy()
        (array([[1.]]...), array([[0.3333...]]...))
    """

    linear = False

    def __call__(self, f: tf.Tensor) -> tf.Tensor:
        """Σₖ A(λ + tₖ), shape (batch,)."""
        a, b = tf.split(f, 2, axis=-1)
        variance = self.variance(f)
        return 0.5 * sum_per_example(tf.square(a) * variance - tf.math.log1p(2.0 * tf.square(b)))

    def variance(self, f: tf.Tensor) -> tf.Tensor:
        """The variance s of the hidden variables given x, one for each pair of outputs."""
        b = tf.split(f, 2, axis=-1)[1]
        return 1.0 / (1.0 + 2.0 * tf.square(b))

    def mean_hidden(self, f: tf.Tensor) -> tf.Tensor:
        """The mean as of the hidden variables given x, one for each pair of outputs."""
        return tf.split(f, 2, axis=-1)[0] * self.variance(f)

    def sample_hidden(self, f: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """A draw from N(as, s)."""
        mean = self.mean_hidden(f)
        return mean + tf.sqrt(self.variance(f)) * noise.normal(tf.shape(mean), seed, f.dtype)

    def terms(self, boxes: Boxes) -> Boxes:
        """One term for each pair of outputs aₖ and bₖ."""
        return map_boxes(lambda side: np.minimum(*np.split(side, 2, axis=-1)), boxes)

    def quadratic_form(self, f: tf.Tensor, tangents: tf.Tensor) -> tf.Tensor:
        """By the second derivatives of each pair of outputs, shape (batch,)."""
        b = tf.split(f, 2, axis=-1)[1]
        return _form(tangents, *_curvatures(b, self.mean_hidden(f), self.variance(f)))


class MixtureLogPartition(Outer):
    """log Σₖ πₖ exp(A(λₖ + t) − A(λₖ)), for a mixture of K diagonal Gaussians a priori.

    With means μ and precisions ρ, λ = (ρμ, −ρ/2), and for each hidden variable

        A(λ + t) − A(λ) = ½s(a² + 2ρμ(a − μb²)) − ½log(1 + 2b²/ρ)        s = 1/(ρ + 2b²)

    Given x and the component, h is normal with mean (ρμ + a)s and variance s. The outputs are
    f = (a, b), (batch, 2m). Cost: K times the elementwise work of one Gaussian, and a product of
    K × outputs with each probe. The outer function of a `CEBM` with components.

    Source: as of `GaussianLogPartition`.

    Args:
        prior: has `log_weights()`, (K,), `means()` and `precisions()`, (K, m), as tensors, and
            their Keras `variables`.

    Examples:
        >>> model = dv.CEBM(dv.networks.ffnn((4,)), latents=2, components=3)
        >>> model.adapt(x)
        >>> model.outer.responsibilities(tf.zeros((1, 4))).numpy()  # of t = 0, those of the prior
        array([[0.333..., 0.333..., 0.333...]], dtype=float32)
    """

    linear = False

    def __init__(self, prior: Any):
        self.prior = prior

    @property
    def variables(self) -> list[Any]:
        """The variables of the prior."""
        return list(self.prior.variables)

    def __call__(self, f: tf.Tensor) -> tf.Tensor:
        """Log of the mixture of exponentials, (batch,), of outputs (batch, 2m)."""
        return tf.reduce_logsumexp(self._log_joint(f), axis=1)

    def responsibilities(self, f: tf.Tensor) -> tf.Tensor:
        """The probability of each component given x, (batch, K)."""
        return tf.nn.softmax(self._log_joint(f), axis=1)

    def mean_hidden(self, f: tf.Tensor) -> tf.Tensor:
        """The mean of the hidden variables given x, (batch, m)."""
        return _average(self.responsibilities(f), self._components(f)[0])

    def variance(self, f: tf.Tensor) -> tf.Tensor:
        """The variance of the hidden variables given x over all components, (batch, m)."""
        r, (means, variances) = self.responsibilities(f), self._components(f)
        deviations = means - _average(r, means)[:, tf.newaxis]
        return _average(r, variances + tf.square(deviations))

    def sample_hidden(self, f: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """A component for each example, and a draw from its normal density, (batch, m)."""
        means, variances = self._components(f)
        u = noise.uniform(tf.shape(f)[:1], noise.fold(seed, 0), f.dtype)
        below = tf.cumsum(self.responsibilities(f), axis=1) <= u[:, tf.newaxis]
        chosen = tf.reduce_sum(tf.cast(below[:, :-1], tf.int32), axis=1)
        mean = tf.gather(means, chosen, batch_dims=1)
        spread = tf.sqrt(tf.gather(variances, chosen, batch_dims=1))
        return mean + spread * noise.normal(tf.shape(mean), noise.fold(seed, 1), f.dtype)

    def quadratic_form(self, f: tf.Tensor, tangents: tf.Tensor) -> tf.Tensor:
        """Mean over components of t_cᵀ∇²Aₖt_c, plus the variance of ∇Aₖᵀt_c; summed over c."""
        r, (means, variances) = self.responsibilities(f), self._components(f)
        b = tf.split(f, 2, axis=-1)[1][:, tf.newaxis]
        curvatures = (_average(r, c) for c in _curvatures(b, means, variances))
        within = _form(tangents, *curvatures)
        gradients = tf.concat([means, -2.0 * b * (tf.square(means) + variances)], axis=-1)
        slopes = tf.matmul(gradients, tf.transpose(tangents, (1, 2, 0)))  # (batch, K, P)
        deviations = slopes - _average(r, slopes)[:, tf.newaxis]
        between = _average(r, tf.square(deviations))
        return within + tf.reduce_sum(between, axis=1)

    def _log_joint(self, f: tf.Tensor) -> tf.Tensor:
        """The terms log πₖ + A(λₖ + t) − A(λₖ), (batch, K)."""
        a, b = tf.split(tf.expand_dims(f, 1), 2, axis=-1)
        mean, precision = self.prior.means(), self.prior.precisions()
        doubled = 2.0 * tf.square(b)
        quadratic = tf.square(a) + precision * mean * (2.0 * a - mean * doubled)
        terms = quadratic / (precision + doubled) - tf.math.log1p(doubled / precision)
        return self.prior.log_weights() + 0.5 * tf.reduce_sum(terms, axis=-1)

    def _components(self, f: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of the hidden variables given x and the component, (batch, K, m)."""
        a, b = tf.split(tf.expand_dims(f, 1), 2, axis=-1)
        precision = self.prior.precisions()
        variance = 1.0 / (precision + 2.0 * tf.square(b))
        return (precision * self.prior.means() + a) * variance, variance


def _curvatures(b: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """∂²A/∂a², ∂²A/∂a∂b and ∂²A/∂b² at a normal density's mean and variance."""
    squared = tf.square(mean)
    by_b = 8.0 * tf.square(b) * variance * (2.0 * squared + variance) - 2.0 * (squared + variance)
    return variance, -4.0 * mean * b * variance, by_b


def _form(tangents: tf.Tensor, aa: tf.Tensor, ab: tf.Tensor, bb: tf.Tensor) -> tf.Tensor:
    """Σ over pairs of aa Σt_a² + 2ab Σt_a t_b + bb Σt_b², (batch,)."""
    t_a, t_b = tf.split(tangents, 2, axis=-1)
    products = (tf.square(t_a), 2.0 * t_a * t_b, tf.square(t_b))
    sums = [tf.reduce_sum(product, axis=0) for product in products]
    return sum_per_example(aa * sums[0] + ab * sums[1] + bb * sums[2])


def _average(weights: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Σₖ wₖvₖ, (batch, K) and (batch, K, m) to (batch, m)."""
    return tf.reduce_sum(weights[..., tf.newaxis] * values, axis=1)
