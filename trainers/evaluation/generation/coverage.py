"""How much of what is drawn lies among real images, and how much of these is reached."""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.utils import gen_batches

from trainers.evaluation.generation.neighbours import nearest

BLOCK = 1000  # rows whose distances to all others are held at a time


class Coverage(NamedTuple):
    """Both in [0, 1], 1 being best.

    Attributes:
        precision: share of the drawn rows that lie within the manifold of the real ones.
        recall: share of the real rows that lie within the manifold of the drawn ones.
    """

    precision: float
    recall: float


def coverage(real: np.ndarray, drawn: np.ndarray, k: int = 5) -> Coverage:
    """Precision and recall by balls around each row that reach its k-th nearest neighbour.

    A manifold is the union of these balls. It grows with the distance between rows, so that both
    fall or rise with their number: compare only what is measured on the same number. A far outlier
    of either set has a large ball, which flatters the other.

    Args:
        real: features of real images, (n, d).
        drawn: features of drawn images, (n′, d).
        k: which neighbour.

    Raises:
        ValueError: if a set has no more than k rows.

    Source: Kynkäänniemi et al. (2019), Improved precision and recall metric for assessing
    generative models. Cost: (n + n′)²·d.
    """
    return Coverage(_share_within(drawn, real, k), _share_within(real, drawn, k))


def _share_within(x: np.ndarray, manifold: np.ndarray, k: int) -> float:
    radii = nearest(manifold, manifold, k, own=np.arange(len(manifold))).distances[:, -1]
    x, manifold = x.astype(np.float64), manifold.astype(np.float64)
    within = [
        (cdist(x[rows], manifold) <= radii).any(axis=1) for rows in gen_batches(len(x), BLOCK)
    ]
    return float(np.concatenate(within).mean())
