"""The anomaly score: one function of rows in raw units, in Python and in every exported graph."""

import abc
import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import tensorflow as tf
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from delvm_tf.detection import validation
from delvm_tf.detection.conformal import count_reaching
from delvm_tf.detection.registry import register
from delvm_tf.inputs.arrays import as_array
from delvm_tf.inputs.batches import CheckedRows, inputs_of
from delvm_tf.inputs.columns import names_of
from delvm_tf.models.reconstruction_model import ReconstructionModel

Scores = Callable[[Any], Any]  # rows (batch, ...) to anomaly scores (batch,)
BATCH_SIZE = 1024  # rows computed at a time where nothing else sets their number


class Criterion(BaseEstimator, abc.ABC):
    """An estimator whose anomaly score can be computed in a TensorFlow graph.

    A subclass gives `fit`, which keeps constants, and `anomaly`. Everything else uses these two:
    `score_samples`, `AnomalyDetector`, SavedModels, ONNX files. Saved detectors may hold it: its
    attributes are written and set again.

    Examples:
        >>> class LargestDeviation(dv.detection.Criterion):
        ...     def fit(self, X, y=None):
        ...         self.mean_ = X.mean(axis=0)
        ...         return self
        ...     def anomaly(self, x):
        ...         return tf.reduce_max(tf.abs(x - self.mean_), axis=1)
        >>> detector = dv.AnomalyDetector(LargestDeviation(), contamination=0.1, epochs=1).fit(x)
    """

    flat: ClassVar[bool] = False  # whether rows must be vectors

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        register()(cls)

    @abc.abstractmethod
    def fit(self, X: Any, y: Any = None) -> Self:
        """Keep what the score needs of the normal rows X, (n, ...) in raw units."""

    @abc.abstractmethod
    def anomaly(self, x: Any) -> tf.Tensor:
        """Anomaly scores, (batch,) of any real type; higher is more abnormal.

        Args:
            x: checked rows in raw units, (batch, ...): an array or a data frame, or within a
                `tf.function` a tensor, whose graph the score becomes part of.
        """

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the anomaly score, (n,) float64; −∞ where it overflows, to NaN too."""
        check_is_fitted(self)
        array = validation.checked(self, X, reset=False, flat=self.flat)
        scores = scores_of(self.anomaly, validation.with_names(X, array))
        return -np.asarray(bounded(scores), np.float64)


class InPython:
    """The anomaly score of an estimator that is known by its `score_samples` alone."""

    def __init__(self, estimator: Any):
        self.estimator = estimator

    def __call__(self, x: Any) -> np.ndarray:
        """Scores of an array; within a graph a TypeError."""
        if symbolic(x):
            raise TypeError(
                f"{type(self.estimator).__name__} computes its scores in Python, so it cannot be "
                f"exported; use a Criterion such as NeighbourDistance, one of scikit-learn's "
                f"OneClassSVM (rbf) and IsolationForest, with StandardScaler and PCA before them, "
                f"or give its function with dv.detection.anomaly_function.register"
            )
        return -np.asarray(self.estimator.score_samples(rows_for(self.estimator, x)))


@functools.singledispatch
def anomaly_function(fitted: Any) -> Scores:
    """The anomaly score of a fitted estimator, as a function of arrays and of tensors of a graph.

    Other estimators join by `@anomaly_function.register(Theirs)`, of a function of the fitted
    estimator that returns that of rows (batch, ...) to scores (batch,), made of TensorFlow
    operations. Those that have not joined are scored in Python alone and cannot be exported.

    Args:
        fitted: a `Criterion`, an `AnomalyDetector`, or another estimator with `score_samples`.

    Examples:
        >>> class Largest:
        ...     def score_samples(self, X):
        ...         return -np.abs(X).max(axis=1)
        >>> @dv.detection.anomaly_function.register(Largest)
        ... def largest(fitted):
        ...     return lambda x: tf.reduce_max(tf.abs(x), axis=1)
        >>> dv.detection.anomaly_function(Largest())(np.array([[1.0, -3.0]])).numpy()
        array([3.])
    """
    return InPython(fitted)


@anomaly_function.register
def _(fitted: Criterion) -> Scores:
    check_is_fitted(fitted)
    return fitted.anomaly


class Decision(NamedTuple):
    """Abnormal is what has an anomaly score > threshold; `decided` alone compares them.

    Scores are rounded to float32 before they are compared, as everything that is served is; those
    of estimators that score in Python alone keep float64.

    Args:
        function: rows to anomaly scores.
        threshold: in units of the scores.
        reference: sorted, raised scores of normal rows not trained on, which p-values need.
    """

    function: Scores
    threshold: float
    reference: np.ndarray | None = None

    @property
    def dtype(self) -> tf.DType:
        """Type of scores and threshold."""
        return tf.float64 if isinstance(self.function, InPython) else tf.float32

    def scores(self, x: Any) -> tf.Tensor:
        """Anomaly scores of rows x, (batch,); +∞ where they overflow, to NaN too."""
        return self.bounded(scores_of(self.function, x))

    def bounded(self, scores: Any) -> tf.Tensor:
        """Scores in the type in which they are compared."""
        return bounded(tf.cast(scores, self.dtype))

    def of(self, scores: tf.Tensor) -> dict[str, tf.Tensor]:
        """`anomaly_score`, `is_anomaly`, `threshold` and, where known, `p_value`, (batch,) each."""
        outputs = decided(
            scores, tf.fill(tf.shape(scores), tf.constant(self.threshold, self.dtype))
        )
        if self.reference is not None:
            outputs["p_value"] = tf.cast(self.p_values(scores), tf.float32)
        return outputs

    def p_values(self, scores: tf.Tensor) -> tf.Tensor:
        """(1 + #{reference scores ≥ score}) / (1 + #{reference scores}), (batch,) float64."""
        assert self.reference is not None
        count = tf.cast(1 + count_reaching(scores, self.reference), tf.float64)
        return count / (1 + len(self.reference))


def decided(scores: Any, thresholds: Any) -> dict[str, Any]:
    """`anomaly_score`, `is_anomaly` and `threshold` of arrays or tensors, (batch,) each."""
    return {
        "anomaly_score": scores,
        "is_anomaly": scores > thresholds,
        "threshold": thresholds,
    }


def scores_of(function: Scores, x: Any) -> tf.Tensor:
    """What a function gives for rows x as anomaly scores, (batch,) of a float type.

    Raises:
        ValueError: if it does not give one score for each row.
    """
    scores = tf.convert_to_tensor(function(x))
    rows = getattr(x, "shape", (None,))[0]  # not known of a stream
    if not scores.shape.is_compatible_with((rows,)):
        batch = "batch" if rows is None else rows
        raise ValueError(
            f"an anomaly score is one number for each row, shape ({batch},), got {scores.shape}; "
            f"reduce over all axes but the first"
        )
    return scores if scores.dtype.is_floating else tf.cast(scores, tf.float64)


def bounded(scores: Any) -> tf.Tensor:
    """+∞ in place of what is NaN or infinite, of either sign: the model cannot say how likely."""
    scores = tf.convert_to_tensor(scores)
    infinity = tf.constant(float("inf"), scores.dtype)
    return tf.where(tf.abs(scores) < infinity, scores, infinity)


@contextlib.contextmanager
def made_of_tensorflow(error: type[TypeError], what: str) -> Iterator[None]:
    """Say what to do where NumPy is given a tensor of a graph.

    Args:
        error: to raise.
        what: cannot be done without.
    """
    try:
        yield
    except NotImplementedError as refused:  # by NumPy
        raise error(
            f"{what}: what gives the anomaly score must be made of TensorFlow operations. {refused}"
        ) from refused


def symbolic(x: Any) -> bool:
    """Whether x is a tensor of a graph."""
    return tf.is_tensor(x) and not tf.executing_eagerly()


def rows_for(owner: Any, x: Any, direct: bool = True) -> Any:
    """X itself for an owner that compares names of columns, and in a graph; else its values.

    A model to which they go directly need not look through them again.
    """
    if symbolic(x):
        return x
    named = getattr(owner, "feature_names_in_", None) is not None
    if direct and isinstance(owner, ReconstructionModel):
        return CheckedRows(as_array(x), names_of(x) if named else None)
    return x if named else as_array(x)


def centred(x: Any, mean: np.ndarray) -> tf.Tensor:
    """Vectors minus their mean, (batch, d) float64: offsets go before anything is rounded."""
    values = x if symbolic(x) else tf.convert_to_tensor(as_array(x))
    return tf.cast(values, tf.float64) - np.asarray(mean, np.float64)


def by_batches(function: Callable[[Any], tf.Tensor], x: Any) -> tf.Tensor:
    """A function of rows, a bounded number at a time; in a graph, whose batches are, at once."""
    if symbolic(x):
        return function(x)
    if isinstance(x, tf.data.Dataset):
        return tf.concat([by_batches(function, inputs_of(batch)) for batch in x], axis=0)
    x = as_array(x)
    parts = [function(x[start : start + BATCH_SIZE]) for start in range(0, len(x), BATCH_SIZE)]
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
