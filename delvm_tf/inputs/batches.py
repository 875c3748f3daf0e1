"""Checking what users hand in, and reading it in batches, before any work is lost."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.inputs.arrays import as_array, as_values, is_array
from delvm_tf.inputs.columns import names_of

__all__ = ["as_array", "as_values", "is_array"]

CHUNK = 1 << 22  # values looked at at a time


class CheckedRows:
    """Examples that were read and looked through once, for all that take x from there on.

    Attributes:
        values: an array or tensor, (n, ...), without NaN and infinities.
        shape: of the values.
        feature_names_in_: names of the columns, or None.
    """

    def __init__(self, values: Any, names: Sequence[str] | None):
        self.values = values
        self.shape = values.shape
        self.feature_names_in_ = names

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.values, dtype)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> "CheckedRows":
        """Some rows, checked too."""
        return CheckedRows(self.values[rows], self.feature_names_in_)


CompareNames = Callable[[Sequence[str] | None], None]


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
        TypeError: for strings, objects, records, complex numbers, dates and booleans.
    """
    name = np.dtype(dtype.as_numpy_dtype if isinstance(dtype, tf.DType) else dtype)
    if name.kind not in "fiu" and not (name.kind == "V" and _is_short_float(name)):
        how = {
            "c": "x.real",
            "m": "x / np.timedelta64(1, 's')",
            "M": "(x - x.min()) / np.timedelta64(1, 's')",
            "V": "pandas.DataFrame(x)",
        }.get(name.kind, "x.astype('float32')")
        raise TypeError(
            f"x must hold real numbers (float32, uint8, ...), got dtype {name}; "
            f"convert it first, for instance {how}"
        )


def _is_short_float(dtype: np.dtype) -> bool:
    """Whether a NumPy type is one of the short floats that only TensorFlow knows."""
    try:
        return tf.as_dtype(dtype).is_floating
    except TypeError:
        return False


def read_rows(x: Any, expected: tuple[int, ...] | None, owner: str) -> Any:
    """The examples of an array, tensor, table or nested list; see `as_array`.

    Args:
        x: what came.
        expected: shape of one input if it is known.
        owner: who expects it, for the message.

    Returns:
        x as an array or tensor, (n, ...).

    Raises:
        TypeError: if the values are not real numbers.
        ValueError: if a value is masked, the shape is wrong or there is no example.
    """
    x = x.values if isinstance(x, CheckedRows) else as_array(x)
    check_dtype(x.dtype)
    if expected is None and len(x.shape) < 2:
        raise ValueError(f"{owner} expects a batch (batch, ...), got shape {tuple(x.shape)}")
    check_shape(x.shape, expected, owner)
    if x.shape[0] == 0:
        raise ValueError(f"{owner} got an empty data set: x has shape {tuple(x.shape)}")
    return x


def check_finite(x: Any) -> None:
    """Look through an array or tensor, a part at a time.

    Raises:
        ValueError: if a value is NaN or infinite; the message tells the rows.
    """
    if np.dtype(x.dtype.as_numpy_dtype if isinstance(x, tf.Tensor) else x.dtype).kind in "iu":
        return
    rows = len(x)
    step = max(1, CHUNK // max(1, int(np.prod(x.shape[1:]))))
    count = 0
    first: list[int] = []
    for start in range(0, rows, step):
        part = np.asarray(x[start : start + step])
        finite = np.isfinite(part.astype("float32") if part.dtype.kind == "V" else part)
        if not finite.all():
            bad = np.flatnonzero(~finite.reshape(len(part), -1).all(axis=1)) + start
            count += len(bad)
            first += bad[: 5 - len(first)].tolist()
    if count:
        raise ValueError(
            f"x has NaN or infinite values in {count} of {rows} examples "
            f"(first rows: {first}); remove or fill them first"
        )


def check_array(x: Any, expected: tuple[int, ...] | None, owner: str) -> Any:
    """Check type, shape, length and finiteness of an array; of `CheckedRows` all but the last.

    See `read_rows` for arguments, result and what it raises; besides that it raises a ValueError
    for NaN and infinite values.
    """
    rows = read_rows(x, expected, owner)
    if not isinstance(x, CheckedRows):
        check_finite(rows)
    return rows


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


def has_labels(element: Any) -> bool:
    """Whether an element, or the specification of one, is (x, y) or (x, y, weight)."""
    return keras.utils.unpack_x_y_sample_weight(element)[1] is not None


def with_inputs(element: Any, x: Any) -> Any:
    """The element with another x."""
    return (x, *element[1:]) if isinstance(element, tuple | list) else x


def shape_of_one(data: Any) -> tuple[int, ...] | None:
    """Shape of one example of an array or a `tf.data.Dataset`, if it is known beforehand."""
    if isinstance(data, list | tuple):
        data = as_array(data) if is_array(data) else None
    x = data if is_array(data) else inputs_of(getattr(data, "element_spec", None))
    shape = getattr(x, "shape", None)
    if shape is None or getattr(shape, "rank", len(shape) if is_array(x) else None) is None:
        return None
    one = tuple(shape)[1:]
    return None if None in one else one


def stream_names(data: Any) -> tuple[str, ...] | None:
    """Names of the columns of a stream; of a `PyDataset`, those of its first batch."""
    batch = _first_of_py_dataset(data)
    return names_of(data) or names_of(batch)


def stream_size(data: Any) -> int:
    """Number of values of one example of a stream; 1 if it is not known."""
    batch = _first_of_py_dataset(data)
    shape = shape_of_one(data) if batch is None else tuple(as_array(batch).shape)[1:]
    return int(np.prod(shape or ()))


def _first_of_py_dataset(data: Any) -> Any:
    is_some = isinstance(data, keras.utils.PyDataset) and data.num_batches != 0
    return inputs_of(data[0]) if is_some else None


def checked_batches(
    data: Any,
    batch_size: int,
    expected: tuple[int, ...] | None,
    owner: str,
    compare_names: CompareNames,
) -> Iterator[Any]:
    """The inputs of an array, `tf.data.Dataset` or `keras.utils.PyDataset`, batch by batch.

    An array is checked as a whole before the first batch, a stream batch by batch; see
    `check_array` for the other arguments.

    Args:
        data: what came.
        batch_size: rows of an array in one batch.
        expected: shape of one input if it is known.
        owner: who expects it, for the message.
        compare_names: is told the names of the columns, once; of a stream whose batches have
            names, those of each.

    Raises:
        TypeError: for anything else, or values that are not real numbers.
        ValueError: for a wrong shape, an empty array, or NaN and infinite values.
    """
    if is_array(data):
        compare_names(names_of(data))
        array = check_array(data, expected, owner)
        for start in range(0, len(array), batch_size):
            yield array[start : start + batch_size]
        return
    told = names_of(data)
    for index, batch in enumerate(_streamed(data)):
        names = names_of(batch)
        if index == 0 or names is not None:
            compare_names(names or told)
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
    elif any(hasattr(data, name) for name in ("shape", "collect", "keys")):
        as_array(data)  # raises, and says what to do
    else:
        raise TypeError(
            f"expected an array, a tf.data.Dataset or a keras.utils.PyDataset, got {type(data)}"
        )
