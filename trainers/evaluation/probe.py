"""A linear classifier that says how good features are."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

from trainers.evaluation.batches import BATCH, STEPS_AT_ONCE, TableBatches

VALIDATION = 0.1  # share of the training rows to choose a penalty by


@dataclasses.dataclass
class LinearProbe:
    """A linear classifier on standardised features, for tables larger than memory.

    Minimises mean loss + ½·l2·‖W‖² over the weights W (features, classes) and free biases. With the
    loss `"cross_entropy"` that is scikit-learn's `LogisticRegression(C=1/(n·l2))` behind a
    `StandardScaler`; with `"squared_hinge"`, Σ_c max(0, 1 ∓ logit_c)², its `LinearSVC(C=1/(n·l2))`,
    but for the penalty that has on biases. Of several `l2`, trained side by side, the best on a
    tenth of the training rows is taken, by cross-entropy or an SVM's accuracy, and refitted on all.

    Cost: 4·n·features·classes multiply-adds per epoch and value of l2, and one reading of the
    table. Memory: 12 bytes per weight and value of l2, and some batches.

    Args:
        l2: one strength of the penalty, or several to choose from.
        epochs: passes over the data, by Adam with a rate that falls to zero.
        minimum_steps: more passes are made if there would be fewer steps than this.
        seed: of the split and the order of the rows.
        loss: `"cross_entropy"` or `"squared_hinge"`.

    Attributes:
        l2_: the penalty taken.
        model_: features (n, d) to logits (n, 1, classes).

    Raises:
        ValueError: for settings out of range.
    """

    l2: float | Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    epochs: int = 20
    minimum_steps: int = 1000
    seed: int = 0
    loss: str = "cross_entropy"

    def __post_init__(self) -> None:
        """Check the settings."""
        self._strengths = sorted({float(s) for s in np.atleast_1d(self.l2)})
        if not self._strengths or not all(0 <= s < math.inf for s in self._strengths):
            raise ValueError(f"l2 must be one or more numbers, none negative, got {self.l2!r}")
        if self.loss not in LOSSES:
            raise ValueError(f"unknown loss {self.loss!r}; expected one of {', '.join(LOSSES)}")
        for name in ("epochs", "minimum_steps"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Learn from finite float32 features (n, d) and classes 0, 1, … (n,).

        Raises:
            ValueError: if there are too few rows of a class to choose a penalty by.
        """
        scaler = StandardScaler()
        for rows in gen_batches(len(X), BATCH):
            scaler.partial_fit(X[rows])
        everything, strengths = np.arange(len(X)), self._strengths
        if len(strengths) > 1:
            train, held_out = train_test_split(
                everything, test_size=VALIDATION, random_state=self.seed, stratify=y
            )
            model = self._train(X, y, train, strengths, scaler)
            badness = self._badness(_logits(model, X, held_out), y[held_out])
            strengths = [strengths[np.argmin(badness)]]
        (self.l2_,) = strengths
        self.model_ = self._train(X, y, everything, strengths, scaler)
        return self

    def score(self, X: np.ndarray, y: np.ndarray) -> float:
        """Share of the rows whose class has the largest logit."""
        logits = _logits(self.model_, X, np.arange(len(X)))[:, 0]
        return float(np.mean(logits.argmax(axis=-1) == y))

    def _badness(self, logits: np.ndarray, y: np.ndarray) -> list[float]:
        """What chooses among the strengths, (n, strengths, classes) to (strengths,)."""
        if self.loss == "squared_hinge":
            return list(np.mean(logits.argmax(axis=-1) != y[:, np.newaxis], axis=0))
        target = np.eye(logits.shape[-1])[y]
        return [float(LOSSES[self.loss](target, each)) for each in logits.swapaxes(0, 1)]

    def _train(
        self, X: np.ndarray, y: np.ndarray, rows: np.ndarray, strengths: list[float],
        scaler: StandardScaler,
    ) -> keras.Model:  # fmt: skip
        """Classifiers that share the reading of the table; Adam keeps their weights apart."""
        per_epoch = math.ceil(len(rows) / BATCH)
        epochs = max(self.epochs, math.ceil(self.minimum_steps / per_epoch))
        rng = np.random.default_rng(self.seed)
        order = np.concatenate([rng.permutation(rows) for _ in range(epochs)])
        classes = int(y.max()) + 1
        # Keras takes the mean over the strengths too, and of the hinge over the classes.
        share = len(strengths) * (classes if self.loss == "squared_hinge" else 1)
        penalties = np.array(strengths, np.float32)[:, np.newaxis] / share

        def penalty(kernel: Any) -> Any:
            return 0.5 * keras.ops.sum(penalties * keras.ops.square(kernel))

        model = keras.Sequential([
            keras.Input(X.shape[1:]),
            keras.layers.Normalization(
                mean=np.float32(scaler.mean_), variance=np.float32(scaler.scale_**2)
            ),
            keras.layers.EinsumDense(
                "bf,fsc->bsc", (len(strengths), classes), bias_axes="sc",
                kernel_initializer="zeros", kernel_regularizer=penalty,
            ),
        ])  # fmt: skip
        targets = np.eye(classes, dtype="float32")[y][:, np.newaxis].repeat(len(strengths), axis=1)
        batches = TableBatches(X, targets, order)
        rate = keras.optimizers.schedules.CosineDecay(0.3 / math.sqrt(X.shape[1]), len(batches))
        model.compile(
            keras.optimizers.Adam(rate), LOSSES[self.loss], steps_per_execution=STEPS_AT_ONCE
        )
        model.fit(batches, shuffle=False, verbose=0)
        return model


LOSSES = {
    "cross_entropy": keras.losses.CategoricalCrossentropy(from_logits=True),
    "squared_hinge": keras.losses.SquaredHinge(),  # it makes -1 of 0
}


def _logits(model: keras.Model, X: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Of some rows, (rows, strengths, classes)."""
    batches = [rows[batch] for batch in gen_batches(len(rows), BATCH)]
    return np.concatenate([keras.ops.convert_to_numpy(model(X[batch])) for batch in batches])
