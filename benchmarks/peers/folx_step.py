"""Time a step of exact score matching in JAX: folx's forward Laplacian, or the Hessian's trace.

    pip install jax folx==0.2.30
    python folx_step.py --network network.npz

folx carries Jacobian and Laplacian forward through the network. With `--sparsity` it stores of the
Jacobian only what the network's connections leave non-zero: few entries after small filters.
"""

import argparse
import functools
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import folx
import jax
import jax.numpy as jnp
import jax_network
import protocol

METHODS = ("folx", "jax-hessian-trace")
# The gradient and the Laplacian of a potential at one example
Derivatives = Callable[[Callable[[jax.Array], jax.Array], jax.Array], tuple[jax.Array, jax.Array]]


def forward_laplacian(
    potential: Callable[[jax.Array], jax.Array], x: jax.Array, sparsity: float
) -> tuple[jax.Array, jax.Array]:
    """The potential's gradient and Laplacian by folx."""
    result = folx.forward_laplacian(potential, sparsity_threshold=sparsity)(x)
    return result.jacobian.dense_array.reshape(x.shape), result.laplacian


def hessian_trace(
    potential: Callable[[jax.Array], jax.Array], x: jax.Array, directions: int
) -> tuple[jax.Array, jax.Array]:
    """The potential's gradient and Laplacian, forward over reverse along the basis."""
    gradient, hessian_product = jax.linearize(jax.grad(potential), x)

    @jax.checkpoint
    def curvature(direction: jax.Array) -> jax.Array:
        return jnp.vdot(direction, hessian_product(direction))

    basis = jnp.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)
    return gradient, jnp.sum(jax.lax.map(curvature, basis, batch_size=directions))


def score_matching(
    layers: Any, x: jax.Array, derivatives: Derivatives, sparse: bool, at_once: int
) -> jax.Array:
    """The loss that `protocol` defines."""

    @jax.checkpoint
    def loss(example: jax.Array) -> jax.Array:
        potential = functools.partial(jax_network.potential, layers, sparse=sparse)
        gradient, laplacian = derivatives(potential, example)
        return 0.5 * jnp.sum(jnp.square(example - gradient)) - example.size + laplacian

    return jnp.mean(folx.batched_vmap(loss, at_once)(x))


def adam(layers: Any, gradient: Any, moments: Any, count: jax.Array) -> tuple[Any, Any]:
    """Adam's update, written out so that no further library is needed."""
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], gradient)
    rate = protocol.LEARNING_RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    updated = jax.tree.map(
        lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8), layers, first, second
    )
    return updated, (first, second)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = protocol.parser(__doc__.splitlines()[0], METHODS)
    parser.add_argument(
        "--sparsity",
        type=float,
        default=0.6,
        help="folx's sparsity_threshold: the most entries of a sparse row of the Jacobian; below "
        "1 a fraction of the inputs, 0 makes the Jacobian dense (default: %(default)s)",
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=1,
        help="examples at once; the others wait, as folx advises for memory (default: 1)",
    )
    parser.add_argument(
        "--directions",
        type=int,
        default=28,
        help="jax-hessian-trace: directions of the basis at once (default: %(default)s)",
    )
    return parser.parse_args()


def main() -> None:
    """Build the step, time it and print the answer."""
    args = arguments()
    protocol.limit_threads(args.threads)
    arrays, layers = protocol.load(args.network, args.batch_size)
    x = jnp.asarray(arrays)
    derivatives: Derivatives = functools.partial(hessian_trace, directions=args.directions)
    answer = {"library": f"jax {version('jax')}"}
    sparse = args.method == "folx" and args.sparsity > 0
    if args.method == "folx":
        jax_network.register_with_folx()
        derivatives = functools.partial(forward_laplacian, sparsity=args.sparsity)
        answer = {"library": f"folx {version('folx')}", "sparsity_threshold": args.sparsity}

    @jax.jit
    def update(layers: Any, moments: Any, count: jax.Array) -> tuple[jax.Array, Any, Any]:
        loss, gradient = jax.value_and_grad(score_matching)(
            layers, x, derivatives, sparse, args.at_once
        )
        return loss, *adam(layers, gradient, moments, count)

    weights = jax.tree.map(jnp.asarray, layers)
    moments = (jax.tree.map(jnp.zeros_like, weights),) * 2
    count = 0

    def step() -> float:
        nonlocal weights, moments, count
        count += 1
        loss, weights, moments = jax.block_until_ready(update(weights, moments, float(count)))
        return float(loss)

    protocol.run(step, args, len(x), **answer)


if __name__ == "__main__":
    main()
