"""Factorial distributions over binary variables."""

import tensorflow as tf

from delvm_tf.curvature.sums import sum_per_example


def entropy(logits: tf.Tensor) -> tf.Tensor:
    """Entropy Σ softplus(a) − aσ(a) of independent bits with P(h=1) = σ(a), (batch,)."""
    return sum_per_example(tf.nn.softplus(logits) - logits * tf.sigmoid(logits))


def variance(mean: tf.Tensor) -> tf.Tensor:
    """Variance μ(1 − μ) of a bit of mean μ."""
    return mean * (1.0 - mean)


def softplus_bound(mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """An upper bound on E[softplus(a)] from the mean m and variance v of a, elementwise.

    E[softplus(a)] = m/2 + E[log 2cosh(a/2)] ≤ m/2 + log 2cosh(ξ/2) with ξ² = m² + v, because
    log 2cosh(√s/2) is concave in s = a². Equal where v = 0.

    Source: Jaakkola and Jordan (2000), Bayesian parameter estimation via variational methods.
    """
    # The square root has no slope at 0; the tiny addition keeps the bound one.
    tiny = mean.dtype.as_numpy_dtype(1e-12)
    xi = tf.sqrt(tf.square(mean) + variance + tiny)
    return 0.5 * (mean - xi) + tf.nn.softplus(xi)
