"""Thresholds from labelled training rows for detectors that rate what they were fitted on too well.

The nearest neighbour of a training row is the row itself. So a share of the normal training rows
is held out of fitting, and stands for all of them where the threshold is set.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from delvm_tf.datasets import Dataset
from delvm_tf.detection.thresholds import best_f1


class HeldOut(NamedTuple):
    """A data set whose rows to be scored are calibration rows and then the test's.

    Attributes:
        data: with fewer training rows and more rows to be scored.
        y_calibration: labels of the rows that come first, 0 for the held-out normal ones.
        weight: training rows that each of these stands for.
    """

    data: Dataset
    y_calibration: np.ndarray
    weight: float

    @property
    def normal(self) -> np.ndarray:
        """The held-out normal rows, on which nothing was fitted."""
        return self.data.x_test[: len(self.y_calibration)][self.y_calibration == 0]

    def threshold(self, scores: np.ndarray) -> float:
        """The threshold with the best F1 on the training rows, from scores of all rows.

        Held-out rows are counted as often as it takes to keep the training set's shares.
        """
        own = scores[: len(self.y_calibration)]
        normal, abnormal = own[self.y_calibration == 0], own[self.y_calibration == 1]
        count = round(self.weight * len(normal))
        repeated = np.resize(np.sort(normal), count) if count else normal
        labels = np.repeat([0, 1], [len(repeated), len(abnormal)])
        return best_f1(np.concatenate([repeated, abnormal]), labels, 0.0)

    def of_test(self, scores: np.ndarray) -> np.ndarray:
        """The scores of the test's rows."""
        return scores[len(self.y_calibration) :]


def hold_out(data: Dataset, share: float = 0.2, seed: int = 0) -> HeldOut:
    """Hold out a share of the normal training rows, and score it with the abnormal ones.

    Args:
        data: an anomaly protocol with labelled training rows.
        share: of the normal training rows.
        seed: of the draw.

    Raises:
        ValueError: for a protocol without abnormal training rows, or a share that leaves too few.
    """
    if data.x_calibration is None or data.y_calibration is None or not data.y_calibration.any():
        raise ValueError(
            f"protocol {data.protocol!r} of {data.name} has no abnormal training rows for a "
            f"threshold by F1"
        )
    held = round(share * len(data.x_train))
    if not 2 <= held <= len(data.x_train) - 2:
        raise ValueError(
            f"a share of {share!r} of {len(data.x_train)} normal training rows is {held}, and "
            f"both parts need two or more"
        )
    order = np.random.default_rng(seed).permutation(len(data.x_train))
    abnormal = data.x_calibration[data.y_calibration == 1]
    labels = np.repeat([0, 1], [held, len(abnormal)])
    kept = data.x_train[np.sort(order[held:])]
    changed = dataclasses.replace(
        data,
        x_train=kept,
        y_train=np.zeros(len(kept), "int64"),
        x_test=np.concatenate([data.x_train[order[:held]], abnormal, data.x_test]),
        y_test=np.concatenate([labels, data.y_test]),
    )
    return HeldOut(changed, labels, len(data.x_train) / held)
