"""Scoring features by a linear classifier: what the programs on features share."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA

from delvm_tf.datasets import Dataset, load
from delvm_tf.models.noise_conditional.energy_model import NoiseConditionalEnergyModel
from delvm_tf.models.reconstruction_model import ReconstructionModel
from trainers.evaluation.feature_table import feature_table
from trainers.experiments.readouts import Probe
from trainers.experiments.subsets import subset

FeatureFunction = Callable[[Any], Any]  # a batch of raw inputs to (batch, features)


def load_data(dataset: str, train_size: int, validation: bool, seed: int) -> Dataset:
    """Training images drawn by the seed, and the whole test set."""
    data = load(dataset, protocol="classification", seed=seed)
    if validation:
        data = data.validation_split(seed=seed)
    return subset(data, train_size, 0, seed)


class FeatureScore(NamedTuple):
    """How well a linear classifier does with features.

    Attributes:
        accuracy: on the test part, in [0, 1].
        features: their number.
        l2: the penalty taken.
    """

    accuracy: float
    features: int
    l2: float


def score_features(
    function: FeatureFunction, data: Dataset, probe: Probe, scratch: Path | None = None
) -> FeatureScore:
    """Fit the classifier on features of the training part, and score it on the test part.

    Args:
        function: inputs to features.
        data: a classification protocol.
        probe: the classifier.
        scratch: folder for the tables of features; the system's for temporary files if None.

    Raises:
        ValueError: if features are not finite.
    """
    with tempfile.TemporaryDirectory(prefix="features-", dir=scratch) as folder:
        table = feature_table(function, data.x_train, Path(folder) / "train")
        probe.fit(table, data.y_train)
        test = feature_table(function, data.x_test, Path(folder) / "test")
        return FeatureScore(probe.score(test, data.y_test), table.shape[1], probe.l2_)


def model_features(
    model: ReconstructionModel, images: bool, pool: int = 2, layers: str = "all",
    levels: Sequence[float] = (),
) -> FeatureFunction:  # fmt: skip
    """The features of a model.

    Args:
        model: built and adapted.
        images: whether it takes images as they are, and not as vectors.
        pool: side of the max-pooling; 1 for none.
        layers: `"all"` or `"last"`.
        levels: of noise, whose features stand side by side; of a model that knows them.
    """

    def features(batch: Any) -> np.ndarray:
        x = as_inputs(batch, images)
        if not isinstance(model, NoiseConditionalEnergyModel) or not levels:
            return np.asarray(model.features(x, pool=pool, layers=layers))
        found = [model.features(x, pool=pool, layers=layers, sigma=sigma) for sigma in levels]
        return np.concatenate([np.asarray(each) for each in found], axis=1)

    return features


def as_inputs(x: np.ndarray, images: bool) -> np.ndarray:
    """Images for convolutions, vectors for models without."""
    return x if images else x.reshape(len(x), -1)


def raw_pixels(batch: Any) -> np.ndarray:
    """The values themselves, (batch, d)."""
    return np.asarray(batch, np.float32).reshape(len(batch), -1)


def principal_components(x: np.ndarray, components: int, seed: int) -> FeatureFunction:
    """Projections on the first principal components, those without variance left out."""
    pixels = raw_pixels(x)
    pca = PCA(min(components, *pixels.shape), random_state=seed).fit(pixels)
    kept = int(np.sum(pca.explained_variance_ > 1e-6 * pca.explained_variance_[0]))
    return lambda batch: pca.transform(raw_pixels(batch))[:, :kept]
