"""Checking what users hand in, and reading it in batches, before any work is lost."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def is_array(x: Any) -> bool:
    """Whether x is in memory: an array, an eager tensor, or something like a data frame."""
    return hasattr(x, "__array__") and not isinstance(x, keras.KerasTensor)


def check_shape(shape: Any, expected: tuple[int, ...] | None, owner: str) -> None:
    """Compare the shape of a batch with the shape of one input, both as far as they are known.

    Raises:
        ValueError: what came, what was expected, and the likely mistake.
    """
    if expected is None:
        return
    got = tuple(shape)
    fits = len(got) == len(expected) + 1 and all(
        g is None or g == e for g, e in zip(got[1:], expected, strict=True)
    )
    if fits:
        return
    hint = ""
    if len(got) == len(expected):
        if got == expected:
            hint = " This is a single example: pass a batch, x[None]."
        elif expected[-1] == 1:
            hint = " Images need a channel axis: x[..., None]."
        else:
            hint = " Data sets must be batched: ds.batch(100)."
    wanted = ", ".join(["batch", *map(str, expected)])
    raise ValueError(f"{owner} expects x of shape ({wanted}), got {got}.{hint}")


def check_dtype(dtype: Any) -> None:
    """Accept floating-point and integer inputs.

    Raises:
        TypeError: for strings, objects, complex numbers, dates and booleans.
    """
    name = np.dtype(dtype.as_numpy_dtype if isinstance(dtype, tf.DType) else dtype)
    if name.kind not in "fiu" and name.name != "bfloat16":
        raise TypeError(
            f"x must hold real numbers (float32, uint8, ...), got dtype {name}; "
            f"convert it first, for instance x.astype('float32')"
        )


def check_array(x: Any, expected: tuple[int, ...] | None, owner: str) -> Any:
    """Check type, shape, length and finiteness of an array.

    Args:
        x: anything NumPy can read.
        expected: shape of one input if it is known.
        owner: who expects it, for the message.

    Returns:
        x as an array or tensor.

    Raises:
        TypeError: if the values are not real numbers.
        ValueError: if the shape is wrong, there is no example, or a value is NaN or infinite.
    """
    x = x if isinstance(x, tf.Tensor) else np.asarray(x)
    check_dtype(x.dtype)
    if expected is None and len(x.shape) < 2:
        raise ValueError(f"{owner} expects a batch (batch, ...), got shape {tuple(x.shape)}")
    check_shape(x.shape, expected, owner)
    if x.shape[0] == 0:
        raise ValueError(f"{owner} got an empty data set: x has shape {tuple(x.shape)}")
    values = np.asarray(x)
    if values.dtype.kind not in "iu":
        finite = np.isfinite(values.astype("float32") if values.dtype.kind == "V" else values)
        if not finite.all():
            rows = np.flatnonzero(~finite.reshape(len(values), -1).all(axis=1))
            raise ValueError(
                f"x has NaN or infinite values in {len(rows)} of {len(values)} examples "
                f"(first rows: {rows[:5].tolist()}); remove or fill them first"
            )
    return x


def check_lengths(x: Any, y: Any, what: str = "labels y") -> None:
    """Check that there is one label or weight for each example.

    Raises:
        ValueError: if the lengths differ.
    """
    if y is not None and is_array(x) and is_array(y) and len(x) != len(y):
        raise ValueError(f"x has {len(x)} examples but {what} has {len(y)} entries")


def inputs_of(element: Any) -> Any:
    """The x of an element x, (x,), (x, y) or (x, y, weight)."""
    return keras.utils.unpack_x_y_sample_weight(element)[0]


def shape_of_one(data: Any) -> tuple[int, ...] | None:
    """Shape of one example of an array or a `tf.data.Dataset`, if it is known beforehand."""
    x = data if is_array(data) else inputs_of(getattr(data, "element_spec", None))
    shape = getattr(x, "shape", None)
    if shape is None or getattr(shape, "rank", len(shape) if is_array(x) else None) is None:
        return None
    one = tuple(shape)[1:]
    return None if None in one else one


def checked_batches(
    data: Any, batch_size: int, expected: tuple[int, ...] | None, owner: str
) -> Iterator[Any]:
    """The inputs of an array, `tf.data.Dataset` or `keras.utils.PyDataset`, batch by batch.

    An array is checked as a whole before the first batch, a stream batch by batch; see
    `check_array` for the other arguments.

    Raises:
        TypeError: for anything else, or values that are not real numbers.
        ValueError: for a wrong shape, an empty array, or NaN and infinite values.
    """
    if is_array(data):
        array = check_array(data, expected, owner)
        for start in range(0, len(array), batch_size):
            yield array[start : start + batch_size]
    else:
        for batch in _streamed(data):
            yield check_array(batch, expected, owner)


def _streamed(data: Any) -> Iterator[Any]:
    if isinstance(data, keras.utils.PyDataset):
        if data.num_batches is None:
            raise ValueError("the PyDataset is infinite: it must say its length")
        for index in range(data.num_batches):
            yield inputs_of(data[index])
    elif isinstance(data, tf.data.Dataset):
        for element in data:
            yield inputs_of(element)
    else:
        raise TypeError(
            f"expected an array, a tf.data.Dataset or a keras.utils.PyDataset, got {type(data)}"
        )
