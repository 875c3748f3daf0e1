"""Which metrics `compile` accepts: those that make sense for scores of any range."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import keras

from delvm_tf.keras_private import function_of

# For probabilities, classes or signs; so are their subclasses and functions.
_KINDS = (
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "BinaryFocalCrossentropy",
    "BinaryIoU", "CTC", "CategoricalAccuracy", "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy", "CategoricalGeneralizedCrossEntropy", "CategoricalHinge",
    "Circle", "Dice", "F1Score", "FBetaScore", "FalseNegatives", "FalsePositives", "Hinge", "IoU",
    "KLDivergence", "MeanIoU", "OneHotIoU", "OneHotMeanIoU", "Precision", "PrecisionAtRecall",
    "Recall", "RecallAtPrecision", "SensitivityAtSpecificity", "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy", "SparseTopKCategoricalAccuracy", "SpecificityAtSensitivity",
    "SquaredHinge", "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives", "Tversky",
)  # fmt: skip
_NAMES = ("acc", "accuracy", "ce", "crossentropy")  # whose meaning Keras chooses by the shapes


def _public(names: Iterable[str]) -> tuple[Any, ...]:
    modules = (keras.metrics, keras.losses)
    return tuple(getattr(m, n) for n in names for m in modules if hasattr(m, n))


_CLASSES = _public(_KINDS)
_WORDS = re.compile("(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_FUNCTIONS = _public(_WORDS.sub("_", kind).lower() for kind in _KINDS)


def check_metrics(metrics: Any, argument: str = "metrics") -> None:
    """Refuse metrics of probabilities, classes or signs, which scores are not.

    Args:
        metrics: as for `keras.Model.compile`: names, functions, metrics, in lists or dicts.
        argument: its name, for the message.

    Raises:
        ValueError: for such a metric; it names it, and what to use.

    Examples:
        >>> dv.metrics.check_metrics(["mse", dv.metrics.AUROC()])
        >>> dv.metrics.check_metrics("accuracy")
        Traceback (most recent call last):
            ...
        ValueError: metrics: the metric 'accuracy' takes probabilities between 0 and 1 ...
    """
    for metric in flat_metrics(metrics):
        if _takes_probabilities(metric):
            raise ValueError(
                f"{argument}: {_name(metric)} takes probabilities between 0 and 1 or classes, but "
                f"this model gives reconstruction errors, which have no upper bound, so its value "
                f"would be wrong. Use dv.metrics.AUROC() or dv.metrics.AveragePrecision(), which "
                f"rank, and dv.AnomalyDetector for decisions with precision and recall"
            )


def flat_metrics(metrics: Any) -> Iterator[Any]:
    """Each metric of what `compile` takes: None, one, or lists and dicts of them."""
    if isinstance(metrics, dict):
        metrics = list(metrics.values())
    if isinstance(metrics, list | tuple):
        for metric in metrics:
            yield from flat_metrics(metric)
    elif metrics is not None:
        yield metrics


def _takes_probabilities(metric: Any) -> bool:
    if isinstance(metric, str):
        if metric in _NAMES:
            return True
        try:
            metric = keras.metrics.get(metric)
        except ValueError:  # Keras will refuse the name
            return False
    if isinstance(metric, type):
        return issubclass(metric, _CLASSES)
    # A function may be wrapped in a metric, as `MeanMetricWrapper` and losses do.
    function = function_of(metric)
    return isinstance(metric, _CLASSES) or any(function is one for one in _FUNCTIONS)


def _name(metric: Any) -> str:
    if isinstance(metric, str):
        return f"the metric {metric!r}"
    return getattr(metric, "__name__", type(metric).__name__)
