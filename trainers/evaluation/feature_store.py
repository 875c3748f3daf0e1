"""Tables of features that may be larger than memory: keeping them, and reading them in batches."""

import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from delvm_tf.storage.ownership import make_folder
from delvm_tf.storage.paths import local_path

CHUNK_ROWS = 64  # neighbours that are read together, so that a disk reads long stretches
BLOCK_BYTES = 2**28  # of float32, held in memory at a time
MEMORY_LIMIT = 2**30


class FeatureStore:
    """Features of examples, computed batch by batch and kept as float16, (n, features).

    Each feature is shifted and divided by its mean and deviation in the first batch of `fit`, so
    that the 11 bits of float16 are spent on its spread; what follows must not mind that, as a
    method that standardises does not. The divisor is at least a hundredth of the features' mean
    deviation, for the sake of features that hardly vary there but do elsewhere. Tables above
    `memory_limit` become memory maps in a folder of their own, which `close` or the end of a
    `with` block removes.

    Args:
        function: a batch of inputs to its features, (batch, ...) to (batch, features).
        batch_size: inputs at a time.
        folder: where memory maps are kept; the system's folder for temporary files by default.
        memory_limit: bytes up to which a table stays in memory.

    Raises:
        ValueError: for numbers below one, or a folder that is an address such as `gs://`.

    Example:
        >>> with FeatureStore(model.features) as store:
        ...     probe = LinearProbe().fit(store.fit(x_train), y_train)
        ...     accuracy = probe.score(store.transform(x_test), y_test)
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        batch_size: int = 500,
        folder: str | Path | None = None,
        memory_limit: int = MEMORY_LIMIT,
    ):
        if batch_size < 1 or memory_limit < 0:
            raise ValueError(
                f"batch_size must be positive and memory_limit not negative, got {batch_size!r} "
                f"and {memory_limit!r}"
            )
        self.function = function
        self.batch_size = batch_size
        self.memory_limit = memory_limit
        self._parent = None if folder is None else local_path(folder, "the folder of the maps")
        self._folder: tempfile.TemporaryDirectory | None = None
        self._tables = 0
        self._shift: np.ndarray | None = None

    def fit(self, x: Any) -> np.ndarray:
        """Features of the training data, (n, features) float16; sets shift and divisor.

        Raises:
            ValueError: if x is empty, or the features are no finite numbers in rows.
            OSError: if there is no room on the disk.
        """
        self._shift = None
        return self.transform(x, fitting=True)

    def transform(self, x: Any, fitting: bool = False) -> np.ndarray:
        """Features of other data, with shift and divisor as for the training data.

        Raises:
            ValueError: as `fit`, and if it comes before `fit`.
        """
        if self._shift is None and not fitting:
            raise ValueError("the store has no training features yet; call fit(x_train) first")
        if len(x) == 0:
            raise ValueError("there are no examples to take features of")
        table: np.ndarray | None = None
        for start in range(0, len(x), self.batch_size):
            batch = x[start : start + self.batch_size]
            features = np.asarray(self.function(batch), dtype=np.float32)
            self._check(features, len(batch), start)
            if self._shift is None:
                self._shift = features.mean(axis=0)
                self._divisor = _divisor(features.std(axis=0))
            if table is None:
                table = self._new_table(len(x), features.shape[1])
            rows = (features - self._shift) / self._divisor
            if np.abs(rows).max(initial=0) > np.finfo(np.float16).max:
                raise ValueError(
                    f"features of examples {start} to {start + len(batch) - 1} lie too "
                    f"far from the first batch for float16 (65,504 deviations); normalise the "
                    f"inputs, or shuffle them so that the first batch is typical"
                )
            table[start : start + len(batch)] = rows
        assert table is not None
        return table

    def _check(self, features: np.ndarray, n: int, start: int) -> None:
        width = None if self._shift is None else len(self._shift)
        if features.ndim != 2 or len(features) != n or width not in (None, features.shape[1]):
            raise ValueError(
                f"the features of {n} examples must have shape ({n}, {width or 'features'}), got "
                f"{features.shape}"
            )
        bad = n - int(np.isfinite(features).all(axis=1).sum())
        if bad:
            raise ValueError(
                f"NaN or infinite features in {bad} of the examples {start} to {start + n - 1}; "
                f"check the inputs, and that the model's training did not diverge"
            )

    def _new_table(self, n: int, width: int) -> np.ndarray:
        if n * width * 2 <= self.memory_limit:
            return np.empty((n, width), np.float16)
        if self._folder is None:
            if self._parent is not None:
                make_folder(self._parent)
            self._folder = tempfile.TemporaryDirectory(prefix="features-", dir=self._parent)
        self._tables += 1
        path = Path(self._folder.name) / f"{self._tables}.npy"
        return np.lib.format.open_memmap(path, "w+", np.float16, (n, width))

    def close(self) -> None:
        """Remove the memory maps."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _divisor(spread: np.ndarray) -> np.ndarray:
    """Deviations, those near zero replaced; 1 if there is none."""
    floor = 0.01 * spread.mean(dtype=np.float64)
    return np.maximum(spread, floor if floor > 0 else 1.0).astype(np.float32)


