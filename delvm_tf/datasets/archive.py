"""The contents of an archive, verified by digests.

A digest is the SHA-256 of the sorted SHA-256s of the rows, each its label byte followed by the
bytes of its values. It does not depend on the order of the rows, which differs between the official
files and TensorFlow Datasets.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from delvm_tf.datasets.dataset import Array


class ContentsError(ValueError):
    """Data were found, but not the expected ones: damaged, altered, or of another form.

    Examples:
        >>> np.savez("fashion_mnist.npz", x=x)
        >>> try:
        ...     data = dv.datasets.load("fashion_mnist", data_dir=".")
        ... except dv.datasets.ContentsError as error:
        ...     print(error)
        /...fashion_mnist.npz lacks the arrays x_train, y_train, x_test, y_test; it has x, ...
    """


class Arrays(NamedTuple):
    """The official split: x (rows, ...) and y (rows,) int64, of training and test."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


@dataclass(frozen=True)
class Part:
    """Number of rows of one half of the official split, and their digest."""

    rows: int
    digest: str


@dataclass(frozen=True)
class Archive:
    """Contents of `<name>.npz`, and of the data set of that name in TensorFlow Datasets.

    Images of one channel have no channel axis in `row_shape`.
    """

    name: str
    row_shape: tuple[int, ...]
    dtype: str
    train: Part
    test: Part

    @property
    def contents(self) -> str:
        """The arrays and their shapes, for messages."""
        return ", ".join(
            f"x_{name} {(part.rows, *self.row_shape)} {self.dtype}, y_{name} ({part.rows},) uint8"
            for name, part in (("train", self.train), ("test", self.test))
        )

    def verify(self, arrays: Mapping[str, Array], origin: str, remedy: str) -> Arrays:
        """The arrays, read-only and in the same order; ContentsError for wrong ones.

        Args:
            arrays: by name. Images of one channel may have a channel axis.
            origin: where they came from, for the message.
            remedy: what to do about wrong ones, for the message.
        """
        missing = [key for key in Arrays._fields if key not in arrays]
        if missing:
            raise ContentsError(
                f"{origin} lacks the arrays {', '.join(missing)}; it has "
                f"{', '.join(sorted(arrays)) or 'none'}, expected {self.contents}; {remedy}"
            )
        checked: list[Array] = []
        for name, part in (("train", self.train), ("test", self.test)):
            x, y = arrays[f"x_{name}"], arrays[f"y_{name}"]
            if x.shape[1:] == (*self.row_shape, 1):
                x = x[..., 0]
            self._check_form(name, part, x, y, origin, remedy)
            found = digest(row_digests(x, y))
            if found != part.digest:
                raise ContentsError(
                    f"{origin} is altered: the rows of the {name} split have digest {found}, "
                    f"expected {part.digest}; {remedy}"
                )
            y = y.astype("int64")
            checked += [_frozen(x), _frozen(y)]
        return Arrays(*checked)

    def _check_form(
        self, name: str, part: Part, x: Array, y: Array, origin: str, remedy: str
    ) -> None:
        shape = (part.rows, *self.row_shape)
        if x.shape != shape or x.dtype != self.dtype:
            raise ContentsError(
                f"{origin}: x_{name} has shape {x.shape} and dtype {x.dtype}, "
                f"expected {shape} and {self.dtype}; {remedy}"
            )
        if y.shape != (part.rows,) or y.dtype.kind not in "iu":
            raise ContentsError(
                f"{origin}: y_{name} has shape {y.shape} and dtype {y.dtype}, "
                f"expected {(part.rows,)} and integers; {remedy}"
            )
        if y.min() < 0 or y.max() > 255:
            raise ContentsError(
                f"{origin}: y_{name} has labels from {y.min()} to {y.max()}, "
                f"expected class numbers from 0 to 255; {remedy}"
            )


def _frozen(array: Array) -> Array:
    """The array, made read-only together with the memory that it is a view of."""
    memory: object = array
    while isinstance(memory, np.ndarray):
        memory.flags.writeable = False
        memory = memory.base
    return array


def row_digests(x: Array, y: Array) -> list[bytes]:
    """SHA-256 of each row's label byte and values; about 5 µs per CIFAR-10 image."""
    return [
        hashlib.sha256(bytes([label]) + row.tobytes()).digest()
        for label, row in zip(y.tolist(), x, strict=True)
    ]


def digest(rows: list[bytes]) -> str:
    """Order-independent digest of a split from those of its rows, in hexadecimal."""
    return hashlib.sha256(b"".join(sorted(rows))).hexdigest()
