"""One class against the rest: data, and scores of models and of features, by method."""

import argparse
import dataclasses
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from delvm_tf.catalog import Specification
from delvm_tf.datasets import Dataset, load
from delvm_tf.detection import (
    AnomalyDetector,
    FeatureDetector,
    ImageDetector,
    LayerScores,
    NeighbourDistance,
    NoiseScores,
    PrincipalGaussian,
    ScoreCombination,
)
from delvm_tf.detection.baselines import BASELINES, DistanceToMean
from delvm_tf.features import PatchFeatures, PatchWhitening, sample_patches
from delvm_tf.features.extraction import check_images
from delvm_tf.models.energy_model import EnergyModel
from delvm_tf.models.latent_energy_model import LatentEnergyModel
from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.normalization import normalize_contrast
from trainers.experiments.anomaly import scores_of
from trainers.experiments.features import as_inputs, model_features, raw_pixels
from trainers.experiments.patches import METHODS, PatchRecipe, learn, patch_recipe
from trainers.experiments.subsets import subset
from trainers.recipes import recipes_in

HELD_OUT = 0.2
NOISE_LEVELS = (0.0, 0.3, 1.0, 3.0)
COMPONENTS = 256  # of features, that distances are measured in
BEST = "neighbours and pixels"  # by held-out training images
DEFAULT = "default detector of images"
PIXELS = (1.0, 0.5)  # weights of the standardised scores by features and by pixels


class Scored(NamedTuple):
    """What a method makes of the rows to be scored.

    Attributes:
        scores: (n,), higher is more abnormal.
        seconds: of training and scoring.
    """

    scores: np.ndarray
    seconds: float


def load_one_vs_rest(
    name: str, normal_class: int, seed: int = 0, *, validation: bool = False,
    train_size: int = 0, test_size: int = 0,
) -> Dataset:  # fmt: skip
    """Normal rows of one class to train on, and rows of all classes to score.

    Args:
        name: a data set with the protocol one-vs-rest.
        normal_class: number of the class.
        seed: of all draws.
        validation: score held-out training rows, and no test row: a fifth of the normal ones,
            which are not trained on, and of the other classes as many as keep the shares. These
            have labels, so what is chosen by them must be chosen for all classes together.
        train_size: normal rows to keep; 0 for all.
        test_size: rows to score to keep; 0 for all.

    Raises:
        ValueError: for an unknown name, class or protocol, or sizes out of range.
    """
    data = load(name, protocol="one-vs-rest", seed=seed, normal_class=normal_class)
    if validation:
        data = _carve(data, load(name, protocol="classification", seed=seed), normal_class, seed)
    return subset(data, train_size, test_size, seed)


def contrast_normalized(data: Dataset) -> Dataset:
    """The same with `normalize_contrast` applied to each row."""
    return dataclasses.replace(
        data, x_train=normalize_contrast(data.x_train), x_test=normalize_contrast(data.x_test)
    )


def _carve(data: Dataset, labelled: Dataset, normal_class: int, seed: int) -> Dataset:
    """The same training class, with held-out training rows in the place of the test's."""
    rng = np.random.default_rng(seed)
    own = rng.permutation(np.flatnonzero(labelled.y_train == normal_class))
    rest = rng.permutation(np.flatnonzero(labelled.y_train != normal_class))
    held = own[: round(HELD_OUT * len(own))]
    scored = np.concatenate([held, rest[: round(HELD_OUT * len(rest))]])
    kept = own[len(held) :]
    return dataclasses.replace(
        data,
        x_train=labelled.x_train[kept],
        y_train=np.zeros(len(kept), "int64"),
        x_test=labelled.x_train[scored],
        y_test=(labelled.y_train[scored] != normal_class).astype("int64"),
    )


def feature_detectors(features: int, seed: int) -> dict[str, Any]:
    """Unfitted detectors by name, of tables that hold features first and then pixels.

    Args:
        features: how many there are; each is standardised.
        seed: of the detectors.
    """

    def of_features(detector: Any) -> FeatureDetector:
        return FeatureDetector(
            lambda table: table[:, :features], make_pipeline(StandardScaler(), detector)
        )

    neighbours = of_features(NeighbourDistance(5, COMPONENTS, seed=seed))
    pixels = FeatureDetector(lambda table: table[:, features:], DistanceToMean())
    return {
        "Gaussian": of_features(PrincipalGaussian(COMPONENTS, seed=seed)),
        "neighbours": neighbours,
        BEST: ScoreCombination([neighbours, pixels], seed=seed, weights=PIXELS),
    }


