"""The one place where whatever reaches a model is checked, before any work is lost."""

import abc
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.inputs import batches as inputs
from delvm_tf.inputs.arrays import as_array, as_values, is_array
from delvm_tf.inputs.columns import check_names, names_of
from delvm_tf.training.fit_arguments import require_one_tensor
from delvm_tf.training.objective_training import ObjectiveTraining

Names = Sequence[str] | None


class CheckedEntries(ObjectiveTraining):
    """A model each of whose entries reads and checks its inputs in the same way.

    Wherever data come in, `received` sees them first: x must be dense real numbers, without masked
    or missing values, of the model's shape and with the names of its columns; the model must be
    adapted, and gets its weights if it has none yet. Nested lists, tables and streams are read as
    arrays are (see `delvm_tf.inputs.arrays`); what is in memory is looked through as a whole, and
    streams batch by batch.
    """

    @property
    @abc.abstractmethod
    def input_shape_or_none(self) -> tuple[int, ...] | None:
        """Shape of one input, once the model is built."""

    @property
    @abc.abstractmethod
    def feature_names_in_(self) -> tuple[str, ...] | None:
        """Names of the columns that the model was adapted on, or None if they had none."""

    # Keras's entries.

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_data: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Train the model; arguments as for `keras.Model.fit`.

        Labels play no part in unsupervised objectives, sample weights do. Data are checked first,
        and a `DivergenceGuard` watches the run unless one is among the callbacks. With
        several workers, or a `BackupAndRestore` among the callbacks, the order of an array's rows
        depends only on the number of the epoch; and only the chief's callbacks write. A model that
        needs no `adapt` takes the names of the columns from the x of its first `fit`.

        Raises:
            TypeError: if x does not hold real numbers.
            ValueError: if the model is not adapted, the names of the columns are others than those
                of `adapt`, or x is empty, of the wrong shape, or has a masked value, a NaN or
                infinity, or labels or weights have another length.
            TrainingDiverged: if training runs away; the model keeps its last good weights.
            WorkerLost: if another worker cannot be reached any more.
        """
        with self._names_of_first(x):
            x, y, sample_weight = self.received(x, y, sample_weight)
            if isinstance(validation_data, tuple | list) and validation_data:
                parts = keras.utils.unpack_x_y_sample_weight(tuple(validation_data))
                validation_data = self.received(*parts)
            elif validation_data is not None:
                validation_data, _, _ = self.received(validation_data)
            return super().fit(
                x, y, batch_size=batch_size, epochs=epochs, verbose=verbose, callbacks=callbacks,
                validation_data=validation_data, sample_weight=sample_weight, **kwargs,
            )  # fmt: skip

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """The objective and metrics on data; arguments as for `keras.Model.evaluate`."""
        if not kwargs.get("_use_cached_eval_dataset"):  # `fit` has seen them
            x, y, sample_weight = self.received(x, y, sample_weight)
        return super().evaluate(
            x, y, batch_size=batch_size, verbose=verbose, sample_weight=sample_weight, **kwargs
        )

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> np.ndarray:
        """Reconstructions in raw units; arguments as for `keras.Model.predict`."""
        x, _, _ = self.received(x)
        return super().predict(x, batch_size=batch_size, **kwargs)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """One step on a batch; arguments as for `keras.Model.train_on_batch`.

        As in training on a stream, a step whose x is not finite changes nothing.
        """
        with self._names_of_first(x):
            x, y, sample_weight = self.received(x, y, sample_weight, finite=False)
            return super().train_on_batch(x, y, sample_weight, *args, **kwargs)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """The objective on a batch; arguments as for `keras.Model.test_on_batch`."""
        x, y, sample_weight = self.received(x, y, sample_weight)
        return super().test_on_batch(x, y, sample_weight, *args, **kwargs)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """Reconstructions of a batch, in raw units."""
        x, _, _ = self.received(x)
        return super().predict_on_batch(x)

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Reconstructions of a batch, in raw units, or a part of a graph."""
        if isinstance(x, keras.KerasTensor) or not tf.executing_eagerly():
            self._require_adapted()
            if tf.executing_eagerly():
                self._build_for(tuple(x.shape)[1:])
            return super().__call__(x, *args, **kwargs)
        if not is_array(x):
            as_array(x)  # raises, and says what to do
        # Keras calls the model with tensors where it has taken the names off.
        x, _, _ = self.received(x, compare=not isinstance(x, tf.Tensor))
        return super().__call__(x, *args, **kwargs)

    def export(self, filepath: Any, format: str = "tf_saved_model", **kwargs: Any) -> None:
        """Write the reconstruction as a SavedModel with the endpoint `serve`, as Keras does.

        Inputs are float32 unless `input_signature` says otherwise. `dv.serving.export_saved_model`
        serves scores, features and decisions too.

        Raises:
            ValueError: if the model is not ready, or for another format.
        """
        if format != "tf_saved_model":
            other = "dv.serving.export_onnx(model, path)" if format == "onnx" else "a SavedModel"
            raise ValueError(
                f"{type(self).__name__} cannot be exported as {format!r} by Keras, whose file "
                f"would not run; use {other}"
            )
        self._require_ready("exporting")
        if kwargs.get("input_signature") is None:
            shape = (None, *(self.input_shape_or_none or ()))
            dtype = self.normalization.result_dtype
            kwargs["input_signature"] = [keras.InputSpec(shape=shape, dtype=dtype)]
        self._called = True  # Keras wants a call where the signature tells all
        super().export(filepath, format, **kwargs)

    # What they share.

    def received(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        compare: bool = True,
        finite: bool = True,
    ) -> tuple[Any, Any, Any]:
        """Inputs, labels and weights, read and checked; builds the model for them.

        Args:
            x: an array, table or nested list, or a stream of batches.
            y: labels, or None.
            sample_weight: weights, or None.
            compare: whether to compare the names of the columns.
            finite: whether to look for NaN and infinity in what is in memory.

        Raises:
            TypeError: if x is of no such kind or does not hold real numbers.
            ValueError: if the model is not adapted, or x is not what it was adapted to.
        """
        self._require_adapted()
        labels = as_values(y, "labels y")
        weights = as_values(sample_weight, "sample_weight")
        compare_names = self._compare_names if compare else _ignore_names
        if is_array(x):
            compare_names(names_of(x))
            check = inputs.check_array if finite else inputs.read_rows
            x = check(x, self.input_shape_or_none, type(self).__name__)
            self._build_for(tuple(x.shape)[1:])
        else:
            x = self._stream(x, compare_names)
        return x, labels, weights

    def _stream(self, x: Any, compare_names: Callable[[Names], None]) -> Any:
        """A stream whose batches are read as arrays are."""
        owner = type(self).__name__
        names = names_of(x)

        def read(element: Any, first: bool = False) -> Any:
            batch = inputs.inputs_of(element)
            if isinstance(batch, Mapping):
                require_one_tensor(batch)
            if first or names_of(batch) is not None:
                compare_names(names_of(batch) or names)
            rows = inputs.read_rows(batch, self.input_shape_or_none, owner)
            return inputs.with_inputs(element, rows)

        if isinstance(x, tf.data.Dataset):
            compare_names(names)
            self._check_spec(inputs.inputs_of(x.element_spec))
            shape = inputs.shape_of_one(x)
            if self.input_shape_or_none is None and shape is None:
                for element in x.take(1):
                    shape = tuple(inputs.inputs_of(element).shape)[1:]
            self._build_for(shape)
            return x
        if isinstance(x, keras.utils.PyDataset):
            if x.num_batches != 0:
                element = read(x[0], first=True)
                self._build_for(tuple(inputs.inputs_of(element).shape)[1:])
            return _ReadPyDataset(x, read)
        if isinstance(x, Iterator):
            element = next(x, None)
            if element is None:
                raise ValueError(f"{owner} got an empty data set")
            element = read(element, first=True)
            self._build_for(tuple(inputs.inputs_of(element).shape)[1:])
            return _in_tuples(element, map(read, x))
        require_one_tensor(x)
        if hasattr(x, "shape") or hasattr(x, "collect"):
            as_array(x)  # raises, and says what to do
        known = hasattr(x, "__iter__") and not isinstance(x, str | bytes | dict | Sequence | Set)
        if not known:
            raise TypeError(
                f"{owner} expects an array, a table, a tf.data.Dataset or a keras.utils.PyDataset, "
                f"got {type(x).__name__}"
            )
        return x  # what Keras may know, such as a loader of PyTorch

    def _check_spec(self, spec: Any) -> None:
        """What is known of the batches of a stream beforehand."""
        owner = type(self).__name__
        require_one_tensor(spec)
        if not isinstance(spec, tf.TensorSpec):
            raise TypeError(
                f"{owner} expects batches of dense tensors, got {spec}; map the data set to one "
                f"tensor, (x, y) or (x, y, weight)"
            )
        inputs.check_dtype(spec.dtype)
        if spec.shape.rank is not None:
            inputs.check_shape(spec.shape, self.input_shape_or_none, owner)
            if spec.shape.rank < 2:
                raise ValueError(
                    f"{owner} expects batches (batch, ...), got shape {tuple(spec.shape)}; data "
                    f"sets must be batched: ds.batch(100)"
                )

    def _compare_names(self, names: Names) -> None:
        check_names(names, self.feature_names_in_, type(self).__name__)

    @contextmanager
    def _names_of_first(self, x: Any) -> Iterator[None]:
        """Take over the names of x, if the model learns from it first; not where that fails."""
        normalization = self.normalization
        untouched = normalization.mode == "none" and self.feature_names_in_ is None
        if not untouched or self._has_learned():
            yield
            return
        normalization.feature_names = inputs.stream_names(x)
        try:
            yield
        except BaseException:  # an interruption too: nothing was learned
            normalization.feature_names = None
            raise

    def _has_learned(self) -> bool:
        seen = self.normalization.examples_seen if self.normalization.built else 0
        steps = getattr(getattr(self, "optimizer", None), "iterations", 0)
        return int(keras.ops.convert_to_numpy(seen)) + int(keras.ops.convert_to_numpy(steps)) > 0

    def _build_for(self, shape: tuple[int | None, ...] | None) -> None:
        """Create the weights for inputs of a shape, if it is known and they are not there."""
        if not self.built and shape is not None and None not in shape:
            with self.distribute_strategy.scope():
                self.build((None, *shape))

    def _require_adapted(self) -> None:
        if not self.normalization.adapted:
            raise ValueError(
                f"the model is not adapted: normalization={self.normalization.mode!r} needs the "
                f"statistics of the training data. Call model.adapt(x) first, or choose "
                f"normalization='none'."
            )

    def _require_ready(self, before: str) -> None:
        self._require_adapted()
        if not self.built:
            raise ValueError(
                f"the model is not built, so the shape of its inputs is not known; call "
                f"model.adapt(x) or model.build((None, *shape)) before {before}"
            )


def _ignore_names(names: Names) -> None:
    """Where the columns had names, they have been compared."""


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
