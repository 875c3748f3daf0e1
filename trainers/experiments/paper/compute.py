"""Computing a cell: train, then measure at every depth."""

import time
import warnings
from typing import Any

import keras
import numpy as np

import delvm_tf.datasets as datasets
from delvm_tf.datasets.dataset import Dataset
from delvm_tf.detection import AnomalyDetector
from delvm_tf.detection.baselines import BASELINES
from delvm_tf.features import PatchFeatures
from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.objectives.score_matching import PrintedSignWarning
from delvm_tf.training.divergence import TrainingDiverged
from trainers.evaluation.probe import LinearProbe
from trainers.evaluation.ridge import RidgeProbe
from trainers.experiments import anomaly, features
from trainers.experiments.paper.cells import Cell
from trainers.experiments.paper.tables import (
    ALL_ABNORMAL,
    COMPONENTS,
    PCA_FEATURES,
    RAW_PIXELS,
    TODAY,
    Probe,
    Protocol,
)
from trainers.experiments.patches import PatchRecipe, learn_from_images, patch_recipe
from trainers.experiments.subsets import subset
from trainers.recipes import recipes_in

MEASURES = ("f1", "auroc", "precision", "recall", "average_precision")
Numbers = dict[str, float]


def load(protocol: Protocol, seed: int) -> Dataset:
    """The rows of a protocol.

    Raises:
        FileNotFoundError: if the data are not there.
        ValueError: if there are fewer rows than asked for.
    """
    data = datasets.load(protocol.dataset, protocol=protocol.name, seed=seed)
    return subset(data, protocol.train_size, protocol.test_size, seed)


def compute(cell: Cell, data: Dataset) -> dict[str, Any]:
    """Train a cell's model and measure it.

    Returns:
        `results`, by number of layers (as text) the numbers; a depth at which training ran away is
        missing, and `diverged` says why. `seconds` is what it took.
    """
    started = time.perf_counter()
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(cell.seed)
    if cell.specification is None:
        results, diverged = {"1": _baseline(cell, data)}, ""
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PrintedSignWarning)
            results, diverged = _model(cell, data)
    return {
        "results": results,
        "diverged": diverged,
        "seconds": round(time.perf_counter() - started, 3),
    }


class _Grown(keras.callbacks.Callback):
    """Notes how many layers have been trained to the end."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0

    def on_train_end(self, logs: Any = None) -> None:
        self.depth += 1


def _model(cell: Cell, data: Dataset) -> tuple[dict[str, Numbers], str]:
    specification = cell.specification
    assert specification is not None
    images = bool(specification.model_settings.get("filters"))
    x = features.as_inputs(data.x_train, images)
    model = specification.adapted(x, cell.seed)
    last, diverged = max(cell.depths), ""
    if cell.trained:
        grown = _Grown()
        try:
            specification.fit(model, x, callbacks=[grown])
        except TrainingDiverged as error:
            diverged = str(error)
            last = grown.depth if specification.layerwise else 0
    results: dict[str, Numbers] = {}
    for depth in cell.depths:
        if depth > last:
            break
        # A frozen layer is what it was when it was trained, so the parts of the whole will do.
        stage = model.layer_stage(depth) if len(cell.depths) > 1 else model
        problem = _problem(stage, x)
        if problem:
            return results, f"layer {depth}: {problem}"
        results[str(depth)] = _measure(cell, stage, data, images)
    return results, diverged


def _problem(model: ReconstructionModel, x: np.ndarray) -> str:
    """Why a model cannot be measured; empty if it can."""
    errors = np.asarray(model.reconstruction_error(x))
    values = np.asarray(model.features(x[:500]))
    if not (np.isfinite(errors).all() and np.isfinite(values).all()):
        return "reconstruction errors or features are not finite"
    return ""


def _measure(cell: Cell, model: ReconstructionModel, data: Dataset, images: bool) -> Numbers:
    if cell.probe is not None:
        function = features.model_features(model, images, cell.probe.pool)
        return _accuracy(cell.probe, function, data, cell.seed)
    detector = AnomalyDetector(
        model, threshold=cell.protocol.threshold, criterion="reconstruction_error"
    )
    return _detection(cell, detector, data)


def _accuracy(
    probe: Probe, function: features.FeatureFunction, data: Dataset, seed: int
) -> Numbers:
    classifier = LinearProbe(
        probe.l2, epochs=probe.epochs, minimum_steps=probe.minimum_steps, seed=seed
    )
    return features.score_features(function, data, classifier)._asdict()


def _detection(cell: Cell, detector: AnomalyDetector, data: Dataset) -> Numbers:
    anomaly.calibrate(detector, data)
    scores = detector.anomaly_score(data.x_test)
    return _chosen(anomaly.row("", cell.seed, data, scores, detector.threshold_, 0.0))


def _chosen(row: Any) -> Numbers:
    return {name: float(row[name]) for name in MEASURES}


def _codes_of_patches(data: Dataset, seed: int) -> Numbers:
    """The pipeline of `trainers/patches.py`, with its usual settings, on the same images."""
    method, filters = "dsm-delvm", 400
    recipe = patch_recipe(recipes_in("patches", PatchRecipe), method, filters)
    count = min(100_000, 50 * len(data.x_train))
    whiten, learned = learn_from_images(method, recipe, data.x_train, 6, filters, count, seed)
    encode = learned.encoder(recipe.encoder, recipe.threshold)
    function = PatchFeatures(6, whiten, encode, pooling=3, power=0.5, mirrored=True)
    return features.score_features(function, data, RidgeProbe(seed=seed))._asdict()


def _baseline(cell: Cell, data: Dataset) -> Numbers:
    if cell.probe is not None:
        if cell.method == TODAY:
            return _codes_of_patches(data, cell.seed)
        functions = {
            RAW_PIXELS: lambda: features.raw_pixels,
            PCA_FEATURES: lambda: features.principal_components(
                data.x_train, COMPONENTS, cell.seed
            ),
        }
        return _accuracy(cell.probe, functions[cell.method](), data, cell.seed)
    if cell.method == ALL_ABNORMAL:
        return _chosen(anomaly.all_abnormal(data, cell.seed))
    estimator = BASELINES[cell.method](cell.seed).fit(data.x_train)
    return _detection(cell, AnomalyDetector(estimator, threshold=cell.protocol.threshold), data)
