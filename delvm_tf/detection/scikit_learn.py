"""scikit-learn's fitted detectors and transformers as functions in the graph."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.utils.validation import check_is_fitted

from delvm_tf.detection import validation
from delvm_tf.detection.criterion import (
    InPython,
    Scores,
    anomaly_function,
    by_batches,
    centred,
    symbolic,
)
from delvm_tf.detection.registry import register
from delvm_tf.inputs.arrays import as_array

Transform = Callable[[Any], Any]


@register()
class Flatten(TransformerMixin, BaseEstimator):
    """Rows of any shape as vectors, (n, d).

    For scikit-learn's pipelines; detectors with it can be exported and saved.

    Examples:
        >>> dv.detection.Flatten().fit_transform(images).shape
        (16, 64)
    """

    def fit(self, X: Any, y: Any = None) -> "Flatten":
        """Remember shape and columns."""
        validation.checked(self, X, reset=True)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The vectors, in the type of X."""
        array = validation.checked(self, X, reset=False)
        return array.reshape(len(array), -1)

    def __sklearn_is_fitted__(self) -> bool:
        return True


@functools.singledispatch
def transform_function(fitted: Any) -> Transform | None:
    """The transform of a fitted transformer as a function in the graph; None if unknown.

    Known are `Flatten` and scikit-learn's `StandardScaler` and `PCA`; others join by
    `@transform_function.register(Theirs)`, as detectors do with `anomaly_function`.

    Args:
        fitted: with `transform(X)`.

    Examples:
        >>> from sklearn.preprocessing import StandardScaler
        >>> scaler = StandardScaler().fit(x)
        >>> in_graph = dv.detection.transform_function(scaler)
        >>> np.allclose(in_graph(x), scaler.transform(x), atol=1e-5)
        True
    """
    return None


@transform_function.register
def _(fitted: Flatten) -> Transform:
    return lambda x: tf.reshape(x, (tf.shape(x)[0], -1))


@transform_function.register
def _(fitted: StandardScaler) -> Transform:
    mean = fitted.mean_ if fitted.with_mean else np.zeros(1)
    scale = fitted.scale_ if fitted.with_std else 1.0
    return lambda x: centred(x, mean) / scale


@transform_function.register
def _(fitted: PCA) -> Transform:
    smallest = np.finfo(fitted.explained_variance_.dtype).eps  # as scikit-learn has it
    scale = np.maximum(np.sqrt(fitted.explained_variance_), smallest) if fitted.whiten else 1.0
    return lambda x: tf.matmul(centred(x, fitted.mean_), fitted.components_.T / scale)


@anomaly_function.register
def _(fitted: Pipeline) -> Scores:
    steps = [
        transform_function(step)
        for _, step in fitted.steps[:-1]
        if step not in (None, "passthrough")
    ]
    last = anomaly_function(fitted.steps[-1][1])
    known = [step for step in steps if step is not None]
    if isinstance(last, InPython) or len(known) < len(steps):
        return InPython(fitted)

    def scores(x: Any) -> Any:
        x = x if symbolic(x) else tf.convert_to_tensor(as_array(x))
        for step in known:
            x = step(x)
        return last(x)

    return functools.partial(by_batches, scores)


@anomaly_function.register
def _(fitted: OneClassSVM) -> Scores:
    """−Σᵢ αᵢ exp(−γ‖x − sᵢ‖²) over the support vectors s."""
    check_is_fitted(fitted)
    if fitted.kernel != "rbf":
        return InPython(fitted)
    center = fitted.support_vectors_.mean(axis=0)
    vectors = fitted.support_vectors_ - center
    powers = np.square(vectors).sum(axis=1)
    weights = fitted.dual_coef_[0][:, np.newaxis]

    def scores(x: Any) -> tf.Tensor:
        z = centred(x, center)
        square = tf.reduce_sum(tf.square(z), axis=1, keepdims=True) + powers
        square = tf.nn.relu(square - 2 * tf.matmul(z, vectors.T))
        return -tf.matmul(tf.exp(-fitted._gamma * square), weights)[:, 0]

    return functools.partial(by_batches, scores)


@anomaly_function.register
def _(fitted: IsolationForest) -> Scores:
    """2^(−mean path length / usual path length), with all trees descended at once."""
    check_is_fitted(fitted)
    trees = [estimator.tree_ for estimator in fitted.estimators_]
    starts = np.cumsum([0, *(tree.node_count for tree in trees[:-1])], dtype=np.int32)

    def joined(parts: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([*parts])

    leaf = joined(tree.children_left < 0 for tree in trees)
    itself = np.arange(len(leaf), dtype=np.int32)

    def children(sides: Iterable[np.ndarray]) -> np.ndarray:
        places = joined(side + start for side, start in zip(sides, starts, strict=True))
        return np.where(leaf, itself, places)

    left = children(tree.children_left for tree in trees)
    right = children(tree.children_right for tree in trees)
    columns = joined(
        used[np.maximum(tree.feature, 0)]
        for tree, used in zip(trees, fitted.estimators_features_, strict=True)
    ).astype(np.int32)
    # The greatest float32 that does not exceed a threshold decides the same for float32 values.
    exact = joined(tree.threshold for tree in trees)
    limits = exact.astype(np.float32)
    limits = np.where(limits > exact, np.nextafter(limits, np.float32(-np.inf)), limits)
    depths = np.zeros(len(leaf))
    deepest = max(tree.max_depth for tree in trees)
    for node in itself[~leaf]:  # parents come before their children
        depths[left[node]] = depths[right[node]] = depths[node] + 1
    lengths = depths + _usual_length(joined(tree.n_node_samples for tree in trees))
    usual = _usual_length(np.array([fitted.max_samples_]))[0] * len(trees)

    def scores(x: Any) -> tf.Tensor:
        x = tf.cast(x if symbolic(x) else as_array(x), tf.float32)
        node = tf.tile(starts[np.newaxis], (tf.shape(x)[0], 1))
        for _ in range(deepest):
            value = tf.gather(x, tf.gather(columns, node), axis=1, batch_dims=1)
            below = value <= tf.gather(limits, node)
            node = tf.where(below, tf.gather(left, node), tf.gather(right, node))
        length = tf.reduce_sum(tf.gather(lengths, node), axis=1)
        share = length / usual if usual else tf.ones_like(length)
        return tf.pow(tf.constant(2.0, tf.float64), -share)

    return functools.partial(by_batches, scores)


def _usual_length(samples: np.ndarray) -> np.ndarray:
    """Mean path length in a random tree of n rows, 2 H(n−1) − 2(n−1)/n. Source: Liu et al. 2008."""
    n = np.maximum(samples, 2).astype(np.float64)
    harmonic = np.log(n - 1) + np.euler_gamma
    return np.where(samples <= 1, 0.0, np.where(samples == 2, 1.0, 2 * harmonic - 2 * (n - 1) / n))
