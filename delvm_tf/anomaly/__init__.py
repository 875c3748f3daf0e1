"""Anomaly detection: a model's score, a threshold, and scikit-learn's habits."""

from delvm_tf.anomaly.combination import ScoreCombination, standardized_sum
from delvm_tf.anomaly.detector import AnomalyDetector
from delvm_tf.anomaly.ensemble import ModelEnsemble
from delvm_tf.anomaly.feature_scores import FeatureDetector, NeighbourDistance, PrincipalGaussian
from delvm_tf.anomaly.score_vectors import LayerScores, NoiseScores
from delvm_tf.anomaly.thresholds import THRESHOLDS

__all__ = [
    "THRESHOLDS",
    "AnomalyDetector",
    "FeatureDetector",
    "LayerScores",
    "ModelEnsemble",
    "NeighbourDistance",
    "NoiseScores",
    "PrincipalGaussian",
    "ScoreCombination",
    "standardized_sum",
]
