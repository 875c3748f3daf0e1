"""Whether drawn images are training images again."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from trainers.evaluation.generation.neighbours import Neighbours, nearest

QUANTILES = (0.01, 0.05, 0.5)
COPY = 1 / 3  # of the distance to the second nearest, below which an image is a copy


class Memorisation(NamedTuple):
    """Distances of drawn rows to the nearest training rows, beside those of real ones.

    Attributes:
        nearer: shares of the drawn rows that are nearer to the training set than the quantiles
            `QUANTILES` of real rows that were not trained on. Each is the quantile itself where
            drawn rows are like real ones, and 1 where all are copies.
        copies: share of the drawn rows whose nearest training row is less than a third as far as
            the second nearest. Blurred or plain images are near to many training images, and count
            as nearer, but not as copies.
        statistic: Kolmogorov's and Smirnov's, one-sided: the most by which the distribution of
            drawn distances is above the real one.
        p_value: of this statistic or a larger one, were the distributions the same.
    """

    nearer: tuple[float, ...]
    copies: float
    statistic: float
    p_value: float


def memorisation(drawn: Neighbours, real: Neighbours) -> Memorisation:
    """Compare drawn rows with real ones by their two nearest training rows, of `two_nearest`.

    Source of the ratio: Yoon, Choi, Kwon and Ryu (2023), Diffusion probabilistic models generalize
    when they fail to memorize.
    """
    first, second = drawn.distances[:, 0], drawn.distances[:, 1]
    bounds = np.quantile(real.distances[:, 0], QUANTILES)
    found = stats.ks_2samp(
        first, real.distances[:, 0], alternative="greater", method="asymp"
    )  # fmt: skip
    return Memorisation(
        tuple(float(np.mean(first < bound)) for bound in bounds),
        float(np.mean(first < COPY * second)),
        float(found.statistic),
        float(found.pvalue),
    )


def two_nearest(x: np.ndarray, train: np.ndarray, own: np.ndarray | None = None) -> Neighbours:
    """The two nearest training rows; see `nearest`."""
    return nearest(x, train, 2, own)
