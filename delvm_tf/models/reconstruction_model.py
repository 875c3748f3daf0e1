"""The base of all models: a network that reconstructs its inputs, and its functions of raw data."""

import abc
import functools
import inspect
import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.curvature.graph import structure_key
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.inputs import batches as inputs
from delvm_tf.inputs.columns import check_names
from delvm_tf.keras_private import built_or_untouched
from delvm_tf.models.compiled import CompiledFunctions
from delvm_tf.models.feature_maps import flatten_map
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.objective import Objective
from delvm_tf.training.custom_objects import loading_error
from delvm_tf.training.objective_training import ObjectiveTraining
from delvm_tf.training.received import build_for, compare_names, require_adapted

BATCH_SIZE = 512  # examples scored at a time


class ReconstructionModel(ObjectiveTraining):
    """An unsupervised model that reconstructs its inputs and has hidden variables.

    A subclass gives `normalized_reconstruction` and `normalized_hidden`; the rest follows: the
    reconstruction error ‖x − x̂‖², features, training, detection, export.

    Methods named `normalized_…` take and return normalised units, z = normalization(x), and are
    what objectives call. The public ones take x in raw units, (batch, ...) of any real type: an
    array, a table, a nested list or a stream of batches. Where the data of `adapt` had names of
    columns, other names or another order are refused. Errors are in normalised units,
    reconstructions in raw units, float64 for x of float64 or 32-bit and wider integers. Arrays are
    checked and computed `batch_size` examples at a time; inside a `tf.function` they become part
    of its graph.

    Args:
        objective: how the model is learned.
        normalization: `"center"`, `"zscore"`, `"minmax"`, `"zca"`, `"none"` or None,
            or an `InputNormalization`; all but `"none"` need `adapt` before `fit`.
        scale: factor on the normalised inputs.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        TypeError: if the objective makes no sense for the model.

    Examples:
        Principal components as a model; it has no weights, so there is nothing to learn:

        >>> class PCA(dv.ReconstructionModel):
        ...     def __init__(self, components):
        ...         super().__init__(dv.Reconstruction())
        ...         self.components = components  # orthonormal, (d, k)
        ...     def normalized_hidden(self, z):
        ...         return tf.matmul(z, self.components)
        ...     def normalized_reconstruction(self, z):
        ...         return tf.matmul(self.normalized_hidden(z), self.components, transpose_b=True)
        >>> model = PCA(np.eye(6, 2, dtype="float32"))
        >>> model.adapt(x)
        >>> np.allclose(model.reconstruct(x)[:, :2], x[:, :2], atol=1e-5)
        True
    """

    def __init__(
        self,
        objective: Objective,
        normalization: str | InputNormalization | None = "center",
        scale: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(objective, **kwargs)
        if isinstance(normalization, InputNormalization):
            if scale not in (1.0, normalization.scale):
                raise ValueError("give the scale to the InputNormalization, or its name and scale")
            self.normalization = normalization
        else:
            self.normalization = InputNormalization(
                normalization, scale, dtype=self.dtype_policy, name="normalization"
            )
        self._compiled_functions = CompiledFunctions()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        made_from: Any = type(self)
        if name in _arguments_of(made_from) and "_compiled_functions" in self.__dict__:
            # Graphs have the old value in them.
            self._compiled_functions.clear()
            self.train_function = self.test_function = self.predict_function = None

    # What a subclass gives, in normalised units.

    @abc.abstractmethod
    def normalized_reconstruction(self, z: tf.Tensor) -> tf.Tensor:
        """What the model makes of z, shape of z."""

    def training_reconstruction(self, z: tf.Tensor) -> tf.Tensor:
        """What `Reconstruction` trains: `normalized_reconstruction`, with dropout at work."""
        return self.normalized_reconstruction(z)

    def normalized_hidden(self, z: tf.Tensor) -> tf.Tensor:
        """The mean of the hidden variables given z, (batch, ...)."""
        raise TypeError(f"{type(self).__name__} defines no hidden variables")

    def normalized_features(self, z: tf.Tensor) -> list[tf.Tensor]:
        """Feature maps, (batch, ...) each; the hidden mean unless a subclass has more."""
        return [self.normalized_hidden(z)]

    def build_parameters(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights, for normalised inputs of `input_shape`; for subclasses."""

    # The public functions, in raw units.

    def reconstruct(self, x: Any, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Reconstruction in raw units, shape of x."""
        return self._batchwise("reconstruct", self.call, x, batch_size, self._compiled_functions)

    def reconstruction_error(self, x: Any, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Reconstruction error ‖z − ẑ‖² in normalised units, (batch,)."""
        return self.apply("reconstruction_error", self._squared_residual, x, batch_size)

    def normalized_squared_residual(self, z: tf.Tensor) -> tf.Tensor:
        """The terms of the reconstruction error, (z − ẑ)², shape of z."""
        return tf.square(z - self.normalized_reconstruction(z))

    def _squared_residual(self, z: tf.Tensor) -> tf.Tensor:
        return sum_per_example(self.normalized_squared_residual(z))

    def hidden(self, x: Any, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Mean of the hidden variables E[h|x], (batch, ...)."""
        return self.apply("hidden", self.normalized_hidden, x, batch_size)

    def features(
        self, x: Any, pool: int | None = 2, layers: str = "all", batch_size: int = BATCH_SIZE
    ) -> tf.Tensor:
        """Feature maps of the network, max-pooled, flattened and joined, (batch, features).

        Args:
            x: inputs in raw units.
            pool: side of the max-pooling over positions, or None; vectors are not pooled.
            layers: `"all"` nonlinear layers or the `"last"` only.
            batch_size: examples at a time.
        """
        if layers not in ("all", "last"):
            raise ValueError(f"layers must be 'all' or 'last', got {layers!r}")

        return self.apply("features", JoinedFeatures(self, pool, layers), x, batch_size)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Reconstruction in raw units; what `predict` returns, batch by batch."""
        reconstruction = self.normalized_reconstruction(self.normalized(x))
        return self.normalization.invert(reconstruction, self.normalization.raw_dtype(x.dtype))

    def normalized(self, x: tf.Tensor) -> tf.Tensor:
        """A tensor of raw inputs in normalised units, checked as far as its form tells."""
        inputs.check_dtype(x.dtype)
        if x.shape.rank is None and self.built:  # a stream that says nothing of its batches
            x = tf.ensure_shape(x, (None, *(self.input_shape_or_none or ())))
        inputs.check_shape(x.shape, self.input_shape_or_none, type(self).__name__)
        if not self.built:
            self.build((None, *x.shape[1:]))
        require_adapted(self)
        return self.normalization.call(x)

    def apply(
        self,
        name: str,
        function: Callable[..., tf.Tensor],
        x: Any,
        batch_size: int = BATCH_SIZE,
        given: tuple[tf.Tensor, ...] = (),
    ) -> tf.Tensor:
        """A function of normalised inputs on x in raw units: checked, compiled, batch by batch.

        Args:
            name: what the function is called.
            function: of normalised inputs, (batch, ...); the first axis of its output is the batch.
                A method of this model, or a `FunctionOfModel`, is compiled once for each dtype. Any
                other function is compiled in every call, for what it depends on may have changed.
            x: inputs in raw units.
            batch_size: examples at a time.
            given: further arguments of the function, the same for all batches.
        """
        own = isinstance(function, FunctionOfModel) or getattr(function, "__self__", None) is self
        graphs = self._compiled_functions if own else CompiledFunctions()

        def of_raw(raw: tf.Tensor, *more: tf.Tensor) -> tf.Tensor:
            return function(self.normalized(raw), *more)

        return self._batchwise((name, function), of_raw, x, batch_size, graphs, given)

    def _batchwise(
        self,
        key: Hashable,
        function: Callable[..., tf.Tensor],
        x: Any,
        batch_size: int,
        graphs: CompiledFunctions,
        given: tuple[tf.Tensor, ...] = (),
    ) -> tf.Tensor:
        """A function of raw inputs, which a key identifies among graphs, batch by batch."""
        if isinstance(x, tf.Tensor) and not tf.executing_eagerly():
            return function(x, *given)
        require_adapted(self)
        more = tuple(tf.TensorSpec(each.shape, each.dtype) for each in given)
        results = []
        for batch in inputs.checked_batches(
            x,
            batch_size,
            self.input_shape_or_none,
            type(self).__name__,
            functools.partial(compare_names, self),
        ):
            build_for(self, tuple(batch.shape)[1:])  # outside of any graph
            tensor = self._to_tensor(batch)
            spec = tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)
            compiled = tf.function(function, autograph=False)
            graph = graphs.get(
                (key, spec, more, structure_key(self)),
                functools.partial(compiled.get_concrete_function, spec, *more),
            )
            results.append(graph(tensor, *given))
        if not results:
            raise ValueError(f"{type(self).__name__} got an empty data set")
        return results[0] if len(results) == 1 else tf.concat(results, axis=0)

    def _to_tensor(self, x: Any) -> tf.Tensor:
        """Floats shorter than those of z in its type, so that fewer graphs are needed."""
        t = tf.convert_to_tensor(x)
        short = t.dtype.is_floating and t.dtype != tf.float64
        return tf.cast(t, self.normalization.result_dtype) if short else t

    @property
    def input_shape_or_none(self) -> tuple[int, ...] | None:
        """Shape of one input, once the model is built."""
        return tuple(self.normalization.shift.shape) if self.normalization.built else None

    @property
    def feature_names_in_(self) -> tuple[str, ...] | None:
        """Names of the columns that the model was adapted on, or None if they had none."""
        return self.normalization.feature_names

    # Building and adapting.

    def build(self, input_shape: Any) -> None:
        """Create all weights for batches of `input_shape`, (batch, ...)."""
        if self.built:
            return
        shape = (None, *input_shape[1:])
        with built_or_untouched(self):
            if not self.normalization.built:  # a loaded one already is
                self.normalization.build(shape)
            self.build_parameters(shape)
            self.objective.build_for(self)
        self.built = True
        if not self.trainable:  # which then was said before there was anything to freeze
            for part in (*self.layers, *self.weights):
                part.trainable = False

    def adapt(self, data: Any, batch_size: int = 4096, steps: int | None = None) -> None:
        """Take the statistics of the input normalisation from the training data.

        Reads the data once, in float64 and constant memory. Names of the columns, of a table or of
        a stream that has `feature_names_in_`, are kept and compared with those of all later data.
        If it fails, the model stays as it was.

        Args:
            data: an array, a table, a nested list, a batched `tf.data.Dataset` or a `PyDataset`,
                of x, (x, y) or (x, y, weight).
            batch_size: rows of an array read at a time.
            steps: batches to read; all by default.

        Raises:
            TypeError: if the data are of no such kind or do not hold real numbers.
            ValueError: if the data are empty, of the wrong shape, have a NaN or infinity, fewer
                than two examples, or nothing but constant features.
        """
        owner = type(self).__name__
        statistics = self.normalization.new_statistics()
        names: list[Sequence[str] | None] = []

        def keep(seen: Sequence[str] | None) -> None:
            if names:
                check_names(seen, names[0], owner)
            names.append(seen)

        shape = self.input_shape_or_none
        stream = inputs.checked_batches(data, batch_size, shape, owner, keep)
        for batch in itertools.islice(stream, steps):
            if shape is None:
                shape = tuple(batch.shape)[1:]
            inputs.check_shape(batch.shape, shape, owner)
            statistics.update(np.asarray(batch))
        if statistics.count == 0:
            raise ValueError(f"{owner} cannot adapt to an empty data set")
        self.normalization.check_statistics(statistics, names[0])
        build_for(self, shape)
        self.normalization.feature_names = None if names[0] is None else tuple(names[0])
        self.normalization.set_statistics(statistics)

    # Saving.

    def get_build_config(self) -> dict[str, Any] | None:
        """The shape of the inputs."""
        return {"input_shape": (None, *(self.input_shape_or_none or ()))} if self.built else None

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving; subclasses add their own arguments."""
        frozen = {} if self.trainable else {"trainable": False}
        return {
            **frozen,
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "objective": keras.saving.serialize_keras_object(self.objective),
            "normalization": keras.saving.serialize_keras_object(self.normalization),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Make the model again from its configuration.

        Raises:
            ValueError: names the classes and functions that Keras does not know.
        """

        def made(value: Any) -> Any:
            if isinstance(value, list):
                return [made(each) for each in value]
            if isinstance(value, dict) and "class_name" in value:
                return keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)
            return value

        try:
            return cls(**{key: made(value) for key, value in config.items()})
        except (TypeError, ValueError) as error:
            if told := loading_error(config, cls.__name__, error):
                raise told from None
            raise


@dataclass(frozen=True)
class FunctionOfModel:
    """A function of normalised inputs with settings, equal to another of the same settings.

    Attributes:
        model: whose function it is.
    """

    model: Any


@dataclass(frozen=True)
class JoinedFeatures(FunctionOfModel):
    """The function that `features` computes."""

    pool: int | None
    layers: str

    def __call__(self, z: tf.Tensor, *given: tf.Tensor) -> tf.Tensor:
        """Features of z, (batch, features)."""
        maps = self.model.normalized_features(z, *given)
        maps = maps if self.layers == "all" else maps[-1:]
        return tf.concat([flatten_map(m, self.pool, z.dtype) for m in maps], axis=1)


@functools.cache
def _arguments_of(model_class: Any) -> frozenset[str]:
    """What a model is made from."""
    return frozenset(inspect.signature(model_class).parameters) - {"name", "dtype", "kwargs"}
