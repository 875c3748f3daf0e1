"""Anomaly detection: a model's score, a threshold, and scikit-learn's habits."""

from delvm_tf.detection.baselines import BASELINES, DistanceToMean
from delvm_tf.detection.combination import ScoreCombination
from delvm_tf.detection.criterion import Criterion, anomaly_function
from delvm_tf.detection.detector import AnomalyDetector
from delvm_tf.detection.ensemble import ModelEnsemble
from delvm_tf.detection.explanation import Explanation, NotExplainedError
from delvm_tf.detection.feature_detector import FeatureDetector
from delvm_tf.detection.images.image_detector import ImageDetector
from delvm_tf.detection.levels.level_detector import LevelDetector
from delvm_tf.detection.neighbours import NeighbourDistance
from delvm_tf.detection.principal import PCAResidual, PrincipalGaussian
from delvm_tf.detection.registry import register
from delvm_tf.detection.scikit_learn import Flatten, transform_function
from delvm_tf.detection.score_vectors import LayerScores, NoiseScores
from delvm_tf.detection.thresholds import THRESHOLDS

__all__ = [
    "BASELINES",
    "THRESHOLDS",
    "AnomalyDetector",
    "Criterion",
    "DistanceToMean",
    "Explanation",
    "FeatureDetector",
    "Flatten",
    "ImageDetector",
    "LayerScores",
    "LevelDetector",
    "ModelEnsemble",
    "NeighbourDistance",
    "NoiseScores",
    "NotExplainedError",
    "PCAResidual",
    "PrincipalGaussian",
    "ScoreCombination",
    "anomaly_function",
    "register",
    "transform_function",
]
