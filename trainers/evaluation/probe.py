"""A linear classifier that says how good features are."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted

from trainers.evaluation.feature_store import (
    Standardization,
    check_finite,
    row_blocks,
    shuffled_batches,
)


class LinearProbe(ClassifierMixin, BaseEstimator):
    """A linear classifier on standardised features, for tables larger than memory.

    Minimises mean loss + ½·l2·‖W‖² over the weights W (features, classes) and free biases. With the
    loss `"cross_entropy"` that is multinomial logistic regression, scikit-learn's
    `LogisticRegression(C=1/(n·l2))` behind a `StandardScaler`; with `"squared_hinge"`, which is
    Σ_c max(0, 1 ∓ logit_c)², minus for the example's own class, it is a linear SVM of one class
    against the rest, `LinearSVC(C=1/(n·l2))`, but for the penalty that has on biases.
    Training is by Adam on minibatches with a rate that falls to zero, on blocks of the table read
    in random order. Of several `l2` the best on a part of the training data is taken, all being
    trained at once as one stacked weight matrix, and refitted on all of the data: for logistic
    regression the best is that of lowest cross-entropy, for the SVM, which has no probabilities,
    that of highest accuracy. Means and deviations are those of all training rows.

    Cost: 4·n·features·classes multiply-adds per epoch and value of l2, and one reading of the
    table. Memory: some 300 MB, and 12 bytes per weight and value of l2.

    Args:
        l2: one strength of the penalty, or several to choose from.
        standardize: whether features are centred and divided by their deviations.
        validation_fraction: share of the training data to choose by, stratified.
        epochs: passes over the data.
        minimum_steps: more passes are made if there would be fewer steps than this.
        batch_size: rows of a step.
        learning_rate: of Adam at first; 0.3/√features if None.
        seed: of the split and the order of the rows.
        loss: `"cross_entropy"` or `"squared_hinge"`.

    Attributes:
        classes_: labels in ascending order.
        coef_: weights of the standardised features, (classes, features); for cross-entropy, of
            mean 0 over classes.
        intercept_: biases, (classes,), likewise.
        mean_, scale_: what features are centred and divided by, (features,).
        l2_: the penalty taken.
        validation_: by l2, the loss under its name and the accuracy on the validation part, if
            there is a choice.

    Example:
        >>> probe = LinearProbe().fit(model.features(x_train), y_train)
        >>> probe.score(model.features(x_test), y_test)
    """

    def __init__(
        self,
        l2: float | Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
        standardize: bool = True,
        validation_fraction: float = 0.1,
        epochs: int = 20,
        minimum_steps: int = 1000,
        batch_size: int = 256,
        learning_rate: float | None = None,
        seed: int = 0,
        loss: str = "cross_entropy",
    ):
        self.l2 = l2
        self.standardize = standardize
        self.validation_fraction = validation_fraction
        self.epochs = epochs
        self.minimum_steps = minimum_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = seed
        self.loss = loss

    def fit(self, X: Any, y: Any) -> "LinearProbe":
        """Learn from features X (n, features), of any real type, and labels y (n,).

        Raises:
            TypeError: if X does not hold real numbers.
            ValueError: for settings out of range, a wrong shape or length, a NaN or infinity, a
                single class, or too few examples of a class for the validation part.
        """
        strengths = self.check_settings()
        X = _checked_rows(X)
        self.classes_, targets = _checked_labels(y, len(X))
        everything = np.arange(len(X))
        split = None if len(strengths) == 1 else self._split(everything, targets)

        self._standardization = Standardization(X)
        if not self.standardize:
            self._standardization.mean = np.zeros(X.shape[1])
            self._standardization.deviation = np.ones(X.shape[1])
        self.mean_, self.scale_ = self._standardization.mean, self._standardization.deviation
        self.n_features_in_ = X.shape[1]
        self.validation_: dict[float, dict[str, float]] = {}
        if split is not None:
            train, validation = split
            kernel, bias = self._train(X, targets, train, strengths)
            self.validation_ = self._validate(X, targets, validation, strengths, kernel, bias)
            strengths = [min(strengths, key=self._badness)]
        (self.l2_,) = strengths
        kernel, bias = self._train(X, targets, everything, strengths)
        if self.loss == "cross_entropy":
            # A constant added to all classes changes nothing; without it weights are smallest.
            kernel, bias = kernel - kernel.mean(axis=1, keepdims=True), bias - bias.mean()
        self.coef_, self.intercept_ = kernel.T.copy(), bias
        return self

    def _badness(self, strength: float) -> float:
        figures = self.validation_[strength]
        return -figures["accuracy"] if self.loss == "squared_hinge" else figures[self.loss]

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits, or an SVM's margins, (n, classes).

        Raises:
            NotFittedError: before `fit`.
            TypeError: if X does not hold real numbers.
            ValueError: for another number of features, or a NaN or infinity.
        """
        check_is_fitted(self)
        X = _checked_rows(X)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but the probe was fitted on {self.n_features_in_}"
            )
        logits, start = [], 0
        for block in row_blocks(X):
            check_finite(block, start, len(X))
            start += len(block)
            logits.append(self._standardization(block) @ self.coef_.T + self.intercept_)
        return np.concatenate(logits)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, (n,)."""
        places = self.decision_function(X).argmax(axis=1)
        return self.classes_[places]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes in the order of `classes_`, (n, classes).

        Raises:
            AttributeError: for a probe with another loss than cross-entropy.
        """
        if self.loss != "cross_entropy":
            raise AttributeError(f"a probe with loss={self.loss!r} has no probabilities")
        return np.exp(_log_softmax(self.decision_function(X)))

    # Checks.

    def check_settings(self) -> list[float]:
        """The values of l2 in ascending order, if all settings make sense; `fit` calls it first.

        Raises:
            ValueError: for a setting out of range.
        """
        given = list(self.l2) if isinstance(self.l2, Sequence | np.ndarray) else [self.l2]
        strengths = sorted({float(s) for s in given})
        if not strengths or not all(0 <= s < math.inf for s in strengths):
            raise ValueError(f"l2 must be one or more numbers, none negative, got {self.l2!r}")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(
                f"validation_fraction must lie between 0 and 1, got {self.validation_fraction!r}"
            )
        if self.loss not in LOSSES:
            raise ValueError(f"unknown loss {self.loss!r}; expected one of {', '.join(LOSSES)}")
        for name in ("epochs", "minimum_steps", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate!r}")
        return strengths

    def _split(self, rows: np.ndarray, targets: np.ndarray) -> list[np.ndarray]:
        counts = np.bincount(targets)
        held_out = math.ceil(self.validation_fraction * len(rows))
        if counts.min() < 2 or not len(counts) <= held_out <= len(rows) - len(counts):
            raise ValueError(
                f"a choice of l2 needs a validation part with all {len(counts)} classes, but "
                f"{held_out} of {len(rows)} examples, at least {counts.min()} per class, cannot "
                f"give one; use more data, another validation_fraction, or a single l2"
            )
        parts = train_test_split(rows, test_size=held_out, random_state=self.seed, stratify=targets)
        return [np.sort(part) for part in parts]

    # Training.

    def _train(
        self, X: np.ndarray, targets: np.ndarray, rows: np.ndarray, strengths: list[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weights (features, values of l2 · classes) and biases."""
        per_epoch = math.ceil(len(rows) / self.batch_size)
        epochs = max(self.epochs, math.ceil(self.minimum_steps / per_epoch))
        rate = self.learning_rate or 0.3 / math.sqrt(X.shape[1])
        model = _StackedLinear(
            X.shape[1], len(self.classes_), strengths, rate, epochs * per_epoch, LOSSES[self.loss]
        )
        rng = np.random.default_rng(self.seed)
        for _ in range(epochs):
            for z, indices in shuffled_batches(
                X, rows, self.batch_size, rng, self._standardization
            ):
                model.step(tf.constant(z), tf.constant(targets[indices]))
        return model.kernel.numpy(), model.bias.numpy()

    def _validate(
        self, X: np.ndarray, targets: np.ndarray, rows: np.ndarray, strengths: list[float],
        kernel: np.ndarray, bias: np.ndarray,
    ) -> dict[float, dict[str, float]]:  # fmt: skip
        blocks = np.array_split(rows, math.ceil(len(rows) / 256))
        logits = np.concatenate([self._standardization(X[b]) @ kernel + bias for b in blocks])
        result = {}
        for s, part in zip(strengths, np.split(logits, len(strengths), axis=1), strict=True):
            hits = part.argmax(axis=1) == targets[rows]
            loss = LOSSES[self.loss].value(part, targets[rows])
            result[s] = {self.loss: float(loss.mean()), "accuracy": float(hits.mean())}
        return result


class _StackedLinear(tf.Module):
    """Several linear classifiers on the same data, side by side in one weight matrix.

    Adam works on each weight by itself, so that they do not touch each other.
    """

    def __init__(
        self, features: int, classes: int, strengths: list[float], rate: float, steps: int,
        loss: "_Loss",
    ):  # fmt: skip
        super().__init__()
        self.slope = loss.slope
        self.classes = classes
        self.kernel = tf.Variable(tf.zeros((features, classes * len(strengths))))
        self.bias = tf.Variable(tf.zeros(classes * len(strengths)))
        self.penalty = tf.constant(np.repeat(strengths, classes), tf.float32)
        self.optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))
        self.optimizer.build([self.kernel, self.bias])
        self.step = tf.function(
            self._step,
            autograph=False,
            input_signature=[
                tf.TensorSpec((None, features), tf.float32), tf.TensorSpec((None,), tf.int64),
            ],
        )  # fmt: skip

    def _step(self, z: tf.Tensor, target: tf.Tensor) -> None:
        logits = tf.matmul(z, self.kernel) + self.bias
        n = tf.shape(z)[0]
        own = tf.one_hot(target, self.classes)[:, tf.newaxis]
        error = self.slope(tf.reshape(logits, (n, -1, self.classes)), own)
        error = tf.reshape(error, (n, -1)) / tf.cast(n, tf.float32)
        slope = tf.matmul(z, error, transpose_a=True) + self.penalty * self.kernel
        self.optimizer.apply([slope, tf.reduce_sum(error, axis=0)])


class _Loss(NamedTuple):
    """A loss of logits: its values, in float64, and its slopes, in a graph.

    Attributes:
        value: logits (n, classes) and targets (n,) to losses (n,).
        slope: logits (..., classes) and ones at the targets to the derivatives by the logits.
    """

    value: Callable[[np.ndarray, np.ndarray], np.ndarray]
    slope: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def _cross_entropy(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return -_log_softmax(logits)[np.arange(len(targets)), targets]


def _squared_hinge(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    signs = np.where(np.arange(logits.shape[1]) == targets[:, np.newaxis], 1.0, -1.0)
    return np.square(np.maximum(0, 1 - signs * logits)).sum(axis=1)


def _squared_hinge_slope(logits: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    signs = 2 * own - 1
    return -2 * signs * tf.nn.relu(1 - signs * logits)


LOSSES = {
    "cross_entropy": _Loss(_cross_entropy, lambda logits, own: tf.nn.softmax(logits) - own),
    "squared_hinge": _Loss(_squared_hinge, _squared_hinge_slope),
}


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _checked_rows(X: Any) -> np.ndarray:
    X = X if isinstance(X, np.ndarray) else np.asarray(X)
    if X.dtype.kind not in "fiub":
        raise TypeError(f"X must hold real numbers, got an array of type {X.dtype}")
    if X.ndim != 2 or 0 in X.shape:
        raise ValueError(
            f"X must have shape (n, features) without an empty axis, got {X.shape}; flatten images "
            f"by X.reshape(len(X), -1)"
        )
    return X


def _checked_labels(y: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"y must be one label per example, of shape ({n},), got shape {y.shape}")
    if len(y) != n:
        raise ValueError(f"X has {n} examples, but y has {len(y)} labels")
    if y.dtype.kind == "f" and not np.equal(np.mod(y, 1), 0).all():
        raise ValueError("y must hold classes, got numbers that are not whole")
    classes, targets = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y must hold at least two classes, got {classes.tolist()} only")
    return classes, targets.astype(np.int64)