def score_tables(
    train: Any, test: Any, pixels: Dataset, seed: int, seconds: float = 0.0
) -> dict[str, Scored]:
    """Scores of all `feature_detectors` for features that are there already.

    Args:
        train: features of normal rows, (n, d).
        test: features of the rows to be scored, (m, d).
        pixels: the rows themselves, contrast-normalised.
        seed: of the detectors.
        seconds: that the features took, counted for each detector.
    """
    tables = [
        np.concatenate([np.asarray(part, np.float32), raw_pixels(rows)], axis=1)
        for part, rows in ((train, pixels.x_train), (test, pixels.x_test))
    ]
    features = tables[0].shape[1] - raw_pixels(pixels.x_train[:1]).shape[1]
    return {
        name: _fitted(detector, tables[0], tables[1], seconds)
        for name, detector in feature_detectors(features, seed).items()
    }


def baseline_scores(data: Dataset, seed: int) -> dict[str, Scored]:
    """Scores of the baselines on the rows themselves."""
    return {
        name: _fitted(make(seed), data.x_train, data.x_test) for name, make in BASELINES.items()
    }


def default_scores(data: Dataset, seed: int) -> dict[str, Scored]:
    """Scores of the detector that images get without any settings, on the images as they are."""
    return {DEFAULT: _fitted(ImageDetector(seed), data.x_train, data.x_test)}


def norm_scores(data: Dataset) -> dict[str, Scored]:
    """How far the norm of a row is from the mean norm, in standard deviations."""

    def score() -> np.ndarray:
        norms, usual = _norms(data.x_test), _norms(data.x_train)
        return np.abs(norms - usual.mean()) / usual.std()

    return {"norm of the pixels": _timed(score)}


def model_scores(
    specification: Specification, data: Dataset, seed: int, pool: int = 8
) -> dict[str, Scored]:
    """All scores of a model trained on the normal rows, and of the untrained one's features.

    Args:
        specification: of model and training.
        data: one class against the rest.
        seed: of weights and training.
        pool: side of the max-pooling of features.

    Raises:
        TrainingDiverged: if it ran away.
    """
    images = bool(specification.model_settings.get("filters"))
    x, rows = (as_inputs(part, images) for part in (data.x_train, data.x_test))
    untrained = specification.adapted(x, seed)
    started = time.perf_counter()
    model = specification.train(x, seed)
    trained = time.perf_counter() - started

    found = {}
    detectors = [AnomalyDetector(model, criterion=score) for score in scores_of(model)]
    for detector in detectors:
        name = detector.criterion_.replace("_", " ")
        found[name] = _timed(partial(detector.anomaly_score, rows), trained)
    if len(detectors) > 1:
        both = ScoreCombination(detectors, prefit=True)
        found["sum of error and energy"] = _fitted(both, x, rows, trained)
    for name, vector in score_vectors(model).items():
        of_scores = FeatureDetector(vector, PrincipalGaussian(8, seed=seed))
        found[name] = _fitted(of_scores, x, rows, trained)

    found = {f"{specification.title}, {name}": each for name, each in found.items()}
    for title, each, seconds in (
        (specification.title, model, trained),
        (f"untrained {specification.title}", untrained, 0.0),
    ):
        started = time.perf_counter()
        function = model_features(each, images, pool)
        train, test = (np.asarray(function(part)) for part in (x, rows))
        seconds += time.perf_counter() - started
        for name, scored in score_tables(train, test, data, seed, seconds).items():
            found[f"{title} features, {name}"] = scored
    return found


def score_vectors(model: ReconstructionModel) -> dict[str, Callable[[Any], np.ndarray]]:
    """The vectors of scores that a model has, by name."""
    vectors: dict[str, Callable[[Any], np.ndarray]] = {}
    if isinstance(model, EnergyModel):
        vectors["errors at noise levels"] = NoiseScores(model, NOISE_LEVELS)
    if isinstance(model, LatentEnergyModel) and model.layer_count > 1:
        vectors["energies of layers"] = LayerScores(model)
    return vectors


