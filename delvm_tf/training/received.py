"""Where whatever reaches a model is read and checked, once and before any work is lost."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.inputs import batches as inputs
from delvm_tf.inputs.arrays import as_array, as_values, is_array
from delvm_tf.inputs.columns import check_names, names_of
from delvm_tf.training import fit_arguments
from delvm_tf.training.array_batches import array_batches

BATCH_SIZE = 32  # of Keras

Names = Sequence[str] | None


class Received(NamedTuple):
    """Inputs, labels and weights that have been read and checked.

    Attributes:
        x: an array or tensor of all rows, or a stream of batches.
        y: labels of an array, or None.
        sample_weight: weights of an array, (n,), or None.
        labelled: whether there are labels, those of a stream too; True where nobody knows.
        in_memory: whether x is an array.
    """

    x: Any
    y: Any
    sample_weight: Any
    labelled: bool
    in_memory: bool

    def split(self, share: float) -> tuple[Self, Self]:
        """The first rows for training, and a share of the last ones for validation.

        Raises:
            ValueError: if one part would be empty.
        """
        rows = math.floor(len(self.x) * (1.0 - share))
        if not 0 < rows < len(self.x):
            raise ValueError(
                f"validation_split={share!r} of {len(self.x)} examples leaves none for training or "
                f"none for validation"
            )
        first, last = (
            self._replace(
                x=self.x[part],
                y=None if self.y is None else self.y[part],
                sample_weight=None if self.sample_weight is None else self.sample_weight[part],
            )
            for part in (slice(rows), slice(rows, None))
        )
        return first, last

    def weighed(self, class_weight: Mapping[int, float] | None) -> Self:
        """With the weights of the labels' classes; of a stream Keras takes care.

        Raises:
            TypeError: if they are no dict of numbers.
            ValueError: if they make no sense for the labels, or there are other weights.
        """
        if class_weight is None:
            return self
        fit_arguments.check_class_weight(class_weight, self.labelled)
        if not self.in_memory:
            return self
        if self.sample_weight is not None:
            raise ValueError("give class_weight or sample_weight, not both")
        weights = fit_arguments.weights_of_classes(self.y, class_weight)
        return self._replace(sample_weight=weights)

    def steps(self, batch_size: int | None = None) -> int:
        """Batches of an epoch over an array."""
        return math.ceil(len(self.x) / (batch_size or BATCH_SIZE))

    def batches(
        self,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool | str = False,
        epochs: range | None = None,
    ) -> Any:
        """What Keras is given: a stream as it is, an array as batches; see `array_batches`."""
        if not self.in_memory:
            return self.x
        size = batch_size or (math.ceil(len(self.x) / steps) if steps else BATCH_SIZE)
        y = self.y
        if y is None and self.sample_weight is not None:
            y = np.zeros(len(self.x), np.float32)  # nobody looks at them: `require_labels`
        parts = tuple(part for part in (self.x, y, self.sample_weight) if part is not None)
        return array_batches(parts, size, shuffle, epochs)


def received(
    model: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    compare: bool = True,
    finite: bool = True,
) -> Received:
    """Inputs, labels and weights, read and checked; builds the model for them.

    x must be dense real numbers, without masked or missing values, of the model's shape and with
    the names of its columns. What is in memory is looked through as a whole; streams are, batch by
    batch, as far as they hold arrays.

    Args:
        model: whose data they are.
        x: an array, table or nested list, or a stream of batches.
        y: labels, or None.
        sample_weight: weights, or None.
        compare: whether to compare the names of the columns.
        finite: whether to look for NaN and infinity in what is in memory.

    Raises:
        TypeError: if x is of no such kind or does not hold real numbers.
        ValueError: if the model is not adapted, x is not what it was adapted to, or labels or
            weights have another length or are no such thing.
    """
    require_adapted(model)
    y, sample_weight = as_values(y, "labels y"), as_values(sample_weight, "sample_weight")
    if not is_array(x):
        if y is not None or sample_weight is not None:
            raise ValueError(
                "x is a stream, whose labels and weights are part of its batches, (x, y) or "
                "(x, y, weight); leave out y and sample_weight"
            )
        stream, labelled = _stream(model, x, compare)
        return Received(stream, None, None, labelled, in_memory=False)
    if compare:
        compare_names(model, names_of(x))
    check = inputs.check_array if finite else inputs.read_rows
    x = check(x, model.input_shape_or_none, type(model).__name__)
    build_for(model, tuple(x.shape)[1:])
    y = fit_arguments.checked_labels(x, y, bool(model.ranking_metrics))
    weights = fit_arguments.checked_weights(x, sample_weight)
    return Received(x, y, weights, labelled=y is not None, in_memory=True)


def _stream(model: Any, x: Any, compare: bool) -> tuple[Any, bool]:
    """A stream whose batches are read as arrays are, and whether they have labels."""
    owner = type(model).__name__
    names = names_of(x)

    def read(element: Any, first: bool = False) -> Any:
        batch = inputs.inputs_of(element)
        if isinstance(batch, Mapping):
            fit_arguments.require_one_tensor(batch)
        if compare and (first or names_of(batch) is not None):
            compare_names(model, names_of(batch) or names)
        rows = inputs.read_rows(batch, model.input_shape_or_none, owner)
        if first:
            build_for(model, tuple(rows.shape)[1:])
        return inputs.with_inputs(element, rows)

    if isinstance(x, tf.data.Dataset):
        if compare:
            compare_names(model, names)
        _check_spec(model, inputs.inputs_of(x.element_spec))
        shape = inputs.shape_of_one(x)
        if model.input_shape_or_none is None and shape is None:
            for element in x.take(1):
                shape = tuple(inputs.inputs_of(element).shape)[1:]
        build_for(model, shape)
        return x, inputs.has_labels(x.element_spec)
    if isinstance(x, keras.utils.PyDataset):
        labelled = x.num_batches != 0 and inputs.has_labels(read(x[0], first=True))
        return _ReadPyDataset(x, read), labelled
    if isinstance(x, Iterator):
        element = next(x, None)
        if element is None:
            raise ValueError(f"{owner} got an empty data set")
        element = read(element, first=True)
        return _in_tuples(element, map(read, x)), inputs.has_labels(element)
    fit_arguments.require_one_tensor(x)
    if hasattr(x, "shape") or hasattr(x, "collect"):
        as_array(x)  # raises, and says what to do
    known = hasattr(x, "__iter__") and not isinstance(x, str | bytes | dict | Sequence | Set)
    if not known:
        raise TypeError(
            f"{owner} expects an array, a table, a tf.data.Dataset or a keras.utils.PyDataset, "
            f"got {type(x).__name__}"
        )
    return x, True  # what Keras may know, such as a loader of PyTorch


def _check_spec(model: Any, spec: Any) -> None:
    """What is known of the batches of a stream beforehand."""
    owner = type(model).__name__
    fit_arguments.require_one_tensor(spec)
    if not isinstance(spec, tf.TensorSpec):
        raise TypeError(
            f"{owner} expects batches of dense tensors, got {spec}; map the data set to one "
            f"tensor, (x, y) or (x, y, weight)"
        )
    inputs.check_dtype(spec.dtype)
    if spec.shape.rank is not None:
        inputs.check_shape(spec.shape, model.input_shape_or_none, owner)
        if spec.shape.rank < 2:
            raise ValueError(
                f"{owner} expects batches (batch, ...), got shape {tuple(spec.shape)}; data "
                f"sets must be batched: ds.batch(100)"
            )


# What a model must be before it takes data.


def require_adapted(model: Any) -> None:
    """Refuse a model whose normalisation has no statistics.

    Raises:
        ValueError: what to do about it.
    """
    if not model.normalization.adapted:
        raise ValueError(
            f"the model is not adapted: normalization={model.normalization.mode!r} needs the "
            f"statistics of the training data. Call model.adapt(x) first, or choose "
            f"normalization='none'."
        )


def require_ready(model: Any, before: str) -> None:
    """Refuse a model that is not adapted or not built, before what needs both.

    Raises:
        ValueError: what to do about it.
    """
    require_adapted(model)
    if not model.built:
        raise ValueError(
            f"the model is not built, so the shape of its inputs is not known; call "
            f"model.adapt(x) or model.build((None, *shape)) before {before}"
        )


def build_for(model: Any, shape: tuple[int | None, ...] | None) -> None:
    """Create the weights for inputs of a shape, if it is known and they are not there."""
    if not model.built and shape is not None and None not in shape:
        with model.distribute_strategy.scope():
            model.build((None, *shape))


def compare_names(model: Any, names: Names) -> None:
    """Compare the names of columns with those that the model was adapted on; see `check_names`."""
    check_names(names, model.feature_names_in_, type(model).__name__)


@contextmanager
def names_of_first(model: Any, x: Any) -> Iterator[None]:
    """Take over the names of x, if the model learns from it first; not where that fails."""
    normalization = model.normalization
    untouched = normalization.mode == "none" and model.feature_names_in_ is None
    if not untouched or _has_learned(model):
        yield
        return
    normalization.feature_names = inputs.stream_names(x)
    try:
        yield
    except BaseException:  # an interruption too: nothing was learned
        normalization.feature_names = None
        raise


def _has_learned(model: Any) -> bool:
    seen = model.normalization.examples_seen if model.normalization.built else 0
    steps = getattr(getattr(model, "optimizer", None), "iterations", 0)
    return int(np.asarray(seen)) + int(np.asarray(steps)) > 0


def _in_tuples(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    """The elements of a generator, as Keras wants them."""
    for element in itertools.chain([first], rest):
        yield element if isinstance(element, tuple) else (element,)


class _ReadPyDataset(keras.utils.PyDataset):
    """A data set whose batches are read as arrays are."""

    def __init__(self, data: keras.utils.PyDataset, read: Callable[[Any], Any]):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self._data = data
        self._read = read

    def __getitem__(self, index: int) -> Any:
        """A batch."""
        return self._read(self._data[index])

    @property
    def num_batches(self) -> int | None:
        """Batches of an epoch; None without end."""
        return self._data.num_batches

    def on_epoch_begin(self) -> None:
        """Tell the data set."""
        self._data.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tell the data set."""
        self._data.on_epoch_end()
