"""Checking labels, weights and numbers that `fit` and `evaluate` are given beside x."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.inputs import batches as inputs

# What `fit` counts in, and the least of it.
_COUNTS = {
    "batch_size": 1, "epochs": 0, "steps_per_epoch": 1, "steps": 1, "validation_steps": 1,
    "validation_batch_size": 1, "initial_epoch": 0,
}  # fmt: skip


def check_counts(**counts: Any) -> None:
    """Refuse numbers of rows, steps and epochs that are not whole or too small; None is left out.

    Raises:
        TypeError: for what is not a whole number.
        ValueError: for a number below the least.
    """
    for name, number in counts.items():
        least = _COUNTS.get(name)
        if number is None or least is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise TypeError(f"{name} must be a whole number, got {number!r}")
        if number < least:
            raise ValueError(f"{name} must be at least {least}, got {number}")


def check_validation(validation_data: Any, runs: int, **arguments: Any) -> None:
    """Refuse what would end or validate differently from one epoch to the next.

    Args:
        validation_data: as for `fit`.
        runs: how many epochs there are.
        **arguments: all others of `fit`.

    Raises:
        ValueError: for an impossible frequency, or a generator that is read to its end at once.
    """
    every = arguments.get("validation_freq", 1)
    if not isinstance(every, list | tuple | set) and (not isinstance(every, int) or every < 1):
        raise ValueError(
            f"validation_freq must be a number of epochs of at least 1, or a list of epochs, got "
            f"{every!r}"
        )
    is_generator = hasattr(validation_data, "__next__")
    if is_generator and runs > 1 and arguments.get("validation_steps") is None:
        raise ValueError(
            "a generator as validation_data can be read only once, but there are several epochs; "
            "give validation_steps=... for one that never ends, or else arrays, a tf.data.Dataset "
            "or a keras.utils.PyDataset"
        )


def checked_labels(x: Any, y: Any, binary: bool = False) -> Any:
    """Labels of an array as an array of numbers.

    Args:
        x: the inputs.
        y: labels, one or one row for each input, or None.
        binary: whether a metric asks for zeros and ones.

    Raises:
        TypeError: if they are not numbers.
        ValueError: for another length, or other labels than asked for.
    """
    if y is None:
        return None
    labels = _numbers(y, "labels y", "leave them out, or give a number to each class")
    if labels.ndim == 0:
        raise ValueError(f"labels y must be one for each example, got the number {labels}")
    inputs.check_lengths(x, labels)
    if binary and labels.size != len(labels):
        raise ValueError(
            f"metrics that rank take one label for each example, (n,), got shape {labels.shape}"
        )
    if binary and not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"metrics that rank take labels y of 1 = abnormal and 0 = normal, got "
            f"{np.unique(labels)[:5].tolist()}"
        )
    return y if isinstance(y, tf.Tensor) else labels


def checked_weights(x: Any, sample_weight: Any) -> Any:
    """Weights of the rows of an array, (n,).

    Raises:
        TypeError: if they are not numbers.
        ValueError: for another length or shape, or if one is negative, NaN or infinite.
    """
    if sample_weight is None:
        return None
    weights = _numbers(sample_weight, "sample_weight", "one number for each example")
    if weights.ndim == 0 or weights.size != len(weights):
        raise ValueError(
            f"sample_weight must be one number for each example, (n,), got shape {weights.shape}"
        )
    inputs.check_lengths(x, weights, "sample_weight")
    weights = weights.reshape(-1).astype("float32" if weights.dtype.kind == "b" else weights.dtype)
    if not np.isfinite(weights).all() or (weights < 0).any():
        bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
        raise ValueError(
            f"sample_weight has negative, NaN or infinite values in {len(bad)} of {len(weights)} "
            f"examples (first rows: {bad[:5].tolist()})"
        )
    return weights


def check_class_weight(class_weight: Any, labelled: bool) -> None:
    """Refuse weights of classes that are no dict of weights, or are given without labels.

    Raises:
        TypeError: if they are no dict from whole numbers.
        ValueError: if a weight is negative or not finite, or there are no labels.
    """
    numbers = class_weight if isinstance(class_weight, Mapping) else [None]
    if any(isinstance(n, bool) or not isinstance(n, int | np.integer) for n in numbers):
        raise TypeError(
            f"class_weight must be a dict from numbers of classes to weights, such as "
            f"{{0: 1.0, 1: 5.0}}, got {class_weight!r}"
        )
    if bad := [weight for weight in class_weight.values() if not 0 <= weight < math.inf]:
        raise ValueError(f"class_weight takes finite weights of at least 0, got {bad[0]!r}")
    if not labelled:
        raise ValueError(
            "class_weight weighs examples by their labels, but the data hold no labels y; give "
            "labels, or sample_weight=..."
        )


def weights_of_classes(y: Any, class_weight: Mapping[int, float]) -> np.ndarray:
    """The weight of the class of each label, (n,); 1 for a class without one.

    Labels are numbers of classes, (n,) or (n, 1), or have one column for each class.

    Raises:
        ValueError: for labels that are not whole numbers.
    """
    labels = np.asarray(y)
    if not np.array_equal(labels, np.round(labels)):
        raise ValueError("class_weight needs labels y that are whole numbers, the classes'")
    if labels.ndim > 1:
        labels = labels[:, 0] if labels.shape[1] == 1 else labels.argmax(axis=1)
    return np.array([class_weight.get(int(label), 1.0) for label in labels], np.float32)


def require_one_tensor(x: Any) -> None:
    """Refuse batches whose x is more than one tensor, or the specification of such.

    Raises:
        TypeError: for a dict of columns, say.
    """
    if isinstance(x, Mapping | list | tuple):
        what = f"a dict of {', '.join(map(str, x))}" if isinstance(x, Mapping) else "several"
        raise TypeError(
            f"a batch must hold one tensor x, (batch, ...), but this holds {what}; join its parts "
            f"first, for instance dataset.map(lambda d: tf.stack(list(d.values()), axis=-1))"
        )


def unpacked(data: Any) -> tuple[tf.Tensor, Any, Any]:
    """The x, y and weights of a batch; weights (batch,).

    Without a graph Keras hands over arrays of `train_on_batch` as they are; x becomes a tensor.

    Raises:
        TypeError: if x is not a single tensor, such as a dict of columns.
        ValueError: for weights of another shape.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    require_one_tensor(x)
    if isinstance(x, np.ndarray):
        x = tf.convert_to_tensor(x)
    if sample_weight is not None:
        sample_weight = tf.convert_to_tensor(sample_weight)
        shape = sample_weight.shape
        if shape.rank is not None and (shape.rank == 0 or any(n != 1 for n in shape[1:])):
            raise ValueError(
                f"sample weights must be one number for each example, (batch,), got {shape}"
            )
        sample_weight = tf.reshape(sample_weight, (-1,))
    return x, y, sample_weight


def _numbers(values: Any, what: str, hint: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise TypeError(f"{what} must be numbers, got dtype {array.dtype}; {hint}")
    return array
