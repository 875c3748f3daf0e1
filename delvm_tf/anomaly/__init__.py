"""Anomaly detection: a model's score, a threshold, and scikit-learn's habits."""

from delvm_tf.anomaly.detector import AnomalyDetector
from delvm_tf.anomaly.thresholds import THRESHOLDS

__all__ = ["THRESHOLDS", "AnomalyDetector"]
