"""What a search looks for, measured on data carved from the training part."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from delvm_tf.datasets import Dataset
from delvm_tf.objectives.score_matching import ScoreMatching
from trainers.evaluation.probe import LinearProbe
from trainers.experiments.anomaly import scores_of
from trainers.experiments.features import as_inputs, model_features, score_features


class Measure(NamedTuple):
    """A figure of merit.

    Attributes:
        function: a trained model and the data whose test part it is measured on, to the figure.
        direction: `"max"` or `"min"`.
        words: what it is.
    """

    function: Callable[[Any, Dataset], float]
    direction: str
    words: str


def auroc(model: Any, data: Dataset) -> float:
    """AUROC of the model's better score, reconstruction error or energy.

    Raises:
        ValueError: if the protocol is not one for anomaly detection.
    """
    if not data.is_anomaly:
        raise ValueError(f"AUROC needs a protocol for anomaly detection, not {data.protocol!r}")
    scores = [np.asarray(getattr(model, name)(data.x_test)) for name in scores_of(model)]
    return max(float(roc_auc_score(data.y_test, score)) for score in scores)


def probe(model: Any, data: Dataset) -> float:
    """Accuracy of a linear classifier on the model's features.

    Raises:
        ValueError: if the protocol is one for anomaly detection.
    """
    if data.is_anomaly:
        raise ValueError(f"a classifier needs classes, which {data.protocol!r} does not have")
    images = len(model.input_shape_or_none) > 1
    classifier = LinearProbe((1e-3, 1e-2, 0.1), epochs=10, minimum_steps=300)
    return score_features(model_features(model, images), data, classifier).accuracy


def loss(model: Any, data: Dataset) -> float:
    """The score-matching objective of held-out normal rows, per squared unit of the raw inputs.

    With z = a·x + b, ∇ₓE = a∇E and tr ∇ₓ²E = a²·tr ∇²E, so that a²·J is the objective of the
    density of x, whose differences do not depend on normalisation and scale. That holds if all
    inputs have one gain a; gains of each input would need the diagonal of the Hessian.

    Raises:
        ValueError: if inputs have gains of their own, or are rotated.
    """
    gain = keras.ops.convert_to_numpy(model.normalization.gain)
    if model.normalization.mode == "zca" or np.ptp(gain) > 1e-6 * np.abs(gain).max():
        raise ValueError(
            f"held-out losses can be compared only if all inputs are scaled alike, and "
            f"normalization={model.normalization.mode!r} does not; search with 'center' or 'none'"
        )
    held_out = data.x_test[data.y_test == 0] if data.is_anomaly else data.x_test
    x = as_inputs(held_out, len(model.input_shape_or_none) > 1)
    objective = ScoreMatching()
    losses = model.apply("held-out loss", lambda z: objective.compute(model, z, False).loss, x)
    return float(gain.flat[0]) ** 2 * float(np.mean(losses))


MEASURES = {
    "auroc": Measure(auroc, "max", "AUROC of held-out rows"),
    "probe": Measure(probe, "max", "accuracy of a linear classifier on held-out rows"),
    "loss": Measure(loss, "min", "score-matching objective of held-out rows, raw units"),
}
