"""Metrics for `compile` that rank anomaly scores, whatever their range."""

from delvm_tf.metrics.allowed import check_metrics
from delvm_tf.metrics.ranking import AUROC, AveragePrecision

__all__ = ["AUROC", "AveragePrecision", "check_metrics"]
