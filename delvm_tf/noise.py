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
    """The generator's next seed, (2,).

    Args:
        generator: of Keras, whose state is saved with the model that has it.

    Examples:
        >>> generator = keras.random.SeedGenerator(0)
        >>> dv.noise.next_seed(generator).shape
        TensorShape([2])
    """
    return tf.cast(generator.next(), tf.int32)


def fold(seed: Seed, number: Any) -> Seed:
    """The seed of one step or part, from that of the whole.

    Args:
        seed: of the whole, (2,).
        number: of the step or part.

    Examples:
        >>> seed = dv.noise.fold([0, 0], 7)
        >>> bool(tf.reduce_all(seed == dv.noise.fold([0, 0], 7)))
        True
    """
    if isinstance(seed, RowSeeds):
        return seed._replace(seed=fold(seed.seed, number))
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(number, tf.int32))


def normal(shape: Shape, seed: Seed, dtype: Any = tf.float32, batch_axis: int = 0) -> tf.Tensor:
    """Standard normal numbers.

    Args:
        shape: of the replica's part, (batch, ...).
        seed: (2,); the same one gives the same numbers.
        dtype: of the numbers.
        batch_axis: the axis that replicas share.

    Examples:
        >>> epsilon = dv.noise.normal((1000, 10), seed=[0, 0])
        >>> abs(float(tf.math.reduce_std(epsilon)) - 1) < 0.03
        True
    """

    def draw(s: Shape, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_normal(s, seed, dtype=dtype)

    return _drawn(draw, shape, seed, dtype, batch_axis)


def uniform(shape: Shape, seed: Seed, dtype: Any = tf.float32) -> tf.Tensor:
    """Uniform numbers in [0, 1).

    Args:
        shape: of the replica's part, (batch, ...).
        seed: (2,); the same one gives the same numbers.
        dtype: of the numbers.

    Examples:
        >>> u = dv.noise.uniform((1000,), seed=[0, 0])
        >>> abs(float(tf.reduce_mean(u)) - 0.5) < 0.04
        True
    """

    def draw(s: Shape, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform(s, seed, dtype=dtype)

    return _drawn(draw, shape, seed, dtype, 0)


def spread(rows: Any, seed: tf.Tensor, dtype: Any = tf.float32) -> tf.Tensor:
    """Numbers in [0, 1), (rows,), each uniform, which together are evenly spaced in the batch.

    Of n rows they are u + i/n modulo 1, i = 0 … n − 1, with one uniform u. A mean over the batch of
    any function of them has less variance than with independent ones.

    Args:
        rows: of the replica's part.
        seed: (2,); the same one gives the same numbers.
        dtype: of the numbers.

    Examples:
        >>> np.diff(np.sort(dv.noise.spread(4, seed=[0, 0]))).round(6)
        array([0.25, 0.25, 0.25], dtype=float32)
    """

    def draw(s: tf.Tensor) -> tf.Tensor:
        first = tf.random.stateless_uniform((), seed, dtype=dtype)
        return tf.math.floormod(first + tf.range(s[0], dtype=dtype) / tf.cast(s[0], dtype), 1)

    return _share(draw, [rows], 0)


def bernoulli(probability: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Zeros and ones, one with the given probabilities, (batch, ...), in their type.

    Args:
        probability: of one, each between 0 and 1.
        seed: (2,); the same one gives the same numbers.

    Examples:
        >>> dv.noise.bernoulli(tf.constant([0.0, 1.0]), seed=[0, 0]).numpy()
        array([0., 1.], dtype=float32)
    """
    u = uniform(tf.shape(probability), seed, probability.dtype)
    return tf.cast(u < probability, probability.dtype)


def signs(shape: Shape, seed: Seed, dtype: Any = tf.float32, batch_axis: int = 0) -> tf.Tensor:
    """Independent ±1, each with probability ½.

    Args:
        shape: of the replica's part, (batch, ...).
        seed: (2,); the same one gives the same numbers.
        dtype: of the numbers.
        batch_axis: the axis that replicas share.

    Examples:
        >>> probes = dv.noise.signs((3, 64, 6), seed=[0, 0], batch_axis=1)
        >>> float(tf.reduce_min(probes**2))
        1.0
    """

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
