"""Measuring results, and the simple methods that every result stands beside."""

from delvm_tf.evaluation.baselines import BASELINES, DistanceToMean, PCAResidual
from delvm_tf.evaluation.metrics import anomaly_metrics

__all__ = ["BASELINES", "DistanceToMean", "PCAResidual", "anomaly_metrics"]
