"""Traces from probe directions, exact or estimated.

Graphs of layers take collapsed Taylor propagation, at the price of one forward pass a probe; any
other function takes forward-over-reverse derivatives, at about four.
"""

import tensorflow as tf
from keras.random import SeedGenerator

from delvm_tf.curvature import rules as _rules  # noqa: F401  (registers the rules)
from delvm_tf.curvature.chunks import chunk_sizes, either, read_weights, sum_in_chunks
from delvm_tf.curvature.cost import bytes_per_probe
from delvm_tf.curvature.curvature import (
    Curvature,
    Potential,
    PotentialFunction,
    output_and_value,
)
from delvm_tf.curvature.differentiability import require_differentiable_gradient
from delvm_tf.curvature.graph import is_graph
from delvm_tf.curvature.probes import Noise, Probes
from delvm_tf.curvature.sums import for_each_probe, sum_over_probes, sum_per_example
from delvm_tf.curvature.taylor import TaylorJet, propagate

GIBIBYTE = 2**30


def trace_by_probes(
    potential: PotentialFunction,
    x: tf.Tensor,
    probes: Probes,
    seed: SeedGenerator,
    memory_budget: float,
) -> Curvature:
    """Gradient, and Laplacian from Σ_c v_cᵀ∇²u v_c, in bounded memory.

    All probes at once if they fit; otherwise in chunks that are computed again for the gradient in
    the weights, at 4/3 of the multiplications.

    Args:
        potential: the function to differentiate, (batch, ...) to (batch,).
        x: inputs, (batch, ...), of known shape except for the batch.
        probes: the directions.
        seed: source of random ones.
        memory_budget: GiB for the derivatives along the probes.
    """
    noise = probes.draw(x, seed)

    def all_at_once() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        directions = probes.take(0, probes.count, noise, x.dtype)
        return tuple(quadratic_forms(potential, x, directions))

    budget = int(memory_budget * GIBIBYTE)
    per_probe = bytes_per_probe(potential, x)
    batch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    weights = read_weights(potential) if isinstance(potential, Potential) else None
    sizes = chunk_sizes(batch, probes.count, per_probe, budget)

    def in_chunks() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        def forms(x_part: tf.Tensor, noise_part: Noise, start: tf.Tensor) -> tf.Tensor:
            directions = probes.take(start, sizes.probes, noise_part, x.dtype)
            return quadratic_forms(potential, x_part, directions).laplacian

        output, gradient = output_and_gradient(potential, x)
        return output, gradient, sum_in_chunks(forms, x, noise, sizes, weights)

    if probes.count == 1:
        return Curvature(*all_at_once())
    return Curvature(*either(sizes, batch, weights, all_at_once, in_chunks))


def output_and_gradient(potential: PotentialFunction, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The network's output f(x), or u(x) for another function, and ∇u(x)."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        output, u = output_and_value(potential, x)
    return output, tape.gradient(u, x)


def quadratic_forms(potential: PotentialFunction, x: tf.Tensor, probes: tf.Tensor) -> Curvature:
    """Output, gradient, and Σ_c v_cᵀ∇²u v_c as the Laplacian, for all probes at once.

    Args:
        potential: the function to differentiate.
        x: inputs, (batch, ...).
        probes: directions v_c, (P, batch or 1, ...).
    """
    if isinstance(potential, Potential) and is_graph(potential.network):
        return _propagated_forms(potential, x, probes)
    return _differentiated_forms(potential, x, probes)


def _propagated_forms(potential: Potential, x: tf.Tensor, probes: tf.Tensor) -> Curvature:
    """By collapsed Taylor propagation; see `delvm_tf.curvature.taylor`."""
    outer = potential.outer
    with tf.GradientTape() as tape:
        tape.watch(x)
        jet, curved = propagate(potential.network, TaylorJet(x, probes))
    values = [node.value for node in curved]
    gradient, *adjoints = tape.gradient(
        jet.value,
        [x, *values],
        output_gradients=outer.gradient(jet.value),
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    laplacian = outer.quadratic_form(jet.value, jet.tangents)
    for node, adjoint in zip(curved, adjoints, strict=True):
        laplacian += sum_per_example(adjoint * node.second)
    return Curvature(jet.value, gradient, laplacian)


def _differentiated_forms(
    potential: PotentialFunction, x: tf.Tensor, probes: tf.Tensor
) -> Curvature:
    """By forward-over-reverse differentiation, for any function."""
    spec = tf.TensorSpec((None, *x.shape[1:]), x.dtype)
    require_differentiable_gradient("a trace", potential, [spec])
    count, batch = tf.shape(probes)[0], tf.shape(x)[0]
    at, v = (for_each_probe(t, count, batch) for t in (x[tf.newaxis], probes))
    with tf.autodiff.ForwardAccumulator(at, v) as forward:
        output, gradient = output_and_gradient(potential, at)
    hessian_v = forward.jvp(gradient, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    forms = sum_over_probes(sum_per_example(v * hessian_v), count, batch)
    return Curvature(output[:batch], gradient[:batch], forms)
