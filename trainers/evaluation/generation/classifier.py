"""A small convolutional classifier of images, whose features judge drawn ones."""

import dataclasses
import math
from typing import Any, Self

import keras
import numpy as np
from sklearn.utils import gen_batches

from trainers.evaluation.batches import BATCH, STEPS_AT_ONCE, TableBatches

UNIT_ROWS = 5000  # training images that the unit of the features is measured on


@dataclasses.dataclass
class ImageClassifier:
    """Two convolutions of 3×3 with max-pooling, a dense layer of features, and one of logits.

    Minimises the cross-entropy by Adam with a rate that falls to zero as a cosine. Small images
    (below 16 pixels) are pooled once. Half of the inputs of the last layer are dropped in training,
    so that features do not lean on each other. A step on 256 images of 28×28 takes about 0.1 s on
    two cores.

    Args:
        steps: of Adam, on batches of 256 images.
        features: width of the layer before the last.
        filters: of the two convolutions.
        rate: of Adam at first.
        seed: of weights, order and dropout.

    Attributes:
        model_: raw images to logits, (n, classes).
        extractor_: raw images to features, (n, features), over the root of their mean variance on
            training images, so that distances between features are in standard deviations.

    Raises:
        ValueError: for settings that are not positive.
    """

    steps: int = 600
    features: int = 64
    filters: tuple[int, int] = (32, 64)
    rate: float = 3e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ("steps", "features", "rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)!r}")
        self._data: Any = None
        self._start: list[np.ndarray] = []

    def fit(self, x: np.ndarray, y: np.ndarray) -> Self:
        """Learn from raw images (n, height, width, channels) and classes 0, 1, … (n,).

        Raises:
            ValueError: if there are not as many images as classes, or images of one value only.
        """
        if x.ndim != 4 or y.shape != (len(x),):
            raise ValueError(
                f"expected images (n, height, width, channels) and a class for each, got "
                f"{x.shape} and {y.shape}"
            )
        low, high = float(x.min()), float(x.max())
        if not low < high:
            raise ValueError(f"all pixels of all images are {low:g}; there is nothing to learn")
        self._begin((x.shape[1:], low, high, int(y.max()) + 1))
        rng = np.random.default_rng(self.seed)
        passes = math.ceil(self.steps * BATCH / len(x))
        order = np.concatenate([rng.permutation(len(x)) for _ in range(passes)])
        batches = TableBatches(x, y.astype("int32"), order[: self.steps * BATCH])
        self.model_.fit(batches, shuffle=False, verbose=0)
        self._set_unit(x, rng)
        return self

    def _begin(self, data: tuple[Any, float, float, int]) -> None:
        """New weights, and a new graph, which takes a second or two, only for data of new form."""
        if data == self._data:
            for variable, value in zip(self._variables(), self._start, strict=True):
                variable.assign(value)
            return
        keras.utils.set_random_seed(self.seed)
        self.model_ = self._network(*data)
        rate = keras.optimizers.schedules.CosineDecay(self.rate, self.steps)
        optimizer = keras.optimizers.Adam(rate)
        optimizer.build(self.model_.trainable_variables)
        self.model_.compile(
            optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=min(STEPS_AT_ONCE, self.steps),
        )  # fmt: skip
        self._start = [keras.ops.convert_to_numpy(each) for each in self._variables()]
        self._data = data

    def _variables(self) -> list[Any]:
        return [*self.model_.variables, *self.model_.optimizer.variables]

    def _network(self, shape: Any, low: float, high: float, classes: int) -> keras.Model:
        layers = keras.layers
        pooled = (True, min(shape[:2]) >= 16)
        inputs = keras.Input(shape)
        x = layers.Rescaling(2 / (high - low), -(high + low) / (high - low))(inputs)
        for filters, pool in zip(self.filters, pooled, strict=True):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            if pool:
                x = layers.MaxPooling2D(padding="same")(x)
        x = layers.Dense(self.features, activation="relu", name="features")(layers.Flatten()(x))
        return keras.Model(inputs, layers.Dense(classes)(layers.Dropout(0.5)(x)))

    def _set_unit(self, x: np.ndarray, rng: np.random.Generator) -> None:
        """Make the network up to its features, in their unit."""
        raw, hidden = self.model_.inputs[0], self.model_.get_layer("features").output
        rows = np.sort(rng.permutation(len(x))[:UNIT_ROWS])
        found = outputs(keras.Model(raw, hidden), x[rows])
        variance = found.var(axis=0, dtype=np.float64).mean()
        unit = 1 / math.sqrt(variance) if variance > 0 else 1.0
        self.extractor_ = keras.Model(raw, keras.layers.Rescaling(unit)(hidden))

    def score(self, x: np.ndarray, y: np.ndarray) -> float:
        """Share of the images whose class has the largest logit."""
        return float(np.mean(outputs(self.model_, x).argmax(axis=1) == y))


def outputs(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """What a model gives for arrays of any length, batch by batch, (n, ...)."""
    batches = [x[rows] for rows in gen_batches(len(x), BATCH)]
    return np.concatenate([keras.ops.convert_to_numpy(model(batch)) for batch in batches])
