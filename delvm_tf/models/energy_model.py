"""The base of all models: an energy, its derivatives, and the training step around an objective."""

import abc
import itertools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.curvature.curvature import Curvature, PotentialFunction
from delvm_tf.curvature.sums import sum_per_example
from delvm_tf.models import inputs
from delvm_tf.models.divergence import DivergenceGuard
from delvm_tf.models.features import flatten_map
from delvm_tf.normalization import InputNormalization
from delvm_tf.objectives.objective import Objective, ObjectiveValue
from delvm_tf.objectives.score_matching import ScoreMatching

BATCH_SIZE = 512  # examples scored at a time

Trace = Callable[[PotentialFunction, tf.Tensor], Curvature]


class EnergyModel(keras.Model):
    """A probability model p(x) ∝ exp(−E(x)), given by its energy E.

    A subclass gives `normalized_energy` and, if it has hidden variables, `normalized_hidden`; all
    else follows: the score −∇E, the reconstruction x̂ = x − ∇E, the reconstruction error
    ‖x − x̂‖² = ‖∇E‖², features, every objective, detection, export.

    Methods named `normalized_…` take and return normalised units, z = normalization(x), and are
    what objectives call. The public ones take x in raw units, (batch, ...) of any real type.
    Energies, scores and errors are in normalised units, reconstructions in raw units. Arrays are
    checked and computed `batch_size` examples at a time; inside a `tf.function` they become part
    of its graph.

    Args:
        objective: how the energy is learned; `ScoreMatching()` by default.
        normalization: `"center"`, `"zscore"`, `"minmax"`, `"zca"`, `"none"`, or an
            `InputNormalization`; all but `"none"` need `adapt` before `fit`.
        scale: factor on the normalised inputs, 1/σ of the visible noise.
        **kwargs: `name` and `dtype` of the `keras.Model`.

    Example:
        >>> model.adapt(x); model.compile("adam"); model.fit(x, epochs=10)
        >>> model.reconstruction_error(x_new)
    """

    built: bool

    def __init__(
        self,
        objective: Objective | None = None,
        normalization: str | InputNormalization = "center",
        scale: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        self.objective = ScoreMatching() if objective is None else objective
        if not isinstance(self.objective, Objective):
            raise TypeError(
                f"objective must be an Objective such as dv.ScoreMatching(), got {objective!r}"
            )
        if isinstance(normalization, InputNormalization):
            if scale not in (1.0, normalization.scale):
                raise ValueError("give the scale to the InputNormalization, or its name and scale")
            self.normalization = normalization
        else:
            self.normalization = InputNormalization(
                normalization, scale, dtype=self.dtype_policy, name="normalization"
            )
        self._trackers = {
            name: keras.metrics.Mean(name=name)
            for name in (*self.objective.term_names, "reconstruction_error")
        }
        self._health = {
            "nonfinite_inputs": keras.metrics.Sum(name="nonfinite_inputs"),
            "nonfinite_steps": keras.metrics.Sum(name="nonfinite_steps"),
            "input_power": keras.metrics.Mean(name="input_power"),
        }
        self._compiled_functions: dict[str, Any] = {}

    # What a subclass gives, in normalised units.

    @abc.abstractmethod
    def normalized_energy(self, z: tf.Tensor) -> tf.Tensor:
        """E(z) up to a constant, (batch, ...) to (batch,)."""

    def normalized_hidden(self, z: tf.Tensor) -> tf.Tensor:
        """E[h|z], the mean of the hidden variables, (batch, ...)."""
        raise TypeError(f"{type(self).__name__} defines no hidden variables")

    def normalized_features(self, z: tf.Tensor) -> list[tf.Tensor]:
        """Feature maps, (batch, ...) each; the hidden mean unless a subclass has more."""
        return [self.normalized_hidden(z)]

    # What follows from the energy.

    @property
    def potential(self) -> PotentialFunction:
        """The function whose Laplacian `energy_curvature` needs; here −E."""
        return lambda z: -self.normalized_energy(z)

    def normalized_gradient(self, z: tf.Tensor) -> tf.Tensor:
        """∇E, shape of z. Cost: one forward and one backward pass."""
        with tf.GradientTape() as tape:
            tape.watch(z)
            energy = self.normalized_energy(z)
        return tape.gradient(energy, z)

    def energy_curvature(self, z: tf.Tensor, trace: Trace) -> Curvature:
        """∇E and tr ∇²E by the given trace method."""
        curvature = trace(self.potential, z)
        return Curvature(curvature.output, -curvature.gradient, -curvature.laplacian)

    # The public functions, in raw units.

    def energy(self, x: Any, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Energy E(x) up to a constant, (batch,); lower is more probable."""
        return self._apply("energy", self.normalized_energy, x, batch_size)

    def score(self, x: Any, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Score ∇ log p = −∇E with respect to the normalised inputs, shape of x."""
        return self._apply("score", lambda z: -self.normalized_gradient(z), x, batch_size)

    def reconstruct(self, x: Any, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Reconstruction z − ∇E, mapped back to raw units, shape of x."""
        return self._apply("reconstruct", self._reconstruct, x, batch_size)

    def reconstruction_error(self, x: Any, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Reconstruction error ‖z − ẑ‖² = ‖∇E‖² in normalised units, (batch,)."""

        def error(z: tf.Tensor) -> tf.Tensor:
            return sum_per_example(tf.square(self.normalized_gradient(z)))

        return self._apply("reconstruction_error", error, x, batch_size)

    def hidden(self, x: Any, batch_size: int = BATCH_SIZE) -> tf.Tensor:
        """Mean of the hidden variables E[h|x], (batch, ...)."""
        return self._apply("hidden", self.normalized_hidden, x, batch_size)

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

        return self._apply(f"features pool={pool} layers={layers}", joined, x, batch_size)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Reconstruction in raw units; what `predict` returns, batch by batch."""
        return self._reconstruct(self._normalize(x))

    def _reconstruct(self, z: tf.Tensor) -> tf.Tensor:
        return self.normalization.invert(z - self.normalized_gradient(z))

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

    def _apply(
        self, name: str, function: Callable[[tf.Tensor], tf.Tensor], x: Any, batch_size: int
    ) -> tf.Tensor:
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
                lambda x: function(self._normalize(x))
            ).get_concrete_function(tf.TensorSpec((None, *batch.shape[1:]), batch.dtype))
        return self._compiled_functions[key]

    def _to_tensor(self, x: Any) -> tf.Tensor:
        t = tf.convert_to_tensor(x)
        return tf.cast(t, self.normalization.result_dtype) if t.dtype.is_floating else t

    @property
    def input_shape_or_none(self) -> tuple[int, ...] | None:
        """Shape of one input, once the model is built."""
        return tuple(self.normalization.shift.shape) if self.normalization.built else None

    # Building and adapting.

    def build(self, input_shape: Any) -> None:
        """Create all weights for batches of `input_shape`, (batch, ...)."""
        if self.built:
            return
        shape = (None, *input_shape[1:])
        if not self.normalization.built:  # a loaded one already is
            self.normalization.build(shape)
        self.build_energy(shape)
        self.built = True
        self._build_shapes_dict = {"input_shape": shape}

    def build_energy(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights of the energy; for subclasses."""

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

    # Training.

    def compile(self, optimizer: Any = "adam", **kwargs: Any) -> None:
        """Choose the optimizer and, if wanted, metrics. The loss is the model's objective.

        Metrics given here compare the labels y with the reconstruction error of each example.

        Args:
            optimizer: a Keras optimizer or its name.
            **kwargs: as for `keras.Model.compile`, without `loss` and `loss_weights`.
        """
        if kwargs.get("loss") is not None or kwargs.get("loss_weights") is not None:
            raise ValueError(
                "the loss of an energy model is its objective; pass objective=... when the model "
                "is made, and no loss to compile"
            )
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model as it was."""
        arguments = keras.saving.deserialize_keras_object(config)
        self.compile(**arguments)
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

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

        Labels play no part in unsupervised objectives, sample weights do. Arrays are checked
        first, and a `DivergenceGuard` watches the run unless one is among the callbacks.

        Raises:
            TypeError: if x does not hold real numbers.
            ValueError: if the model is not adapted, or x is empty, of the wrong shape, or has a NaN
                or infinity, or labels or weights have another length.
            TrainingDiverged: if training runs away; the model keeps its last good weights.
        """
        y = self._checked_labels(x, y, sample_weight)
        if isinstance(validation_data, tuple | list) and validation_data:
            unpacked = keras.utils.unpack_x_y_sample_weight(tuple(validation_data))
            labels = self._checked_labels(*unpacked)
            validation_data = (unpacked[0], labels, unpacked[2])
        return super().fit(
            x, y, batch_size=batch_size, epochs=epochs, verbose=verbose,
            callbacks=_guarded(callbacks), validation_data=validation_data,
            sample_weight=sample_weight, **kwargs,
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
        y = self._checked_labels(x, y, sample_weight)
        return super().evaluate(
            x, y, batch_size=batch_size, verbose=verbose, sample_weight=sample_weight, **kwargs
        )

    def _checked_labels(self, x: Any, y: Any, sample_weight: Any) -> Any:
        """Check what is in memory; zeros for y where Keras would drop weights for lack of it."""
        if inputs.is_array(x) or self.built:
            self._require_adapted()
        if not inputs.is_array(x):
            return y
        checked = inputs.check_array(x, self.input_shape_or_none, type(self).__name__)
        inputs.check_lengths(checked, y)
        inputs.check_lengths(checked, sample_weight, "sample_weight")
        if y is None and self._compile_metrics is not None:
            raise ValueError(
                "the metrics given to compile compare labels with the reconstruction error, "
                "but the data hold no labels y"
            )
        return np.zeros(len(checked)) if y is None and sample_weight is not None else y

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of the optimizer on the objective; a step that is not finite changes nothing."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        z = self._normalize(x)
        with tf.GradientTape() as tape:
            value = self.objective.compute(self, z, training=True)
            loss = self._mean_loss(value, sample_weight)
            # Replicas' gradients are summed, so each contributes its share.
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            scaled = self.optimizer.scale_loss(loss / replicas)
        variables = self.trainable_variables
        gradients = tape.gradient(scaled, variables)
        gradients, finite = _zero_unless_finite(gradients, loss)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))

        inputs_finite = tf.reduce_all(tf.math.is_finite(z))
        self._health["nonfinite_inputs"].update_state(tf.cast(~inputs_finite, tf.float32))
        self._health["nonfinite_steps"].update_state(tf.cast(~finite, tf.float32))
        self._health["input_power"].update_state(sum_per_example(tf.square(z)))
        return self._update_metrics(loss, value, y, sample_weight)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The objective and metrics on a batch, without training."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        value = self.objective.compute(self, self._normalize(x), training=False)
        return self._update_metrics(self._mean_loss(value, sample_weight), value, y, sample_weight)

    def _mean_loss(self, value: ObjectiveValue, sample_weight: Any) -> tf.Tensor:
        """Mean over the batch of the weighted losses, plus the regularisers of the weights."""
        losses = value.loss
        if sample_weight is not None:
            losses = losses * tf.reshape(tf.cast(sample_weight, losses.dtype), (-1,))
        regularization = [tf.cast(r, losses.dtype) for r in self.losses]
        return tf.add_n([tf.reduce_mean(losses), *regularization])

    def _update_metrics(
        self, loss: tf.Tensor, value: ObjectiveValue, y: Any, sample_weight: Any
    ) -> dict[str, tf.Tensor]:
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(value.loss)[0])
        for name, per_example in value.terms.items():
            self._trackers[name].update_state(per_example, sample_weight=sample_weight)
        error = value.reconstruction_error
        self._trackers["reconstruction_error"].update_state(error, sample_weight=sample_weight)
        if self._compile_metrics is not None:
            if y is None:
                raise ValueError(
                    "the metrics given to compile compare labels with the reconstruction error, "
                    "but the data hold no labels y"
                )
            self._compile_metrics.update_state(y, error, sample_weight=sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Loss, terms of the objective, reconstruction error and compiled metrics."""
        hidden = {metric.name for metric in self._health.values()}
        results = super().get_metrics_result()
        return {name: value for name, value in results.items() if name not in hidden}

    def health(self) -> dict[str, float]:
        """What `DivergenceGuard` looks at, over the current epoch so far."""
        watched = {**self._health, "reconstruction_error": self._trackers["reconstruction_error"]}
        return {
            name: float(keras.ops.convert_to_numpy(metric.result()))
            for name, metric in watched.items()
        }

    # Saving.

    def get_config(self) -> dict[str, Any]:
        """Configuration for saving; subclasses add their own arguments."""
        return {
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "objective": keras.saving.serialize_keras_object(self.objective),
            "normalization": keras.saving.serialize_keras_object(self.normalization),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "EnergyModel":
        """Make the model again from its configuration."""
        arguments = {
            key: keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)
            if isinstance(value, dict) and "class_name" in value
            else value
            for key, value in config.items()
        }
        return cls(**arguments)


def _guarded(callbacks: Any) -> Any:
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    listed = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    given = [callback for callback in listed if callback is not None]
    if any(isinstance(callback, DivergenceGuard) for callback in given):
        return given
    return [DivergenceGuard(), *given]


def _zero_unless_finite(
    gradients: list[tf.Tensor | None], loss: tf.Tensor
) -> tuple[list[tf.Tensor | None], tf.Tensor]:
    """The gradients, or zeros if the loss or any of them is not finite; and whether they were."""
    finite = tf.math.is_finite(loss)
    for gradient in gradients:
        if gradient is not None:
            finite &= tf.reduce_all(tf.math.is_finite(gradient))
    return [
        None if g is None else tf.where(finite, g, tf.zeros((), g.dtype)) for g in gradients
    ], finite
