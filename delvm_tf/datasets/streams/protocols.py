"""Files with labels as a data set of protocols, so that programs take them by name."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.datasets import splits
from delvm_tf.datasets.archive import Arrays, ContentsError
from delvm_tf.datasets.dataset import Array, Dataset
from delvm_tf.datasets.streams.reading import TableOptions
from delvm_tf.datasets.streams.stream import stream

_BATCH = 2**12
_TEST_SIZE = 0.3


def protocols_of(
    source: str | Path, name: str, table: Callable[[], TableOptions] = TableOptions
) -> dict[str, Callable[..., Dataset]]:
    """The protocols of files that `stream` can read, for `delvm_tf.datasets.register`.

    `anomaly`: rows of another label than `normal_class` (0) are abnormal, also in the calibration
    set. `one-vs-rest`: the same without a calibration set, by the number of the class in order.
    `classification`: all classes. Three tenths of the rows, drawn by the seed and stratified, are
    the test set. All rows are held in memory. Nothing is read before `load`.

    Args:
        source: a file, folder or pattern.
        name: of the data set.
        table: makes the options of a table, which must name the label.

    Raises:
        ContentsError: from `load`, for a class with too few rows, or labels that do not fit the
            protocol; for others see `stream`.

    Examples:
        >>> np.savez("rows.npz", x=x, y=np.arange(64) % 2)
        >>> dv.datasets.register("mine", dv.datasets.streams.protocols_of("rows.npz", "mine"))
        >>> dv.datasets.load("mine", protocol="anomaly").x_train.shape  # normal rows
        (22, 6)
    """
    description = f"Rows of {source}."

    def read(seed: int, normal: int | None) -> tuple[Arrays, tuple[str, ...]]:
        x, y = _rows(source, table())
        classes, y = np.unique(y, return_inverse=True)
        if normal is not None:
            if normal not in classes or len(classes) < 2:
                raise ContentsError(
                    f"{source}: an anomaly protocol needs normal rows, of label {normal}, and "
                    f"abnormal ones of any other; the labels are {_some(classes)}; pass another "
                    f"label= or normal_class= (from a program --label, --normal-class)"
                )
            y = (classes[y] != normal).astype("int64")
        names = tuple(map(str, classes)) if normal is None else ("normal", "abnormal")
        return _split(x, y, seed, source), names

    def anomaly(seed: int, data_dir: Any, *, normal_class: int = 0) -> Dataset:
        a, names = read(seed, normal_class)
        train, test = (a.x_train, a.y_train != 0), (a.x_test, a.y_test != 0)
        return splits.anomaly(name, "anomaly", seed, train, test, (names[0], names[1]), description)

    def one_vs_rest(seed: int, data_dir: Any, *, normal_class: int = 0) -> Dataset:
        return splits.one_vs_rest(name, seed, *read(seed, None), normal_class, description)

    def classification(seed: int, data_dir: Any) -> Dataset:
        arrays, names = read(seed, None)
        return Dataset(name, "classification", seed, *arrays, None, None, names, description)

    return {"anomaly": anomaly, "one-vs-rest": one_vs_rest, "classification": classification}


def _rows(source: str | Path, table: TableOptions) -> tuple[Array, Array]:
    try:
        batches = list(stream(source, _BATCH, labels=True, **asdict(table)).as_numpy_iterator())
    except tf.errors.InvalidArgumentError as error:  # what TensorFlow makes of a ContentsError
        raise ContentsError(error.message.splitlines()[0].partition("Error: ")[2]) from error
    x, y = zip(*batches, strict=True)
    return np.concatenate(x), np.concatenate(y)


def _split(x: Array, y: Array, seed: int, source: object) -> Arrays:
    from sklearn.model_selection import train_test_split

    few = np.bincount(y).min()
    if few < 2 or len(x) * _TEST_SIZE < y.max() + 1:
        raise ContentsError(
            f"{source}: each class needs rows for training and for the test, but one of them has "
            f"{few} of {len(x)}; give more rows, or another column of labels"
        )
    x_train, x_test, y_train, y_test = train_test_split(
        x, y, test_size=_TEST_SIZE, random_state=seed, stratify=y
    )
    return Arrays(x_train, y_train, x_test, y_test)


def _some(classes: Array) -> str:
    return ", ".join(map(str, classes[:10])) + (", ..." if len(classes) > 10 else "")
