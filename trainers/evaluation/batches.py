"""Batches of a table in a given order."""

import math

import keras
import numpy as np

BATCH = 256  # rows of a step
STEPS_AT_ONCE = 20  # of Keras, whose work between steps is more than a step's on few features


class TableBatches(keras.utils.PyDataset):
    """Rows of a table and their targets.

    Args:
        X: features, (n, d), also a memory map.
        targets: (n, ...).
        order: numbers of rows, the next `BATCH` of them for each step.
    """

    def __init__(self, X: np.ndarray, targets: np.ndarray, order: np.ndarray):
        super().__init__()
        self._X, self._targets, self._order = X, targets, order

    def __len__(self) -> int:
        """How many steps."""
        return math.ceil(len(self._order) / BATCH)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Features and targets of one step."""
        rows = self._order[index * BATCH : (index + 1) * BATCH]
        return self._X[rows], self._targets[rows]
