"""Noise levels: ladders of them, and the level that suits a batch."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.samplers.annealed import decreasing_levels
from delvm_tf.samplers.sampler import positive

COINCIDE = 32  # in units of rounding: squared distances below count as none


def noise_ladder(sigma: Any, smallest: float | None, levels: int | None) -> tuple[float, ...]:
    """Noise levels from the largest to the smallest: one, those given, or a geometric ladder.

    Args:
        sigma: the level, a decreasing sequence of levels, or the largest of a ladder.
        smallest: the smallest of a ladder.
        levels: how many the ladder has.

    Raises:
        TypeError: if sigma is neither a number nor a sequence of numbers.
        ValueError: if a level is not positive, they do not decrease, or only part of a ladder is
            given.
    """
    sigma = sigma.item() if hasattr(sigma, "item") and np.ndim(sigma) == 0 else sigma
    is_number = isinstance(sigma, int | float)
    if smallest is None and levels is None:
        return (positive("sigma", sigma),) if is_number else decreasing_levels("sigma", sigma)
    if smallest is None or levels is None or not is_number:
        raise ValueError(
            f"a ladder takes sigma (one number, the largest level), smallest and levels together, "
            f"got sigma={sigma!r}, smallest={smallest!r}, levels={levels!r}"
        )
    if isinstance(levels, bool) or not isinstance(levels, int) or levels < 2:
        raise ValueError(f"levels must be an integer of two or more, got {levels!r}")
    ends = positive("sigma", sigma), positive("smallest", smallest)
    if ends[0] <= ends[1]:
        raise ValueError(f"smallest must be less than sigma={sigma!r}, got {smallest!r}")
    return tuple(float(level) for level in np.geomspace(*ends, levels))


def drawn_levels(
    ladder: tuple[float, ...], continuous: bool, z: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Log σ of each example, (batch,): a level of the ladder, or log-uniform between its ends.

    Those of a batch are spread evenly, for less variance.

    Args:
        ladder: levels from the largest to the smallest.
        continuous: whether any level between them may be drawn.
        z: examples, (batch, ...).
        seed: of the draw.
    """
    u = noise.spread(tf.shape(z)[0], seed, z.dtype)
    if continuous:
        first, last = math.log(ladder[0]), math.log(ladder[-1])
        return first + (last - first) * u
    index = tf.minimum(tf.cast(u * len(ladder), tf.int32), len(ladder) - 1)
    return tf.gather(tf.constant([math.log(level) for level in ladder], z.dtype), index)


def levels_around(
    ladder: tuple[float, ...], typical: float, spread: float, z: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Log σ of each example, (batch,): normal around log `typical`, between the ends of the ladder.

    Those of a batch are spread evenly over its quantiles, for less variance.

    Source: Karras et al. (2022), Elucidating the design space of diffusion-based generative models,
    for the normal distribution.

    Args:
        ladder: levels from the largest to the smallest.
        typical: e to the mean of log σ.
        spread: the standard deviation of log σ.
        z: examples, (batch, ...).
        seed: of the draw.
    """
    u = noise.spread(tf.shape(z)[0], seed, z.dtype)
    middle = math.log(typical)
    ends = [(math.log(level) - middle) / spread for level in (ladder[-1], ladder[0])]
    low, high = (0.5 * math.erfc(-end / math.sqrt(2)) for end in ends)
    quantile = tf.math.ndtri(low + (high - low) * u)
    return middle + spread * tf.clip_by_value(quantile, *ends)


def leave_one_out_loss(z: tf.Tensor, log_sigma: tf.Tensor) -> tf.Tensor:
    """Minus the leave-one-out log-likelihood of a Parzen window, per value, (batch,).

    −(1/d) log (1/|N_i|) Σ_{j∈N_i} N(z_i; z_j, σ²I), with N_i all other examples of the batch, of
    all replicas; those that coincide with z_i count as z_i itself, as they would drive σ to 0. An
    example without others has the loss 0. Differentiable in log σ alone.

    Source: Duin (1976), On the choice of smoothing parameters for Parzen estimators.

    Args:
        z: examples, (batch, ...).
        log_sigma: log σ, a scalar.
    """
    d = math.prod(z.shape[1:])
    own = tf.reshape(tf.stop_gradient(z), (-1, d))
    others = _of_all_replicas(own)
    center = tf.reduce_mean(others, axis=0)
    own, others = own - center, others - center
    norms = tf.reduce_sum(tf.square(own), axis=1)[:, tf.newaxis] + tf.reduce_sum(
        tf.square(others), axis=1
    )
    squared = norms - 2 * tf.matmul(own, others, transpose_b=True)
    apart = squared > COINCIDE * np.finfo(z.dtype.as_numpy_dtype).eps * norms
    nothing = tf.constant(z.dtype.min / 2, z.dtype)
    exponents = tf.where(apart, -0.5 * squared * tf.exp(-2 * log_sigma), nothing)
    neighbours = tf.reduce_sum(tf.cast(apart, z.dtype), axis=1)
    log_likelihood = (
        tf.reduce_logsumexp(exponents, axis=1)
        - tf.math.log(tf.maximum(neighbours, 1.0))
        - d * (log_sigma + 0.5 * math.log(2 * math.pi))
    )
    return tf.where(neighbours > 0, -log_likelihood / d, tf.zeros_like(neighbours))


def require_pairs(z: tf.Tensor) -> tf.Tensor:
    """A batch of two examples or more, over all replicas.

    Raises:
        ValueError: for a batch that is known to hold one example.
        tf.errors.InvalidArgumentError: for a batch that turns out to, when a graph runs.
    """
    message = (
        "learned=True takes the noise level from the distances between the examples of a batch, "
        "but this batch holds a single one; use batches of two or more, and drop or enlarge a last "
        "batch of one (batch_size, drop_remainder=True)"
    )
    context = tf.distribute.get_replica_context()
    alone = context is None or context.num_replicas_in_sync == 1
    if alone and z.shape[0] == 1:
        raise ValueError(message)
    total = tf.shape(_of_all_replicas(tf.reshape(z, (tf.shape(z)[0], -1))[:, :1]))[0]
    with tf.control_dependencies([tf.debugging.assert_greater(total, 1, message=message)]):
        return tf.identity(z)


def _of_all_replicas(rows: tf.Tensor) -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return rows
    return context.all_gather(rows, axis=0)
