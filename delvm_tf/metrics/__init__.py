"""Metrics of anomaly scores for `compile`: they rank, and take any score that is a number."""

from delvm_tf.metrics.allowed import check_metrics
from delvm_tf.metrics.ranking import AUROC, AveragePrecision

__all__ = ["AUROC", "AveragePrecision", "check_metrics"]
