"""A linear classifier by least squares, in closed form."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.blas import ssyrk
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

ROWS = 4000  # of a table at a time
VALIDATION = 0.1  # share of the training rows to choose a penalty by


@dataclasses.dataclass
class RidgeProbe:
    """Ridge regression on standardised features, for tables larger than memory.

    Minimises the mean of ½‖t − Wᵀx − b‖² over rows, plus ½·l2·‖W‖², for targets t of 1 at the class
    and −1 at the others: scikit-learn's `RidgeClassifier(alpha=n·l2)` behind a `StandardScaler`. Of
    several `l2` the one with the best accuracy on a tenth of the training rows is taken, and
    solved again for all rows.

    Cost: n·d² + d³/3 multiply-adds for each value of l2. Memory: 8·d² bytes, whatever the number of
    rows.

    Args:
        l2: one strength of the penalty, or several to choose from.
        seed: of the split.

    Attributes:
        l2_: the penalty taken.
        weights_: (d, classes), of standardised features.
        bias_: (classes,).

    Raises:
        ValueError: for a strength that is not positive.
    """

    l2: float | Sequence[float] = (1e-3, 1e-2, 1e-1)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        self._strengths = sorted({float(s) for s in np.atleast_1d(self.l2)})
        if not self._strengths or not all(0 < s < math.inf for s in self._strengths):
            raise ValueError(f"l2 must be one or more positive numbers, got {self.l2!r}")

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Learn from finite float32 features (n, d) and classes 0, 1, … (n,).

        Raises:
            ValueError: if there are too few rows of a class to choose a penalty by.
        """
        self._scaler = StandardScaler()
        for rows in gen_batches(len(X), ROWS):
            self._scaler.partial_fit(X[rows])
        targets = 2 * np.eye(int(y.max()) + 1, dtype=np.float32)[y] - 1
        self.bias_ = targets.mean(axis=0)
        d = X.shape[1]
        products = np.zeros((d, d), np.float32, order="F")
        moments = np.zeros((d, targets.shape[1]), np.float32)
        everything, strengths = np.arange(len(X)), self._strengths
        if len(strengths) > 1:
            train, held_out = train_test_split(
                everything, test_size=VALIDATION, random_state=self.seed, stratify=y
            )
            products = self._add(X, targets, np.sort(train), products, moments)
            right = []
            for strength in strengths:
                self.weights_ = solve(products, moments, strength * len(train))
                right.append(self._accuracy(X, y, np.sort(held_out)))
            strengths = [strengths[int(np.argmax(right))]]
            products = self._add(X, targets, np.sort(held_out), products, moments)
        else:
            products = self._add(X, targets, everything, products, moments)
        (self.l2_,) = strengths
        self.weights_ = solve(products, moments, self.l2_ * len(X))
        return self

    def score(self, X: np.ndarray, y: np.ndarray) -> float:
        """Share of the rows whose class has the largest value."""
        return self._accuracy(X, y, np.arange(len(X)))

    def _standardized(self, X: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self._scaler.transform(X[rows]), np.float32)

    def _add(
        self, X: np.ndarray, targets: np.ndarray, rows: np.ndarray, products: np.ndarray,
        moments: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """Add these rows' XᵀX, of which the upper triangle alone is kept, and in place Xᵀt."""
        for batch in gen_batches(len(rows), ROWS):
            x = self._standardized(X, rows[batch])
            products = ssyrk(1.0, x.T, beta=1.0, c=products, overwrite_c=1)
            moments += x.T @ (targets[rows[batch]] - self.bias_)
        return products

    def _accuracy(self, X: np.ndarray, y: np.ndarray, rows: np.ndarray) -> float:
        right = 0
        for batch in gen_batches(len(rows), ROWS):
            values = self._standardized(X, rows[batch]) @ self.weights_ + self.bias_
            right += int(np.sum(values.argmax(axis=1) == y[rows[batch]]))
        return right / len(rows)


def solve(products: np.ndarray, moments: np.ndarray, ridge: float) -> np.ndarray:
    """(XᵀX + ridge·I)⁻¹ Xᵀt, (d, classes), from the upper triangle of XᵀX."""
    matrix = products.copy(order="F")
    matrix.flat[:: len(matrix) + 1] += ridge
    factor = cho_factor(matrix, overwrite_a=True, check_finite=False)
    return cho_solve(factor, moments, check_finite=False)
