"""One anomaly score from several trained models: their mean excess over the lowest normal score."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from delvm_tf.catalog.recipe import Detection
from delvm_tf.detection import validation
from delvm_tf.detection.criterion import (
    Criterion,
    anomaly_function,
    bounded,
    rows_for,
    scores_of,
)
from delvm_tf.detection.neighbours import NeighbourDistance
from delvm_tf.detection.scikit_learn import Flatten

MODEL_SCORES = ("energy", "reconstruction_error")


class ModelEnsemble(Criterion):
    """Anomaly score [mean over models and scores of (s − min s)₊ / std s]ᵖ.

    Minimum and standard deviation are those of normal examples. An energy is known up to a
    constant only, and the models of an ensemble learn different ones; the excess over the lowest
    normal energy is free of it. The mean over models trained from different seeds or on different
    subsets leaves out what only one of them believes.

    The score of a detector beside the models counts as one more. An energy generalises; distances
    to neighbours remember single examples: together they are wrong less often than either.

    The power p changes no ranking. It lengthens the right tail, and so moves where the threshold
    mean + standard deviation falls: the greater p, the fewer normal examples lie above it. It is
    a choice of the threshold, then, to be made on validation data like any other.

    Args:
        models: trained models of this library, or others with the methods named in `scores`.
        scores: one or more of `"energy"` and `"reconstruction_error"`; each model must have all.
        power: p, positive.
        beside: an outlier detector, which is cloned and fitted, or None. It should score what it
            was fitted on as it scores new rows, as `NeighbourDistance(leave_out=True)` does.

    Attributes:
        beside_: the fitted detector, or None.
        floor_: minimum of each score on normal examples, (models · scores,), and one more for the
            detector beside them.
        spread_: standard deviation of each.
        n_features_in_: number of values per example.
        feature_names_in_: names of the columns, where they have any.

    Examples:
        >>> ensemble = dv.detection.ModelEnsemble([model], power=2.0).fit(x)
        >>> detector = dv.AnomalyDetector(ensemble, threshold="mean_std").fit(x)
    """

    beside = beside_ = None  # of those that were saved when there was no such choice

    def __init__(
        self,
        models: Sequence[Any],
        scores: Sequence[str] = ("energy",),
        power: float = 1.0,
        beside: Any = None,
    ):
        self.models = models
        self.scores = scores
        self.power = power
        self.beside = beside

    def fit(self, X: Any, y: Any = None) -> "ModelEnsemble":
        """Measure floor and spread of each score on X, (n, ...) in raw units, all normal.

        The models are not trained; a detector beside them is. Cost: a pass per model and score.

        Raises:
            ValueError: for no models or scores, a score that a model lacks, a power that is not
                positive, fewer than two examples, or scores that are not finite or do not vary.
        """
        self._check()
        array = validation.checked(self, X, reset=True, rows=2)
        self.beside_ = None if self.beside is None else clone(self.beside).fit(array)
        table = np.asarray(self._table(validation.with_names(X, array)))
        if not np.isfinite(table).all():
            raise ValueError(
                f"{np.sum(~np.isfinite(table).all(axis=1))} of {len(table)} examples have scores "
                f"that are NaN or infinite; check the models' training and the inputs' range"
            )
        self.floor_ = table.min(axis=0)
        self.spread_ = table.std(axis=0)
        flat = self.spread_ <= 1e-12 * np.maximum(np.abs(table).max(axis=0), 1e-300)
        if flat.any():
            raise ValueError(
                f"{int(flat.sum())} of {len(flat)} scores are the same for all normal examples, so "
                f"they have no scale; train these models, or leave them out"
            )
        return self

    def anomaly(self, x: Any) -> tf.Tensor:
        """The power of the mean excess, (batch,) float64; 0 is the most normal."""
        excess = tf.nn.relu(bounded(self._table(x)) - self.floor_) / self.spread_
        return tf.pow(tf.reduce_mean(excess, axis=1), tf.constant(self.power, tf.float64))

    def _table(self, x: Any) -> tf.Tensor:
        columns = [
            scores_of(getattr(model, score), rows_for(model, x))
            for model in self.models
            for score in self.scores
        ]
        if self.beside_ is not None:
            columns.append(scores_of(anomaly_function(self.beside_), rows_for(self.beside_, x)))
        return tf.stack([tf.cast(column, tf.float64) for column in columns], axis=1)

    def _check(self) -> None:
        if isinstance(self.scores, str):
            raise ValueError(f"scores must be a sequence of names, got the text {self.scores!r}")
        if not isinstance(self.models, Sequence):
            raise ValueError(f"models must be a list of models, got {self.models!r}")
        if not len(self.models) or not len(self.scores):
            raise ValueError(
                f"expected one model and one score or more, got {len(self.models)} models and "
                f"{len(self.scores)} scores"
            )
        for score in self.scores:
            if score not in MODEL_SCORES:
                raise ValueError(
                    f"unknown score {score!r}; expected one of {', '.join(MODEL_SCORES)}"
                )
            for model in self.models:
                if not hasattr(model, score):
                    raise ValueError(f"{type(model).__name__} has no {score}; choose another score")
        if not 0 < self.power < np.inf:
            raise ValueError(f"power must be positive and finite, got {self.power!r}")


def ensemble_of(models: Sequence[Any], score: str, detection: Detection) -> ModelEnsemble:
    """What a recipe makes of trained models, not fitted yet.

    Args:
        models: trained models.
        score: of `MODEL_SCORES`.
        detection: what the recipe says.
    """
    beside = None
    if detection.neighbours:
        near = NeighbourDistance(detection.neighbours, detection.principal, leave_out=True)
        beside = make_pipeline(Flatten(), near)
    return ModelEnsemble(models, (score,), detection.power, beside)
