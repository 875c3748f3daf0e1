"""From labelled rows to the training and test rows of a protocol."""

from collections.abc import Callable
from typing import Any

import numpy as np

from delvm_tf.datasets.archive import Arrays
from delvm_tf.datasets.dataset import Array, Dataset


def of_classes(
    name: str,
    read: Callable[[int, Any], Arrays],
    class_names: tuple[str, ...],
    description: str,
) -> dict[str, Callable[..., Dataset]]:
    """The protocols of a data set of classes, whose halves are `read(seed, data_dir)`.

    `classification`: the halves as they are, y being the class. `one-vs-rest`: see `one_vs_rest`.
    """

    def classification(seed: int, data_dir: Any) -> Dataset:
        arrays = read(seed, data_dir)
        return Dataset(
            name, "classification", seed, *arrays, class_names=class_names, description=description
        )

    def single_class(seed: int, data_dir: Any, *, normal_class: int = 0) -> Dataset:
        arrays = read(seed, data_dir)
        return one_vs_rest(name, seed, arrays, class_names, normal_class, description)

    return {"classification": classification, "one-vs-rest": single_class}


def anomaly(
    name: str,
    protocol: str,
    seed: int,
    train: tuple[Array, Array],
    test: tuple[Array, Array],
    class_names: tuple[str, str],
    description: str,
) -> Dataset:
    """Train on the normal rows of a labelled training set; all of it is the calibration set.

    `train` and `test` are rows (rows, ...) and whether they are abnormal (rows,); `class_names` are
    those of normal and abnormal rows.
    """
    (x, abnormal), (x_test, abnormal_test) = train, test
    x_train = x[~abnormal]
    return Dataset(
        name,
        protocol,
        seed,
        x_train=x_train,
        y_train=np.zeros(len(x_train), "int64"),
        x_test=x_test,
        y_test=abnormal_test.astype("int64"),
        x_calibration=x,
        y_calibration=abnormal.astype("int64"),
        class_names=class_names,
        description=description,
    )


def one_vs_rest(
    name: str,
    seed: int,
    arrays: Arrays,
    class_names: tuple[str, ...],
    normal_class: int,
    description: str,
) -> Dataset:
    """Train on one class's training rows, test on all test rows, other classes being abnormal.

    There is no calibration set: the protocol, the usual one for images, allows no abnormal rows
    before the test. Report the AUROC of each normal class and their mean.
    """
    is_int = isinstance(normal_class, int | np.integer) and not isinstance(normal_class, bool)
    if not is_int or not 0 <= normal_class < len(class_names):
        known = ", ".join(f"{number} ({label})" for number, label in enumerate(class_names))
        raise ValueError(
            f"unknown normal_class {normal_class!r} of {name}; expected one of {known}"
        )
    x_train = arrays.x_train[arrays.y_train == normal_class]
    normal = class_names[normal_class]
    return Dataset(
        name,
        "one-vs-rest",
        seed,
        x_train=x_train,
        y_train=np.zeros(len(x_train), "int64"),
        x_test=arrays.x_test,
        y_test=(arrays.y_test != normal_class).astype("int64"),
        class_names=(normal, "rest"),
        description=f"{description} Normal: class {normal_class}, {normal}.",
    )
