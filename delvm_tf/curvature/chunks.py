"""Sums over many probes in bounded memory, in chunks that are computed again for gradients.

A sum over P probes for a batch of n is split into chunks of examples and probes. Forward, only the
sum of each chunk is kept; backward, each is computed again with its own gradient tape. Memory is
that of one chunk, at 4/3 of the multiplications.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

ChunkFunction = Callable[[tf.Tensor, Any, tf.Tensor], tf.Tensor]


class ChunkSizes(NamedTuple):
    """How a sum over probes for a batch is split.

    Attributes:
        examples: examples in a chunk; an integer or a scalar tensor.
        probes: probes in a chunk.
        number: probes in all.
    """

    examples: Any
    probes: int
    number: int

    @property
    def probe_chunks(self) -> int:
        """Chunks of the probes of one example."""
        return -(-self.number // self.probes)


def chunk_sizes(
    batch: int | tf.Tensor, count: int, bytes_per_probe: int, budget: int
) -> ChunkSizes:
    """Chunks of nearly equal size within a memory budget: examples first, then probes.

    Args:
        batch: number of examples.
        count: number of probes.
        bytes_per_probe: memory of one probe of one example.
        budget: bytes in all; at least one probe of one example is taken.
    """
    pairs = max(1, budget // bytes_per_probe)
    probe_chunks = -(-count // pairs)
    probes = -(-count // probe_chunks)
    most = max(1, pairs // probes)
    example_chunks = -(-batch // most)
    maximum = max if isinstance(batch, int) else tf.maximum
    return ChunkSizes(-(-batch // maximum(example_chunks, 1)), probes, count)


class Weights(NamedTuple):
    """Variables and their values, read before the chunks are computed.

    Chunks are computed again in the gradient of a branch, where TensorFlow cannot read variables.
    """

    variables: list[Any]
    values: list[tf.Tensor]


def read_weights(owner: Any) -> Weights:
    """All floating-point variables of a network or potential, and their values."""
    variables = [v for v in owner.variables if "float" in str(v.dtype)]
    return Weights(variables, [tf.convert_to_tensor(v.value) for v in variables])


def either(
    sizes: ChunkSizes,
    batch: int | tf.Tensor,
    weights: Weights | None,
    all_at_once: Callable[[], Any],
    in_chunks: Callable[[], Any],
) -> Any:
    """The first computation if everything fits into one chunk, else the second.

    Decided while the graph is built if the batch is known, and otherwise when it runs; for the
    latter the `weights` that the computation reads must be known, or it is done in chunks.
    """
    if sizes.number == 1:
        return all_at_once()
    if sizes.probe_chunks > 1:
        return in_chunks()
    if isinstance(batch, int):
        return all_at_once() if sizes.examples >= batch else in_chunks()
    if weights is None:
        return in_chunks()
    return tf.cond(sizes.examples >= batch, all_at_once, in_chunks)


def sum_in_chunks(
    function: ChunkFunction,
    x: tf.Tensor,
    noise: tf.Tensor | None,
    sizes: ChunkSizes,
    weights: Weights | None = None,
) -> tf.Tensor:
    """Σ over chunks of probes of `function(x, noise, start)`, shape (batch,).

    Differentiable once, in x and in all variables that the function reads.

    Args:
        function: takes some examples, their noise and the index of a chunk's first probe, and
            returns the chunk's sum for each example.
        x: inputs, (batch, ...).
        noise: random numbers of the probes, (draws, batch, ...), or None.
        sizes: how to split.
        weights: variables that the function reads; needed inside a branch of the graph.
    """
    known = Weights([], []) if weights is None else weights
    batch = tf.shape(x)[0]
    chunks = -(-batch // sizes.examples)
    padding = chunks * sizes.examples - batch

    def split(t: tf.Tensor) -> tf.Tensor:
        return _split(t, padding, chunks, sizes.examples)

    def joined(t: tf.Tensor) -> tf.Tensor:
        return tf.reshape(t, tf.concat([[-1], tf.shape(t)[2:]], axis=0))[:batch]

    split_noise = None
    if noise is not None:  # (draws, batch, ...) to (chunks, examples, draws, ...)
        order = [1, 0, *range(2, noise.shape.rank)]
        split_noise = split(tf.transpose(noise, order))

    def part(x_part: tf.Tensor, values: Any, step: tf.Tensor) -> tf.Tensor:
        noise_part = None
        if split_noise is not None:
            noise_part = tf.transpose(split_noise[step // sizes.probe_chunks], order)
        start = step % sizes.probe_chunks * sizes.probes
        with keras.StatelessScope(state_mapping=zip(known.variables, values, strict=True)):
            return function(x_part, noise_part, start)

    def loop(body: Callable[..., Any], *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        steps = chunks * sizes.probe_chunks
        return tf.while_loop(
            lambda step, *_: step < steps,
            lambda step, *values: (step + 1, *body(step, *values)),
            (0, *state),
            parallel_iterations=1,
        )[1:]

    # Splitting and joining belong inside: XLA cannot differentiate slices of unknown length.
    @tf.custom_gradient
    def total(x: tf.Tensor, *values: tf.Tensor) -> Any:
        split_x = split(x)

        def add(step: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor]:
            i = step // sizes.probe_chunks
            return (tf.tensor_scatter_nd_add(sums, [[i]], [part(split_x[i], values, step)]),)

        (sums,) = loop(add, tf.zeros((chunks, sizes.examples), x.dtype))

        def gradient(upstream: tf.Tensor, variables: Any = ()) -> Any:
            sources = [*values, *variables]
            split_upstream = split(upstream)

            def add_gradients(step: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
                i = step // sizes.probe_chunks
                x_part = split_x[i]
                with tf.GradientTape() as tape:
                    tape.watch([x_part, *values])
                    value = part(x_part, values, step)
                by_x, *by_sources = tape.gradient(
                    value,
                    [x_part, *sources],
                    output_gradients=split_upstream[i],
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )
                return (
                    tf.tensor_scatter_nd_add(sums[0], [[i]], [by_x]),
                    *(s + g for s, g in zip(sums[1:], by_sources, strict=True)),
                )

            by_x, *by_sources = loop(
                add_gradients,
                tf.zeros_like(split_x),
                *(tf.zeros(s.shape, s.dtype) for s in sources),
            )
            by_arguments = (joined(by_x), *by_sources[: len(values)])
            return (by_arguments, by_sources[len(values) :]) if variables else by_arguments

        return joined(sums), gradient

    return total(x, *known.values)


def _split(t: tf.Tensor, padding: Any, chunks: Any, examples: Any) -> tf.Tensor:
    """(batch, ...) to (chunks, examples, ...), filled up with zeros."""
    rest = t.shape[1:]
    padded = tf.pad(t, [[0, padding], *([[0, 0]] * len(rest))])
    return tf.ensure_shape(
        tf.reshape(padded, tf.concat([[chunks, examples], tf.shape(t)[1:]], axis=0)),
        (None, None, *rest),
    )
