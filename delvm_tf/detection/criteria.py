"""Which method of a model gives its anomaly score."""

from typing import Any

import keras
import tensorflow as tf

from delvm_tf.detection.criterion import Scores, anomaly_function, rows_for

CRITERIA = ("reconstruction_error", "energy", "score_samples")
STREAMS = (tf.data.Dataset, keras.utils.PyDataset)


def resolved_criterion(model: Any, name: str | None) -> str:
    """The criterion in use: the one asked for, or the first that the model has."""
    if name is not None and name not in CRITERIA:
        raise ValueError(f"unknown criterion {name!r}; expected one of {', '.join(CRITERIA)}")
    if isinstance(model, type):
        raise ValueError(f"model must be an object, got the class {model.__name__}: call it")
    for criterion in CRITERIA if name is None else (name,):
        if hasattr(model, criterion):
            return criterion
    raise ValueError(
        f"{type(model).__name__} has no method {name or CRITERIA[0]}; the model must have one of "
        f"{', '.join(CRITERIA)}"
    )


def criterion_function(model: Any, name: str) -> Scores:
    """Anomaly scores of rows by a model's criterion, in Python and in a graph."""
    if name == "score_samples":
        return anomaly_function(model)
    function = getattr(model, name)
    return lambda x: function(x if isinstance(x, STREAMS) else rows_for(model, x))
