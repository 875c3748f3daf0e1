"""Anomaly detection: a model's score, a threshold, and scikit-learn's habits."""

from delvm_tf.detection.baselines import BASELINES, DistanceToMean, PCAResidual
from delvm_tf.detection.combination import ScoreCombination, standardized_sum
from delvm_tf.detection.detector import AnomalyDetector
from delvm_tf.detection.ensemble import ModelEnsemble
from delvm_tf.detection.feature_scores import FeatureDetector, NeighbourDistance, PrincipalGaussian
from delvm_tf.detection.score_vectors import LayerScores, NoiseScores
from delvm_tf.detection.thresholds import THRESHOLDS

__all__ = [
    "BASELINES",
    "THRESHOLDS",
    "AnomalyDetector",
    "DistanceToMean",
    "FeatureDetector",
    "LayerScores",
    "ModelEnsemble",
    "NeighbourDistance",
    "NoiseScores",
    "PCAResidual",
    "PrincipalGaussian",
    "ScoreCombination",
    "standardized_sum",
]
