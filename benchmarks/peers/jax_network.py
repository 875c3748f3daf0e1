"""The network's potential ½‖f(x)‖² in JAX, written so that folx has a rule for each operation."""

from typing import Any

import folx
import jax
import jax.numpy as jnp
from folx.api import FunctionFlags


@jax.jit
def rectifier(x: jax.Array) -> jax.Array:
    """The ReLU, under a name of its own: folx looks up functions by their name."""
    return jax.nn.relu(x)


def register_with_folx() -> None:
    """Tell folx that the ReLU is elementwise and piecewise linear.

    Without this folx takes it for an unknown function of all values: the result is the same, but
    the Jacobian becomes dense, and a step many times slower.
    """
    rule = folx.wrap_forward_laplacian(jax.nn.relu, in_axes=(), flags=FunctionFlags.LINEAR)
    folx.register_function("rectifier", rule)


def potential(layers: Any, x: jax.Array, sparse: bool) -> jax.Array:
    """½‖f(x)‖² of one example.

    Args:
        layers: dictionaries of `kernel` and `bias`.
        x: (height, width, channels) or (d,).
        sparse: choose the form of the convolution for sparse Jacobians.
    """
    convolution = sum_of_products if sparse else product
    for layer in layers:
        kernel, bias = layer["kernel"], layer["bias"]
        x = convolution(x, kernel) if kernel.ndim == 4 else x.reshape(-1) @ kernel
        x = rectifier(x + bias)
    return 0.5 * jnp.sum(jnp.square(x))


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution with padding "same", as one product of the image's patches and the filters.

    folx has no rule for JAX's own convolution, and on a CPU this form is also the faster one.
    """
    patches = jnp.concatenate(shifted_images(x, kernel), axis=-1)
    return patches @ kernel.reshape(-1, kernel.shape[-1])


def sum_of_products(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The same convolution, as a sum of one product for each position in the filters.

    The values that enter one product stem from one pixel and so depend on the same inputs, and
    folx can multiply their sparse Jacobians as they are. In `product` it has to align them first.
    """
    patches = jnp.stack(shifted_images(x, kernel))
    weights = kernel.reshape(-1, *kernel.shape[2:])
    return jnp.sum(jnp.einsum("phwc,pcf->phwf", patches, weights), axis=0)


def shifted_images(x: jax.Array, kernel: jax.Array) -> list[jax.Array]:
    """For each position in the filters, the image of the pixels that meet it."""
    height, width = x.shape[:2]
    rows, columns = kernel.shape[:2]
    margins = [((size - 1) // 2, size // 2) for size in (rows, columns)]
    padded = jnp.pad(x, (*margins, (0, 0)))
    return [padded[i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
