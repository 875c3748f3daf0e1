"""A linear classifier whose weights factor into filters and places."""

import dataclasses
import math
from typing import Self

import keras
import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

from trainers.evaluation.batches import BATCH, STEPS_AT_ONCE, TableBatches


@dataclasses.dataclass
class LowRankProbe:
    """Codes of each place to a few channels, and the channels of all places to classes.

    logits = Σ_places V_place (U z_place) + b, for codes z standardised with one mean and deviation
    for each code over all places: a linear classifier with rank·(codes + places·classes) weights in
    the place of places·codes·classes. Minimises the mean cross-entropy + ½·l2·(‖U‖² + ‖V‖²) by
    Adam, with a rate that falls to zero.

    Cost: 6·places·codes·rank multiply-adds per row and epoch. Memory: some batches.

    Args:
        codes: at each place; features are places of codes, as of `PatchFeatures`.
        rank: channels between.
        l2: strength of the penalty.
        epochs: passes over the data.
        rate: of Adam at first.
        seed: of the order of the rows, and of U.

    Attributes:
        l2_: the penalty.
        model_: features (n, places·codes) to logits (n, classes).

    Raises:
        ValueError: for settings out of range.

    Source: Thiry, Arbel, Belilovsky and Oyallon (2021), The unreasonable effectiveness of patches
    in deep convolutional kernels methods.
    """

    codes: int
    rank: int = 128
    l2: float = 1e-3
    epochs: int = 20
    rate: float = 3e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ("codes", "rank", "epochs"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        if not (0 <= self.l2 < math.inf and 0 < self.rate < math.inf):
            raise ValueError(
                f"l2 and rate must be finite and not negative, got {self.l2!r} and {self.rate!r}"
            )

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Learn from finite float32 features (n, places·codes) and classes 0, 1, … (n,).

        Raises:
            ValueError: if the features are not places of codes.
        """
        places, rest = divmod(X.shape[1], self.codes)
        if rest:
            raise ValueError(f"{X.shape[1]} features are not places of {self.codes} codes each")
        scaler = StandardScaler()
        for rows in gen_batches(len(X), BATCH):
            scaler.partial_fit(X[rows].reshape(-1, self.codes))
        classes = int(y.max()) + 1
        keras.utils.set_random_seed(self.seed)
        penalty = keras.regularizers.L2(self.l2 / 2)
        model = keras.Sequential([
            keras.Input(X.shape[1:]),
            keras.layers.Reshape((places, self.codes)),
            keras.layers.Normalization(
                mean=np.float32(scaler.mean_), variance=np.float32(scaler.scale_**2)
            ),
            keras.layers.Dense(self.rank, use_bias=False, kernel_regularizer=penalty),
            keras.layers.Flatten(),
            keras.layers.Dense(classes, kernel_initializer="zeros", kernel_regularizer=penalty),
        ])  # fmt: skip
        rng = np.random.default_rng(self.seed)
        order = np.concatenate([rng.permutation(len(X)) for _ in range(self.epochs)])
        batches = TableBatches(X, np.eye(classes, dtype="float32")[y], order)
        rate = keras.optimizers.schedules.CosineDecay(self.rate, len(batches))
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate), loss, steps_per_execution=STEPS_AT_ONCE)
        model.fit(batches, shuffle=False, verbose=0)
        self.l2_, self.model_ = self.l2, model
        return self

    def score(self, X: np.ndarray, y: np.ndarray) -> float:
        """Share of the rows whose class has the largest logit."""
        right = 0
        for rows in gen_batches(len(X), BATCH):
            logits = keras.ops.convert_to_numpy(self.model_(X[rows]))
            right += int(np.sum(logits.argmax(axis=1) == y[rows]))
        return right / len(X)
