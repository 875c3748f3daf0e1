"""From labelled rows to the training and test rows of a protocol."""

import numpy as np

from delvm_tf.datasets.archive import Arrays
from delvm_tf.datasets.dataset import Array, Dataset


def classification(
    name: str, seed: int, arrays: Arrays, class_names: tuple[str, ...], description: str
) -> Dataset:
    """The halves of a labelled data set as they are, y being the class."""
    return Dataset(
        name,
        "classification",
        seed,
        *arrays,
        class_names=class_names,
        description=description,
    )


def anomaly(
    name: str,
    protocol: str,
    seed: int,
    train: tuple[Array, Array],
    test: tuple[Array, Array],
    class_names: tuple[str, str],
    description: str,
) -> Dataset:
    """Train on the normal rows of a labelled training set; its whole is the calibration set.

    Args:
        name: name of the data set.
        protocol: name of the protocol.
        seed: seed of the protocol.
        train: rows (rows, ...) and whether they are abnormal (rows,).
        test: the same for the test rows.
        class_names: what normal and abnormal rows are.
        description: one line about the rows.

    Returns:
        The data set, y 1 = abnormal.
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

    There is no calibration set: the protocol allows no abnormal rows before the test. It is the
    usual one for images; report AUROC per normal class and the mean over the classes.

    Raises:
        ValueError: if `normal_class` is not the number of a class.
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
