"""Functions of rows that need random numbers or arguments of each row, batch by batch."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from delvm_tf import noise
from delvm_tf.inputs import batches as inputs
from delvm_tf.models.reconstruction_model import FunctionOfModel
from delvm_tf.training.received import compare_names, require_ready

Finish = Callable[[tf.Tensor, Any], tf.Tensor]


def new_seed(seed: int | None) -> tf.Tensor:
    """The seed of all random numbers of a call, (2,); another at each call without a number."""
    return noise.next_seed(keras.random.SeedGenerator(seed))


def by_rows(
    name: str,
    function: FunctionOfModel,
    x: Any,
    batch_size: int,
    seed: tf.Tensor,
    of_all: Sequence[tf.Tensor] = (),
    of_each: Sequence[Any] = (),
    finish: Finish | None = None,
) -> tf.Tensor:
    """A function of normalised rows, a seed of each row, and more, on x in raw units.

    Each row has random numbers of its own, so that results do not depend on `batch_size`.

    Args:
        name: what the function is called.
        function: of (z, seed, row numbers, what all rows share, what each row has).
        x: inputs in raw units: an array, a table, or a stream of batches.
        batch_size: rows at a time.
        seed: of the call, (2,).
        of_all: arguments that all rows share.
        of_each: arrays that hold an argument of each row, (n, ...).
        finish: what is done with the result of a batch, given the batch; raw units unless given.

    Returns:
        The results, joined along the first axis.
    """
    model = function.model
    require_ready(model, name)
    compare = functools.partial(compare_names, model)
    results, start = [], 0
    shape, owner = model.input_shape_or_none, type(model).__name__
    for batch in inputs.checked_batches(x, batch_size, shape, owner, compare):
        end = start + len(batch)
        own = [tf.convert_to_tensor(each[start:end]) for each in of_each]
        given = (seed, tf.range(start, end), *of_all, *own)
        result = model.apply(name, function, batch, len(batch), given)
        results.append((finish or functools.partial(in_raw_units, model))(result, batch))
        start = end
    if not results:
        raise ValueError(f"{type(model).__name__} got an empty data set")
    return results[0] if len(results) == 1 else tf.concat(results, axis=0)


def in_raw_units(model: Any, z: tf.Tensor, batch: Any) -> tf.Tensor:
    """Normalised values in the raw units that a batch came in."""
    normalization = model.normalization
    return normalization.invert(z, normalization.raw_dtype(tf.as_dtype(batch.dtype)))
