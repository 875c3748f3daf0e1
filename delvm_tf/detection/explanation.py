"""How much each value of a row contributes to its anomaly score."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from delvm_tf.detection.criterion import Decision, InPython, made_of_tensorflow
from delvm_tf.models.reconstruction_model import ReconstructionModel

NODES = 16  # of the integral along the way from the mean
ROWS = 32  # explained at a time in Python


class Explanation(NamedTuple):
    """What makes up the anomaly scores of rows.

    Attributes:
        contributions: of each value, shape of the rows; with `baseline` they sum to the score.
        baseline: the part of the score that belongs to no value, (n,).
        expected: the model's reconstruction in raw units, what the row should have been; None of a
            detector that is not one model.

    Examples:
        >>> detector = dv.AnomalyDetector(model).fit(x)
        >>> explained = detector.explain(x)
        >>> explained.contributions.shape, explained.expected.shape
        ((64, 6), (64, 6))
        >>> total = explained.contributions.sum(axis=1) + explained.baseline
        >>> np.allclose(total, detector.anomaly_score(x), rtol=1e-4)
        True
    """

    contributions: Any
    baseline: Any
    expected: Any


class NotExplainedError(TypeError):
    """An anomaly score that has no gradient, as that of trees, so that `explain` has no answer.

    Examples:
        >>> from sklearn.ensemble import IsolationForest
        >>> detector = dv.AnomalyDetector(IsolationForest(n_estimators=10).fit(x)).fit(x)
        >>> try:
        ...     detector.explain(x)
        ... except dv.detection.NotExplainedError as error:
        ...     print(error)
        the ... has no gradient, so no contributions of single values; ...
    """


def explanation_function(
    decision: Decision, model: Any, criterion: str, mean: np.ndarray
) -> Callable[[Any], Explanation]:
    """Explanations of rows, or within a graph of tensors.

    Of a reconstruction error Σⱼ (zⱼ − ẑⱼ)² the terms are the contributions, and the baseline is 0.
    Of any other score s these are integrated gradients along the straight way from the mean m of
    the training rows, (xⱼ − mⱼ) ∫₀¹ ∂s/∂xⱼ(m + t(x − m)) dt, by Gauss and Legendre's rule of 16
    nodes; what the rule errs by is shared out in proportion to their sizes, so that they sum to
    s(x) − s(m). Source: Sundararajan, Taly and Yan (2017). Cost: 16 gradients per row.

    Of a criterion with `explained_alone` one row after the other is explained, to save memory.

    A criterion that has `explained(x)` says itself what its columns contribute and what the rows
    should have been; see there.

    Args:
        decision: whose scores these are.
        model: that gives them.
        criterion: by which.
        mean: of the training rows, in raw units.

    Raises:
        NotExplainedError: at a call, if the score has no gradient, as that of trees.
    """
    of_model = isinstance(model, ReconstructionModel)
    own_terms = of_model and criterion == "reconstruction_error"

    def terms(x: Any) -> tuple[Any, Any]:
        if own_terms and model.normalization.mode != "zca":  # which mixes the values
            residual = model.apply("squared residuals", model.normalized_squared_residual, x)
            return residual, tf.zeros_like(residual[(slice(None), *[0] * mean.ndim)])
        return _integrated(decision, x, mean)

    def explain(x: Any) -> Explanation:
        if hasattr(model, "explained"):
            parts, expected = model.explained(x)
            return Explanation(tf.cast(parts, tf.float32), tf.zeros_like(expected[:, 0]), expected)
        if getattr(model, "explained_alone", False):
            return Explanation(*_one_by_one(terms, x), None)
        return Explanation(*terms(x), model.reconstruct(x) if of_model else None)

    return explain


def by_rows(explain: Callable[[Any], Explanation], x: np.ndarray) -> Explanation:
    """Explanations of an array, a few rows at a time by one graph, as arrays.

    Raises:
        ValueError: if there are no rows.
        NotExplainedError: if the function has no gradient.
    """
    if not len(x):
        raise ValueError("there are no rows to explain; pass one or more")
    spec = tf.TensorSpec((None, *x.shape[1:]), x.dtype)
    traced = tf.function(explain, input_signature=[spec], autograph=False)
    with made_of_tensorflow(NotExplainedError, "there is no gradient"):
        graph = traced.get_concrete_function()  # of which TensorFlow does not say it is one more
        parts = [graph(tf.constant(x[start : start + ROWS])) for start in range(0, len(x), ROWS)]
    joined = [
        None if values[0] is None else np.concatenate([np.asarray(v) for v in values])
        for values in zip(*parts, strict=True)
    ]
    return Explanation(*joined)


def _integrated(decision: Decision, x: Any, mean: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    if isinstance(decision.function, InPython):
        raise NotExplainedError(_message(decision.function.estimator))
    x = tf.convert_to_tensor(x)
    x = x if x.dtype.is_floating else tf.cast(x, tf.float64)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    center = tf.constant(mean[np.newaxis], x.dtype)
    way = x - center
    ones = [1] * (mean.ndim + 1)
    at = tf.constant(((nodes + 1) / 2).reshape(-1, *ones), x.dtype)
    points = tf.reshape(center + at * way, (-1, *mean.shape))
    with tf.GradientTape() as tape:
        tape.watch(points)
        scores = decision.function(points)
    gradient = tape.gradient(scores, points)
    if gradient is None:
        raise NotExplainedError(_message(decision.function))
    gradients = tf.reshape(gradient, (NODES, -1, *mean.shape))
    contributions = way * tf.tensordot(tf.constant(weights / 2, x.dtype), gradients, axes=1)
    baseline = tf.repeat(tf.cast(decision.scores(center), x.dtype), tf.shape(x)[0])
    axes = list(range(1, mean.ndim + 1))
    rest = tf.cast(decision.scores(x), x.dtype) - baseline - tf.reduce_sum(contributions, axes)
    sizes = tf.abs(contributions)
    total = tf.reduce_sum(sizes, axes, keepdims=True)
    parts = tf.where(total > 0, sizes / tf.where(total > 0, total, 1), 1 / np.prod(mean.shape))
    contributions += parts * tf.reshape(rest, (-1, *[1] * mean.ndim))
    return tf.cast(contributions, tf.float32), tf.cast(baseline, tf.float32)


def _one_by_one(terms: Callable[[Any], tuple[Any, Any]], x: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Terms of rows that are computed alone."""
    x = tf.convert_to_tensor(x)
    shapes = tf.TensorSpec(x.shape[1:], tf.float32), tf.TensorSpec((), tf.float32)

    def of_row(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        contributions, baseline = terms(row[tf.newaxis])
        return contributions[0], baseline[0]

    return tf.map_fn(of_row, x, fn_output_signature=shapes, parallel_iterations=1)


def _message(of: Any) -> str:
    owner = getattr(of, "__self__", of)
    name = "the anomaly score" if callable(owner) else f"the score of {type(owner).__name__}"
    return (
        f"{name} has no gradient, so no contributions of single values; scores of models, "
        f"ensembles, Gaussians and neighbours have"
    )
