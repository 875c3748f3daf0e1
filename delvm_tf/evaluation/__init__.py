"""Measuring results, and the simple methods that every result stands beside."""

from delvm_tf.evaluation.baselines import BASELINES, DistanceToMean, PCAResidual
from delvm_tf.evaluation.feature_store import FeatureStore
from delvm_tf.evaluation.metrics import anomaly_metrics
from delvm_tf.evaluation.probe import LinearProbe

__all__ = [
    "BASELINES",
    "DistanceToMean",
    "FeatureStore",
    "LinearProbe",
    "PCAResidual",
    "anomaly_metrics",
]
