"""Arrays `x` and, for labels, `y` of an .npz file, read row by row out of the archive.

NumPy saves masked arrays without their mask, unnoticeably; booleans are read as 0 and 1.
"""

import math
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams.chunk import Chunk, rows_in_chunk
from delvm_tf.datasets.streams.reading import Reading


def chunks(path: Path, reading: Reading) -> Iterator[Chunk]:
    """The rows of `x`, and of `y` if wanted. Memory: a chunk, however large the array."""
    with zipfile.ZipFile(path) as archive, ExitStack() as stack:
        x = _Rows(stack, archive, "x", path)
        y = _Rows(stack, archive, "y", path) if reading.labels else None
        if y is not None and y.shape != x.shape[:1]:
            raise ContentsError(f"{path}: y has shape {y.shape}, expected {x.shape[:1]}")
        step = rows_in_chunk(x.row_bytes)
        for start in range(0, x.shape[0], step):
            n = min(step, x.shape[0] - start)
            yield Chunk(x.read(n), None if y is None else y.read(n))
        for array in (x, y):
            if array is not None:
                array.end()


class _Rows:
    """An array in an archive, read from its start on."""

    def __init__(self, stack: ExitStack, archive: zipfile.ZipFile, name: str, path: Path):
        if f"{name}.npy" not in archive.namelist():
            raise ContentsError(
                f"{path} has no array {name}; it has {', '.join(archive.namelist()) or 'none'}"
            )
        self._file: Any = stack.enter_context(archive.open(f"{name}.npy"))
        version = np.lib.format.read_magic(self._file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in read:
            raise ContentsError(f"{path}: {name} has version {version} of the format")
        self.shape, by_columns, self.dtype = read[version](self._file)
        if self.dtype.hasobject:
            raise ContentsError(f"{path}: {name} has Python objects, which are never loaded")
        if not self.shape or (by_columns and len(self.shape) > 1):
            raise ContentsError(
                f"{path}: {name} must be stored row by row: save np.ascontiguousarray(x)"
            )
        self.row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])

    def read(self, n: int) -> np.ndarray:
        data = self._file.read(n * self.row_bytes)
        if len(data) < n * self.row_bytes:
            raise EOFError("the array ends early")
        rows = np.frombuffer(data, self.dtype).reshape(n, *self.shape[1:])
        if self.dtype.kind == "b":
            return rows.astype("uint8")
        return rows.astype(self.dtype.newbyteorder("="), copy=False)

    def end(self) -> None:
        """Read to the end, where the archive verifies its checksum."""
        if self._file.read(1):
            raise EOFError("the array has more values than its header says")
