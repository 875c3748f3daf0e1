"""The base of all models: a network that reconstructs its inputs, and its functions of raw data."""

import abc
import itertools
from collections.abc import Callable
from typing import Any, Self

import keras
import tensorflow as tf

from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.models import inputs
from delvm_tf.models.features import flatten_map
from delvm_tf.models.objective_training import ObjectiveTraining
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.objective import Objective

BATCH_SIZE = 512  # examples scored at a time


class ReconstructionModel(ObjectiveTraining):
    """An unsupervised model that reconstructs its inputs and has hidden variables.

    A subclass gives `normalized_reconstruction` and `normalized_hidden`; the rest follows: the
    reconstruction error ‖x − x̂‖², features, training, detection, export.

    Methods named `normalized_…` take and return normalised units, z = normalization(x), and are
    what objectives call. The public ones take x in raw units, (batch, ...) of any real type.
    Errors are in normalised units, reconstructions in raw units. Arrays are checked and computed
    `batch_size` examples at a time; inside a `tf.function` they become part of its graph.

    Args:
        objective: how the model is learned.
        normalization: `"center"`, `"zscore"`, `"minmax"`, `"zca"`, `"none"`, or an
            `InputNormalization`; all but `"none"` need `adapt` before `fit`.
        scale: factor on the normalised inputs.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Raises:
        TypeError: if the objective makes no sense for the model.
    """

    def __init__(
        self,
        objective: Objective,
        normalization: str | InputNormalization = "center",
        scale: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(objective, **kwargs)
        self.objective.check_model(self)
        if isinstance(normalization, InputNormalization):
            if scale not in (1.0, normalization.scale):
                raise ValueError("give the scale to the InputNormalization, or its name and scale")
            self.normalization = normalization
        else:
            self.normalization = InputNormalization(
                normalization, scale, dtype=self.dtype_policy, name="normalization"
            )
        self._compiled_functions: dict[str, Any] = {}

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
        return self.apply("reconstruct", self._reconstruct, x, batch_size)

    def reconstruction_error(self, x: Any, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Reconstruction error ‖z − ẑ‖² in normalised units, (batch,)."""

        def error(z: tf.Tensor) -> tf.Tensor:
            return sum_per_example(tf.square(z - self.normalized_reconstruction(z)))

        return self.apply("reconstruction_error", error, x, batch_size)

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

        def joined(z: tf.Tensor) -> tf.Tensor:
            maps = self.normalized_features(z)
            maps = maps if layers == "all" else maps[-1:]
            return tf.concat([flatten_map(m, pool, z.dtype) for m in maps], axis=1)

        return self.apply(f"features pool={pool} layers={layers}", joined, x, batch_size)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Reconstruction in raw units; what `predict` returns, batch by batch."""
        return self._reconstruct(self._normalize(x))

    def _reconstruct(self, z: tf.Tensor) -> tf.Tensor:
        return self.normalization.invert(self.normalized_reconstruction(z))

    def _normalize(self, x: tf.Tensor) -> tf.Tensor:
        inputs.check_dtype(x.dtype)
        inputs.check_shape(x.shape, self.input_shape_or_none, type(self).__name__)
        if not self.built:
            self.build((None, *x.shape[1:]))
        self._require_adapted()
        return self.normalization.call(x)

    def _require_adapted(self) -> None:
        if not self.normalization.adapted:
            raise ValueError(
                f"the model is not adapted: normalization={self.normalization.mode!r} needs the "
                f"statistics of the training data. Call model.adapt(x) first, or choose "
                f"normalization='none'."
            )

    def apply(
        self,
        name: str,
        function: Callable[[tf.Tensor], tf.Tensor],
        x: Any,
        batch_size: int = BATCH_SIZE,
    ) -> tf.Tensor:
        """A function of normalised inputs on x in raw units: checked, compiled, batch by batch.

        Args:
            name: identifies the function, so that it is compiled once.
            function: of normalised inputs, (batch, ...); the first axis of its output is the batch.
            x: inputs in raw units.
            batch_size: examples at a time.
        """
        if isinstance(x, tf.Tensor) and not tf.executing_eagerly():
            return function(self._normalize(x))
        results = []
        for batch in inputs.checked_batches(
            x, batch_size, self.input_shape_or_none, type(self).__name__
        ):
            tensor = self._to_tensor(batch)
            results.append(self._compiled(name, function, tensor)(tensor))
        if not results:
            raise ValueError(f"{type(self).__name__} got an empty data set")
        return results[0] if len(results) == 1 else tf.concat(results, axis=0)

    def _compiled(
        self, name: str, function: Callable[[tf.Tensor], tf.Tensor], batch: tf.Tensor
    ) -> Callable[[tf.Tensor], tf.Tensor]:
        key = f"{name} {batch.dtype.name}"
        if key not in self._compiled_functions:
            self._normalize(batch[:1])  # builds the weights, outside of any graph
            self._compiled_functions[key] = tf.function(
                lambda x: function(self._normalize(x)), autograph=False
            ).get_concrete_function(tf.TensorSpec((None, *batch.shape[1:]), batch.dtype))
        return self._compiled_functions[key]

    def _to_tensor(self, x: Any) -> tf.Tensor:
        t = tf.convert_to_tensor(x)
        return tf.cast(t, self.normalization.result_dtype) if t.dtype.is_floating else t

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
        if not self.normalization.built:  # a loaded one already is
            self.normalization.build(shape)
        self.build_parameters(shape)
        self.objective.build_for(self)
        self.built = True
        if not self.trainable:  # which then was said before there was anything to freeze
            for part in (*self._layers, *self._trainable_variables):
                part.trainable = False
        self._build_shapes_dict = {"input_shape": shape}

    def adapt(self, data: Any, batch_size: int = 4096, steps: int | None = None) -> None:
        """Take the statistics of the input normalisation from the training data.

        Reads the data once, in float64 and constant memory.

        Args:
            data: an array, a batched `tf.data.Dataset` or a `PyDataset`, of x, (x, y) or
                (x, y, weight).
            batch_size: rows of an array read at a time.
            steps: batches to read; all by default.

        Raises:
            TypeError: if the data are of no such kind or do not hold real numbers.
            ValueError: if the data are empty, of the wrong shape, have a NaN or infinity, fewer
                than two examples, or nothing but constant features.
        """
        statistics = self.normalization.new_statistics()
        stream = inputs.checked_batches(
            data, batch_size, self.input_shape_or_none, type(self).__name__
        )
        for batch in itertools.islice(stream, steps):
            if not self.built:
                self.build((None, *batch.shape[1:]))
            statistics.update(keras.ops.convert_to_numpy(batch))
        if statistics.count == 0:
            raise ValueError(f"{type(self).__name__} cannot adapt to an empty data set")
        self.normalization.set_statistics(statistics)

    # Saving.

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
        """Make the model again from its configuration."""

        def made(value: Any) -> Any:
            if isinstance(value, list):
                return [made(each) for each in value]
            if isinstance(value, dict) and "class_name" in value:
                return keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)
            return value

        return cls(**{key: made(value) for key, value in config.items()})
