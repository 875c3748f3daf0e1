"""Traces from probe directions: exact with basis probes, an estimate with random ones.

For probe directions v, tr H = E[vᵀHv] whenever E[vvᵀ] = I, and exactly Σᵢ eᵢᵀHeᵢ over the basis.
Networks that are graphs of layers take collapsed Taylor propagation, at the price of one forward
pass a probe; any other function takes forward-over-reverse derivatives, at about four.
"""

import math
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.curvature import rules as _rules  # noqa: F401  (registers the rules)
from delvm_tf.curvature.curvature import Curvature, Potential, sum_per_example
from delvm_tf.curvature.graph import is_graph, layer_nodes
from delvm_tf.curvature.jets import multiply
from delvm_tf.curvature.outer import ElementwiseOuter
from delvm_tf.curvature.taylor import TaylorJet, propagate

MIN_PROBES_PER_PASS = 16
VALUES_PER_PASS = 2**18  # probes times values of the widest layer, for one example


def basis(potential: Potential, x: tf.Tensor) -> Curvature:
    """The exact trace from the d basis vectors. Memory for the weights' gradient grows with d.

    Args:
        potential: the function to differentiate, (batch, ...) to (batch,).
        x: inputs, (batch, ...), of known shape but for the batch.
    """
    shape = x.shape[1:]
    d = math.prod(shape)
    per_pass = min(d, max(MIN_PROBES_PER_PASS, VALUES_PER_PASS // _widest(potential, d)))
    passes = math.ceil(d / per_pass)
    probes = tf.eye(passes * per_pass, d, dtype=x.dtype)  # rows past d are zero: no effect
    probes = tf.reshape(probes, (passes, per_pass, 1, *shape))
    if passes == 1:
        return Curvature(*_quadratic_forms(potential, x, probes[0]))
    with tf.GradientTape() as tape:
        tape.watch(x)
        u = potential(x)
    gradient = tape.gradient(u, x)
    laplacians = tf.map_fn(
        lambda v: _quadratic_forms(potential, x, v)[1],
        probes,
        fn_output_signature=tf.TensorSpec((None,), x.dtype),
    )
    return Curvature(gradient, tf.reduce_sum(laplacians, axis=0))


def _widest(potential: Any, d: int) -> int:
    """Values of the widest layer of a potential's network."""
    if not _is_propagated(potential):
        return VALUES_PER_PASS
    sizes = [math.prod(tensor.shape[1:]) for _, _, tensor in layer_nodes(potential.network)]
    return max([d, *sizes])


def _is_propagated(potential: Any) -> bool:
    return (
        isinstance(potential, Potential)
        and isinstance(potential.outer, ElementwiseOuter)
        and is_graph(potential.network)
    )


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
    potential: Any, x: tf.Tensor, probes: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradient at x, and Σ vᵀHv over probes of shape (probes, batch or 1, ...)."""
    if _is_propagated(potential):
        return _propagated_forms(potential.network, potential.outer, x, probes)
    return _differentiated_forms(potential, x, probes)


def _propagated_forms(
    network: Any, outer: ElementwiseOuter, x: tf.Tensor, probes: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """By collapsed Taylor propagation; the outer function is its last, elementwise layer."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        jet = propagate(network, TaylorJet(x, probes, 0.0))
        u = outer(jet.value)
    gamma = outer.jet(jet.value)
    squares = tf.reduce_sum(tf.square(jet.tangents), axis=0)
    forms = multiply(gamma.second, squares) + multiply(gamma.first, jet.second)
    # Without any nonlinearity the tangents may still be the same for all examples.
    forms = tf.broadcast_to(forms, tf.shape(jet.value))
    return tape.gradient(u, x), sum_per_example(forms)


def _differentiated_forms(
    potential: Any, x: tf.Tensor, probes: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """By forward-over-reverse differentiation, for any function."""
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
