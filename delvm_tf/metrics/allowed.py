"""Which metrics `compile` accepts: those that make sense for scores of any range."""

from collections.abc import Iterator
from typing import Any

import keras

# For probabilities, classes or signs; so are their subclasses.
_METRICS = (
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU", "CategoricalAccuracy",
    "CategoricalCrossentropy", "CategoricalHinge", "F1Score", "FBetaScore", "FalseNegatives",
    "FalsePositives", "Hinge", "IoU", "KLDivergence", "MeanIoU", "OneHotIoU", "OneHotMeanIoU",
    "Precision", "PrecisionAtRecall", "Recall", "RecallAtPrecision", "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy", "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity", "SquaredHinge", "TopKCategoricalAccuracy", "TrueNegatives",
    "TruePositives",
)  # fmt: skip
_LOSSES = (
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy", "CategoricalGeneralizedCrossEntropy", "CategoricalHinge",
    "CTC", "Circle", "Dice", "Hinge", "KLDivergence", "SparseCategoricalCrossentropy",
    "SquaredHinge", "Tversky",
)  # fmt: skip
_FUNCTIONS = (
    "binary_accuracy", "binary_crossentropy", "binary_focal_crossentropy", "categorical_accuracy",
    "categorical_crossentropy", "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy", "categorical_hinge", "circle", "ctc", "dice", "hinge",
    "kl_divergence", "sparse_categorical_accuracy", "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy", "squared_hinge", "top_k_categorical_accuracy", "tversky",
)  # fmt: skip
_NAMES = ("acc", "accuracy", "ce", "crossentropy")  # whose meaning Keras chooses by the shapes


def _public(module: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(module, name) for name in names if hasattr(module, name))


_CLASSES = (*_public(keras.metrics, _METRICS), *_public(keras.losses, _LOSSES))
_CALLABLES = (*_public(keras.metrics, _FUNCTIONS), *_public(keras.losses, _FUNCTIONS))


def check_metrics(metrics: Any, argument: str = "metrics") -> None:
    """Raise ValueError for metrics of probabilities, classes or signs, which scores are not.

    Args:
        metrics: as for `keras.Model.compile`: names, functions, metrics, in lists or dicts.
        argument: its name, for the message.
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
    function = getattr(metric, "_fn", getattr(metric, "fn", metric))
    return isinstance(metric, _CLASSES) or any(function is one for one in _CALLABLES)


def _name(metric: Any) -> str:
    if isinstance(metric, str):
        return f"the metric {metric!r}"
    return getattr(metric, "__name__", type(metric).__name__)
