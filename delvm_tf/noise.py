"""Random numbers of a batch, the same however many replicas share it.

Each replica draws the numbers of the global batch and takes its own part, so that training on
several devices equals training on one. The `Share` in use says which part; without one all replicas
have equally many rows. All is stateless: the same seed gives the same numbers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from delvm_tf.distribution import shares

__all__ = ["bernoulli", "fold", "next_seed", "normal", "signs", "spread", "uniform"]

Shape = Any  # a tensor, or a sequence of integers and scalar tensors


class RowSeeds(NamedTuple):
    """A seed of each row, so that what is drawn for it does not depend on its batch.

    Stands for the seed in `fold`, `normal`, `uniform` and `signs`. Cost: an operation for each row
    at each draw.

    Attributes:
        seed: of all rows, (2,).
        rows: the number of each row, (rows,), int32.
        repeats: places of the batch that each row has, one after another, all with numbers of their
            own: (rows · repeats, ...) is what is drawn.
    """

    seed: tf.Tensor
    rows: tf.Tensor
    repeats: int = 1


Seed = Any  # a tensor, (2,), or `RowSeeds`


def next_seed(generator: keras.random.SeedGenerator) -> tf.Tensor:
    """The generator's next seed, (2,)."""
    return tf.cast(generator.next(), tf.int32)


def fold(seed: Seed, number: Any) -> Seed:
    """The seed of one step or part, from that of the whole."""
    if isinstance(seed, RowSeeds):
        return seed._replace(seed=fold(seed.seed, number))
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(number, tf.int32))


def normal(shape: Shape, seed: Seed, dtype: Any = tf.float32, batch_axis: int = 0) -> tf.Tensor:
    """Standard normal numbers."""

    def draw(s: Shape, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_normal(s, seed, dtype=dtype)

    return _drawn(draw, shape, seed, dtype, batch_axis)


def uniform(shape: Shape, seed: Seed, dtype: Any = tf.float32) -> tf.Tensor:
    """Uniform numbers in [0, 1)."""

    def draw(s: Shape, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform(s, seed, dtype=dtype)

    return _drawn(draw, shape, seed, dtype, 0)


def spread(rows: Any, seed: tf.Tensor, dtype: Any = tf.float32) -> tf.Tensor:
    """Numbers in [0, 1), (rows,), each uniform, which together are evenly spaced in the batch."""

    def draw(s: tf.Tensor) -> tf.Tensor:
        first = tf.random.stateless_uniform((), seed, dtype=dtype)
        return tf.math.floormod(first + tf.range(s[0], dtype=dtype) / tf.cast(s[0], dtype), 1)

    return _share(draw, [rows], 0)


def bernoulli(probability: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Zeros and ones, one with the given probabilities, (batch, ...), in their type."""
    u = uniform(tf.shape(probability), seed, probability.dtype)
    return tf.cast(u < probability, probability.dtype)


def signs(shape: Shape, seed: Seed, dtype: Any = tf.float32, batch_axis: int = 0) -> tf.Tensor:
    """Independent ±1."""

    def draw(s: Shape, seed: tf.Tensor) -> tf.Tensor:
        bits = tf.random.stateless_uniform(s, seed, maxval=2, dtype=tf.int32)
        return tf.cast(2 * bits - 1, dtype)

    return _drawn(draw, shape, seed, dtype, batch_axis)


def _drawn(
    draw: Callable[[Shape, tf.Tensor], tf.Tensor],
    shape: Shape,
    seed: Seed,
    dtype: Any,
    batch_axis: int,
) -> tf.Tensor:
    """What is drawn for a shape: of all rows together, or row by row from the seed of each."""
    if not isinstance(seed, RowSeeds):
        return _share(lambda s: draw(s, seed), shape, batch_axis)
    first = tf.random.stateless_uniform((), seed.seed, None, None, tf.int32)
    shape = tf.convert_to_tensor(shape, tf.int32)
    one = tf.concat([[seed.repeats], shape[1:]], axis=0)
    drawn = tf.map_fn(
        lambda row: draw(one, tf.stack([first, row])), seed.rows, fn_output_signature=dtype
    )
    return tf.reshape(drawn, shape)


def _share(draw: Callable[[Shape], tf.Tensor], shape: Shape, batch_axis: int) -> tf.Tensor:
    """This replica's part of what is drawn for all of them."""
    if shares.replica()[1] == 1:
        return draw(shape)
    own = tf.convert_to_tensor(shape, tf.int32)
    rows = own[batch_axis]
    share = shares.Share.current() or shares.even_share(rows)
    whole = tf.tensor_scatter_nd_update(own, [[batch_axis]], [share.total])
    # Past the end of the batch the last row is repeated.
    index = tf.minimum(share.start + tf.range(rows), share.total - 1)
    return tf.gather(draw(whole), index, axis=batch_axis)