class Standardization:
    """Means and deviations of the columns of a table, taken in one pass, in float64.

    Blocks are merged by the update of Chan, Golub and LeVeque (1979). Columns without spread are
    divided by 1.

    Args:
        X: (n, d), an array or memory map.

    Raises:
        ValueError: if there is a NaN or infinity.
    """

    def __init__(self, X: np.ndarray):
        self.mean: np.ndarray = np.zeros(X.shape[1])
        moment: np.ndarray = np.zeros(X.shape[1])
        count = 0
        for rows in _slices(len(X), X.shape[1]):
            block = np.asarray(X[rows], dtype=np.float64)
            check_finite(block, rows.start, len(X))
            mean = block.mean(axis=0)
            delta, total = mean - self.mean, count + len(block)
            moment += np.square(block - mean).sum(axis=0)
            moment += np.square(delta) * (count * len(block) / total)
            self.mean += delta * (len(block) / total)
            count = total
        deviation = np.sqrt(moment / count)
        # Rounding leaves constant columns a spread, which must not be blown up: they become 0.
        flat = deviation <= max(10, count) * np.finfo(np.float64).eps * np.abs(self.mean)
        self.deviation = np.where(flat, 1.0, deviation)
        self.mean = np.where(flat, np.asarray(X[0], dtype=np.float64), self.mean)

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Standardised rows, float32."""
        if block.dtype.itemsize <= 2 or block.dtype == np.float32:
            rows = block.astype(np.float32)
            rows -= self.mean.astype(np.float32)
        else:  # numbers that float32 cannot hold lose digits only after the mean is gone
            rows = (block - self.mean).astype(np.float32)
        rows /= self.deviation.astype(np.float32)
        return rows


def check_finite(block: np.ndarray, start: int, n: int) -> None:
    """Refuse NaN and infinity.

    Raises:
        ValueError: naming the first row with one.
    """
    if not np.isfinite(block).all():
        first = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
        raise ValueError(
            f"X has a NaN or infinity in row {first} of {n}; remove or repair such rows"
        )


def row_blocks(X: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of a table in order, a bounded number of bytes at a time."""
    for rows in _slices(len(X), X.shape[1]):
        yield X[rows]


def shuffled_batches(
    X: np.ndarray, rows: np.ndarray, batch_size: int, rng: np.random.Generator,
    prepare: Callable[[np.ndarray], np.ndarray],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """One pass over some rows of a table, in an order that is nearly random and quick to read.

    Runs of neighbouring rows are drawn at random, some hundred megabytes of them are held in
    memory, and their rows are drawn at random. Only if the table is sorted, and far larger than
    that, do batches differ from fully random ones.

    Args:
        X: (n, d), an array or memory map.
        rows: indices of the rows to read, in ascending order.
        batch_size: rows of each batch but the last.
        rng: draws the order.
        prepare: of a block of rows, before it is cut into batches.

    Yields:
        Prepared rows (batch, d) and their indices in X (batch,).
    """
    chunks = np.array_split(rows, math.ceil(len(rows) / CHUNK_ROWS))
    order = rng.permutation(len(chunks))
    per_block = max(BLOCK_BYTES // (4 * X.shape[1] * CHUNK_ROWS), math.ceil(batch_size / 32), 1)
    left_over: list[np.ndarray] = []
    for start in range(0, len(order), per_block):
        drawn = [chunks[i] for i in np.sort(order[start : start + per_block])]
        indices = np.concatenate([*left_over, *drawn])
        block = prepare(X[indices])
        shuffled = rng.permutation(len(indices))
        is_last = start + per_block >= len(order)
        whole = len(indices) if is_last else len(indices) // batch_size * batch_size
        for first in range(0, whole, batch_size):
            places = shuffled[first : min(first + batch_size, whole)]
            yield block[places], indices[places]
        left_over = [indices[shuffled[whole:]]]


def _slices(n: int, width: int) -> Iterator[slice]:
    step = max(1, min(n, BLOCK_BYTES // (8 * width)))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
