"""Traces from Hessian-vector products: exact with basis probes, an estimate with random ones.

For probe directions v, tr H = E[vᵀHv] whenever E[vvᵀ] = I, and exactly Σᵢ eᵢᵀHeᵢ over the basis.
Each vᵀHv is a forward-over-reverse derivative, so any network that Keras can run will do. Cost per
probe: about four forward passes, and the backward pass of that for the weights.
"""

import math

import keras
import tensorflow as tf

from delvm_tf.curvature.curvature import Curvature, Potential, sum_per_example

PROBES_PER_PASS = 16


def basis(potential: Potential, x: tf.Tensor) -> Curvature:
    """The exact trace from the d basis vectors; any network, d passes. Memory grows with d.

    Args:
        potential: the function to differentiate, (batch, ...) to (batch,).
        x: inputs, (batch, ...), of known shape but for the batch.
    """
    shape = x.shape[1:]
    d = math.prod(shape)
    with tf.GradientTape() as tape:
        tape.watch(x)
        u = potential(x)
    gradient = tape.gradient(u, x)

    passes = math.ceil(d / PROBES_PER_PASS)
    probes = tf.eye(passes * PROBES_PER_PASS, d, dtype=x.dtype)  # rows past d are zero: no effect
    probes = tf.reshape(probes, (passes, PROBES_PER_PASS, 1, *shape))
    laplacians = tf.map_fn(
        lambda v: _quadratic_forms(potential, x, v)[1],
        probes,
        fn_output_signature=tf.TensorSpec((None,), x.dtype),
    )
    return Curvature(gradient, tf.reduce_sum(laplacians, axis=0))


def hutchinson(
    potential: Potential, x: tf.Tensor, seed: keras.random.SeedGenerator, probes: int = 1
) -> Curvature:
    """Hutchinson's unbiased estimate of the trace, from random signs for each example.

    Args:
        potential: the function to differentiate, (batch, ...) to (batch,).
        x: inputs, (batch, ...).
        seed: source of the random signs.
        probes: number of directions averaged for each example; the variance, which is
            2(‖H‖² − Σᵢ Hᵢᵢ²) for one, falls as 1/probes.
    """
    shape = tf.concat([[probes], tf.shape(x)], axis=0)
    bits = tf.random.stateless_uniform(
        shape, seed=tf.cast(seed.next(), tf.int32), maxval=2, dtype=tf.int32
    )
    signs = tf.ensure_shape(tf.cast(2 * bits - 1, x.dtype), (probes, *x.shape))
    gradient, total = _quadratic_forms(potential, x, signs)
    return Curvature(gradient, total / probes)


def _quadratic_forms(
    potential: Potential, x: tf.Tensor, probes: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradient at x, and Σ vᵀHv over probes of shape (probes, batch or 1, ...)."""
    count = probes.shape[0]
    repeated = tf.repeat(x[tf.newaxis], count, axis=0)
    stacked_shape = tf.concat([[-1], tf.shape(x)[1:]], axis=0)
    x_stacked = tf.ensure_shape(tf.reshape(repeated, stacked_shape), (None, *x.shape[1:]))
    v_stacked = tf.ensure_shape(
        tf.reshape(tf.broadcast_to(probes, tf.shape(repeated)), stacked_shape),
        (None, *x.shape[1:]),
    )
    with tf.autodiff.ForwardAccumulator(x_stacked, v_stacked) as forward:
        with tf.GradientTape() as tape:
            tape.watch(x_stacked)
            u = potential(x_stacked)
        gradient = tape.gradient(u, x_stacked)
    hessian_v = forward.jvp(gradient, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    forms = tf.reshape(sum_per_example(v_stacked * hessian_v), (count, -1))
    return gradient[: tf.shape(x)[0]], tf.reduce_sum(forms, axis=0)