class PatchSettings(NamedTuple):
    """How features are made of patches.

    Attributes:
        size: side of a patch.
        patches: how many filters are learned on.
        filters: how many.
        grid: parts of the image along each side that codes are summed over.
    """

    size: int = 6
    patches: int = 30_000
    filters: int = 96
    grid: int = 2

    def check(self, input_shape: tuple[int, ...]) -> None:
        """Raise a ValueError if images of this shape have no such features."""
        check_images((1, *input_shape), self.size)
        places = min(input_shape[:2]) - self.size + 1
        if not 1 <= self.grid <= places:
            raise ValueError(
                f"the grid must have between 1 and {places} parts along each side, one for each "
                f"place of a patch or fewer, got {self.grid}"
            )
        for name in ("patches", "filters"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be 2 or more, got {getattr(self, name)}")


def add_patch_arguments(parser: Any) -> None:
    """Options of methods of patches and of their features."""
    usual = PatchSettings()
    parser.add_argument(
        "--patch-methods", nargs="+", default=["dsm-delvm", "random"], metavar="METHOD",
        help=f"one or more of {', '.join(METHODS)}, or recipes by name",
    )  # fmt: skip
    parser.add_argument("--patch-filters", type=int, default=usual.filters)
    parser.add_argument("--patch-size", type=int, default=usual.size)
    parser.add_argument("--patches", type=int, default=usual.patches)
    parser.add_argument("--grid", type=int, default=usual.grid)


def patch_settings(args: argparse.Namespace) -> PatchSettings:
    """How features are made of patches, as the arguments say."""
    return PatchSettings(args.patch_size, args.patches, args.patch_filters, args.grid)


def patch_recipes(args: argparse.Namespace, file: str) -> dict[str, PatchRecipe]:
    """The recipes of a file for the methods that the arguments ask for, by name.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for an unknown method, or what is wrong in the file.
    """
    recipes = recipes_in(file, PatchRecipe)
    return {name: patch_recipe(recipes, name, args.patch_filters) for name in args.patch_methods}


def patch_features(
    name: str, recipe: PatchRecipe, images: np.ndarray, seed: int, settings: PatchSettings
) -> PatchFeatures:
    """Features by filters learned on patches of normal images.

    Args:
        name: of the method, as in `patch_recipe`.
        recipe: its recipe.
        images: normal ones, (n, height, width, channels).
        seed: of patches and filters.
        settings: of the features.

    Raises:
        TrainingDiverged: if a model ran away.
    """
    raw = sample_patches(images, settings.size, settings.patches, seed)
    whiten = PatchWhitening(raw)
    patches = whiten(raw).numpy()
    learned = learn(name, recipe, patches, settings.filters, seed)
    encode = learned.encoder(recipe.encoder, recipe.threshold)
    return PatchFeatures(settings.size, whiten, encode, settings.grid)


def patch_scores(
    name: str,
    recipe: PatchRecipe,
    data: Dataset,
    pixels: Dataset,
    seed: int,
    settings: PatchSettings,
) -> dict[str, Scored]:
    """Scores of detectors of patch features, with filters learned on the normal rows alone.

    Args:
        name: of the method, as in `patch_recipe`.
        recipe: its recipe.
        data: one class against the rest, images.
        pixels: the same, contrast-normalised.
        seed: of patches, filters and detectors.
        settings: of the features.

    Raises:
        TrainingDiverged: if a model ran away.
    """
    started = time.perf_counter()
    function = patch_features(name, recipe, data.x_train, seed, settings)
    train, test = function(data.x_train), function(data.x_test)
    seconds = time.perf_counter() - started
    return {
        patch_row(recipe, detector): scored
        for detector, scored in score_tables(train, test, pixels, seed, seconds).items()
    }


def patch_row(recipe: PatchRecipe, detector: str = BEST) -> str:
    """What tables call a detector of patch features."""
    return f"{recipe.title} of patches, {detector}"


def patch_detector(
    name: str, recipe: PatchRecipe, images: np.ndarray, seed: int, settings: PatchSettings
) -> FeatureDetector:
    """The last detector of `patch_scores` as one of images, which can be exported."""
    function = patch_features(name, recipe, images, seed, settings)

    def table(x: Any) -> tf.Tensor:
        pixels = normalize_contrast(x)
        return tf.concat([function(x), tf.reshape(pixels, (tf.shape(pixels)[0], -1))], axis=1)

    features = function(images[:1]).shape[1]
    return FeatureDetector(table, feature_detectors(features, seed)[BEST]).fit(images)


def class_table(rows: list[Mapping[str, Any]], figure: str = "auroc") -> list[dict[str, Any]]:
    """Rows of method, class and seed as one row per method and seed, with a column per class.

    The last column, `mean`, is over the classes.
    """
    table: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        key = row["method"], row["seed"]
        table.setdefault(key, {"method": row["method"], "seed": row["seed"]})
        table[key][row["class"]] = row[figure]
    for line in table.values():
        line["mean"] = float(np.mean([line[c] for c in line if c not in ("method", "seed")]))
    return list(table.values())


def _norms(x: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.reshape(x, (len(x), -1)).astype(np.float64), axis=1)


def _fitted(detector: Any, train: Any, test: Any, before: float = 0.0) -> Scored:
    return _timed(lambda: -detector.fit(train).score_samples(test), before)


def _timed(score: Callable[[], np.ndarray], before: float = 0.0) -> Scored:
    started = time.perf_counter()
    scores = np.asarray(score(), np.float64)
    return Scored(scores, before + time.perf_counter() - started)
