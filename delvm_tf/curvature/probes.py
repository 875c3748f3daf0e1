"""Sets of probe directions v_c with Σ_c E[v_c v_cᵀ] = I, so that tr H = E[Σ_c v_cᵀ H v_c].

| probes       | count                   | what they give                                      |
|--------------|-------------------------|-----------------------------------------------------|
| `Basis`      | d                       | the exact trace of any function                     |
| `Lattice`    | product of the spacings | exact from the receptive field on, else an estimate |
| `Rademacher` | free                    | Hutchinson's estimate, variance 2 Σ_{i≠j} H_ij² / P |
| `Gaussian`   | free                    | an estimate of variance 2 ‖H‖² / P                  |

No output sees two input values one receptive field R or more apart, so that H is zero between them
and one probe can hold both. A lattice of ±1 on every R-th value, moved through its R positions
along each axis, gives the trace exactly, with min(R, size)² × channels probes for an image instead
of d. With a smaller spacing s and random signs it stays unbiased, with variance 2 Σ H_ij² over the
pairs i ≠ j on a common lattice; spacing 1 is Hutchinson's estimator.
"""

import abc
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf import noise

Noise = Any  # a tensor, or None for directions that are not random


class Probes(abc.ABC):
    """A set of `count` directions for inputs of a shape.

    Args:
        shape: shape of one input.
        count: number of directions.
        exact: whether they give the trace itself, for the function they are meant for.
    """

    def __init__(self, shape: tuple[int, ...], count: int, exact: bool):
        self.shape = shape
        self.count = count
        self.exact = exact

    @property
    def shared(self) -> bool:
        """Whether the directions are the same for all examples, as exact ones are."""
        return self.exact

    def draw(self, x: tf.Tensor, seed: keras.random.SeedGenerator) -> Noise:
        """The random numbers of one evaluation at a batch x, (…, batch, *shape), or None."""
        return None

    @abc.abstractmethod
    def take(self, start: Any, number: int, noise: Noise, dtype: Any) -> tf.Tensor:
        """Directions `start` to `start + number`, (number, batch or 1, *shape).

        Those past the end are zero, so that chunks of equal size can cover any count. `start` may
        be a scalar tensor; `noise` is what `draw` gave, or its slice over examples.
        """


class Basis(Probes):
    """The d unit vectors, the same for all examples."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__(shape, math.prod(shape), exact=True)

    def take(self, start: Any, number: int, noise: Noise, dtype: Any) -> tf.Tensor:
        """Unit vectors."""
        vectors = tf.one_hot(start + tf.range(number), self.count, dtype=dtype)
        return tf.reshape(vectors, (number, 1, *self.shape))


class Lattice(Probes):
    """Every s-th value along each axis, at each of the s offsets.

    Args:
        shape: shape of one input.
        spacing: the distance s between the values of a probe, one per axis or one for all axes but
            the channels. A single number above one keeps channels apart; spacing 1 is a single
            probe with a random sign on every value.
        receptive_field: the distance along each axis from which on two values share no output.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        spacing: int | tuple[int, ...],
        receptive_field: tuple[int, ...],
    ):
        self.spacing = lattice_spacing(shape, spacing)
        exact = all(s >= r for s, r in zip(self.spacing, receptive_field, strict=True))
        super().__init__(shape, math.prod(self.spacing), exact)

    def draw(self, x: tf.Tensor, seed: keras.random.SeedGenerator) -> Noise:
        """A sign for every value, shared by all probes, which are disjoint; None if exact."""
        return None if self.exact else _signs((1, *_dynamic_shape(x)), seed, x.dtype)

    def take(self, start: Any, number: int, noise: Noise, dtype: Any) -> tf.Tensor:
        """Lattices, times the signs of the noise if any."""
        index = start + tf.range(number)
        mask = tf.reshape(tf.cast(index < self.count, dtype), (number,) + (1,) * len(self.shape))
        later = self.count
        for axis, (size, step) in enumerate(zip(self.shape, self.spacing, strict=True)):
            later //= step
            offset = (index // later) % step
            on = tf.equal(tf.range(size)[tf.newaxis] % step, offset[:, tf.newaxis])
            along = [1] * len(self.shape)
            along[axis] = size
            mask *= tf.reshape(tf.cast(on, dtype), (number, *along))
        mask = mask[:, tf.newaxis]
        return mask if noise is None else mask * noise


class _Random(Probes):
    """Independent directions for each example, averaged."""

    def __init__(self, shape: tuple[int, ...], count: int):
        super().__init__(shape, count, exact=False)

    def take(self, start: Any, number: int, noise: Noise, dtype: Any) -> tf.Tensor:
        """Random directions, divided by √count."""
        if noise is None:
            raise ValueError("random probes need the noise that draw returns")
        rows = start + tf.range(number)
        inside = tf.reshape(
            tf.cast(rows < self.count, dtype), (number,) + (1,) * (noise.shape.rank - 1)
        )
        chosen = tf.gather(noise, tf.minimum(rows, self.count - 1))
        return inside * chosen / np.sqrt(self.count).astype(dtype.as_numpy_dtype)


class Rademacher(_Random):
    """Random signs, Hutchinson's probes."""

    def draw(self, x: tf.Tensor, seed: keras.random.SeedGenerator) -> Noise:
        """Signs, (count, batch, *shape)."""
        return _signs((self.count, *_dynamic_shape(x)), seed, x.dtype)


class Gaussian(_Random):
    """Standard normal directions."""

    def draw(self, x: tf.Tensor, seed: keras.random.SeedGenerator) -> Noise:
        """Normal numbers, (count, batch, *shape)."""
        shape = (self.count, *_dynamic_shape(x))
        normal = noise.normal(shape, noise.next_seed(seed), x.dtype, batch_axis=1)
        return tf.ensure_shape(normal, (self.count, None, *self.shape))


def lattice_spacing(shape: tuple[int, ...], spacing: int | tuple[int, ...]) -> tuple[int, ...]:
    """The spacing along each axis of an input, at most its size; ValueError if it is invalid."""
    values = list(spacing) if isinstance(spacing, tuple | list) else [spacing]
    if any(not isinstance(s, int) or isinstance(s, bool) or s < 1 for s in values):
        raise ValueError(f"the lattice spacing must be made of positive integers, got {spacing!r}")
    if not isinstance(spacing, tuple | list):
        values = [spacing] * len(shape)
        if len(shape) > 1 and spacing > 1:
            values[-1] = shape[-1]
    if len(values) != len(shape):
        raise ValueError(
            f"the lattice spacing {spacing!r} has {len(values)} entries, but inputs of shape "
            f"{shape} have {len(shape)} axes; give one number for each, or a single one"
        )
    return tuple(min(s, size) for s, size in zip(values, shape, strict=True))


def _signs(shape: Any, seed: keras.random.SeedGenerator, dtype: Any) -> tf.Tensor:
    return noise.signs(shape, noise.next_seed(seed), dtype, batch_axis=1)


def _dynamic_shape(x: tf.Tensor) -> tuple[Any, ...]:
    """Shape of a batch, its length a tensor if it is unknown."""
    return tuple(
        tf.shape(x)[i] if size is None else size for i, size in enumerate(x.shape.as_list())
    )
