"""Classifier two-sample tests: whether drawn images can be told from real ones."""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainers.evaluation.generation.classifier import ImageClassifier

# Rows and labels to train on, and rows and labels to score: the share that is told right.
Accuracy = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], float]


def told_apart(real: np.ndarray, drawn: np.ndarray, accuracy: Accuracy, seed: int) -> float:
    """Accuracy on held-out rows of a classifier that tells drawn rows from real ones.

    The sets are cut to the same length, split in halves, and each half is scored by what was
    learned on the other. 0.5 says that this classifier finds no difference; its standard error is
    0.35/√n for n rows of each set.

    Args:
        real: (n, ...).
        drawn: (n′, ...).
        accuracy: trains and scores.
        seed: of the split.

    Raises:
        ValueError: if there are fewer than four rows of either.

    Source: Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests.
    """
    n = min(len(real), len(drawn)) // 2 * 2
    if n < 4:
        raise ValueError(f"a test needs four rows of each set, got {len(real)} and {len(drawn)}")
    rng = np.random.default_rng(seed)
    halves = np.stack([np.split(rng.permutation(n), 2) for _ in range(2)])
    labels = np.repeat([0, 1], n // 2)
    x = [np.concatenate([real[halves[0, h]], drawn[halves[1, h]]]) for h in range(2)]
    return float(np.mean([accuracy(x[h], labels, x[1 - h], labels) for h in range(2)]))


def by_pixels(steps: int, seed: int) -> Accuracy:
    """A small convolutional network trained anew: it sees what features leave out."""
    classifier = ImageClassifier(steps, features=32, filters=(16, 32), seed=seed)

    def accuracy(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> float:
        if x.min() == x.max():
            return 0.5
        return classifier.fit(x, y).score(x_test, y_test)

    return accuracy


def by_features(strength: float = 0.1) -> Accuracy:
    """Logistic regression on standardised features, (n, d).

    Args:
        strength: `C` of scikit-learn, the inverse of the penalty.
    """

    def accuracy(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> float:
        regression = LogisticRegression(C=strength, max_iter=1000)
        return float(make_pipeline(StandardScaler(), regression).fit(x, y).score(x_test, y_test))

    return accuracy
