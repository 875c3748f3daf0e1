"""Scoring detectors and baselines on an anomaly protocol, one row of a table each."""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from delvm_tf.catalog import Detection
from delvm_tf.datasets import Dataset, load
from delvm_tf.detection.baselines import BASELINES
from delvm_tf.detection.detector import AnomalyDetector
from delvm_tf.detection.ensemble import ensemble_of
from delvm_tf.metrics.anomaly import anomaly_metrics
from trainers.arguments import add_dataset_arguments, parse_seeds
from trainers.evaluation.tables import Row

SCORES = ("reconstruction_error", "energy")
FIGURES = {
    "auroc": "AUROC", "average_precision": "AP", "f1": "F1", "precision": "precision",
    "recall": "recall", "train seconds": "fit s",
}  # fmt: skip


def load_anomalies(args: argparse.Namespace, seed: int) -> Dataset:
    """The split to train and score on, as the arguments say.

    Raises:
        ValueError: if the protocol has no anomalies.
    """
    options = {} if args.normal_class is None else {"normal_class": args.normal_class}
    data = load(args.dataset, protocol=args.protocol, seed=seed, **options)
    if not data.is_anomaly:
        raise ValueError(
            f"protocol {data.protocol!r} of {args.dataset} is not one for anomaly detection; "
            f"try --protocol one-vs-rest"
        )
    return data.validation_split(seed=seed) if args.validation else data


def add_anomaly_data_arguments(parser: Any) -> None:
    """What `load_anomalies` takes, and seeds."""
    add_dataset_arguments(parser, "ecg5000")
    parser.add_argument("--protocol", help="split of the data; the data set's default if not given")
    parser.add_argument("--normal-class", type=int, help="for the protocol one-vs-rest")
    parser.add_argument(
        "--validation", action="store_true",
        help="score on data carved from the training part, to choose settings by",
    )  # fmt: skip
    parser.add_argument("--seeds", type=parse_seeds, default=[0], metavar="0-9")


def scores_of(model: Any) -> list[str]:
    """The anomaly scores that a model has."""
    return [score for score in SCORES if hasattr(model, score)]


def calibrate(detector: AnomalyDetector, data: Dataset) -> AnomalyDetector:
    """Set the threshold on training data, labelled where the threshold needs labels.

    The protocols leave no normal rows aside: models are trained on all of them. So detectors have
    `holdout=0`, and neither they nor what is exported of them give p-values.

    Raises:
        ValueError: if it needs labels and the protocol has none.
    """
    if detector.threshold == "best_f1":
        if data.x_calibration is None:
            raise ValueError(
                f"protocol {data.protocol!r} has no labelled training data for the threshold "
                f"'best_f1'; choose 'mean_std' or 'contamination'"
            )
        return detector.fit(data.x_calibration, np.where(data.y_calibration == 1, -1, 1))
    return detector.fit(data.x_train)


def detectors_of(model: Any, data: Dataset, threshold: str) -> dict[str, AnomalyDetector]:
    """A calibrated detector for each score that a model has."""
    return {
        score: calibrate(AnomalyDetector(model, threshold, score, holdout=0), data)
        for score in scores_of(model)
    }


def ensembles_of(
    models: Sequence[Any], detection: Detection, data: Dataset
) -> dict[str, AnomalyDetector]:
    """A calibrated detector for each score that the models have, from all of them together."""
    fitted = {
        score: ensemble_of(models, score, detection).fit(data.x_train)
        for score in scores_of(models[0])
    }
    return {
        score: calibrate(AnomalyDetector(ensemble, detection.threshold, holdout=0), data)
        for score, ensemble in fitted.items()
    }


def baseline_detectors(
    data: Dataset, threshold: str, seed: int
) -> dict[str, tuple[AnomalyDetector, float]]:
    """The baselines, calibrated, and the seconds that each took to train.

    Those of as many principal components as there are values have no residual, and are left out.
    """
    fitted = {}
    for name, make in BASELINES.items():
        estimator = make(seed)
        if getattr(estimator, "n_components", 0) >= min(data.x_train[0].size, len(data.x_train)):
            continue
        started = time.perf_counter()
        estimator.fit(data.x_train)
        seconds = time.perf_counter() - started
        fitted[name] = (calibrate(AnomalyDetector(estimator, threshold, holdout=0), data), seconds)
    return fitted


def row(
    method: str, seed: int, data: Dataset, scores: np.ndarray, threshold: float, seconds: float
) -> Row:
    """One line of the table."""
    return {
        "method": method, "seed": seed, **anomaly_metrics(data.y_test, scores, threshold),
        "train seconds": round(seconds, 3),
    }  # fmt: skip


def all_abnormal(data: Dataset, seed: int) -> Row:
    """The line of the detector that calls everything abnormal."""
    return row("all abnormal", seed, data, np.zeros(len(data.y_test)), -1.0, 0.0)
