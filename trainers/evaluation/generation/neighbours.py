"""Nearest neighbours of images or features in a set of them."""

from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors


class Neighbours(NamedTuple):
    """The nearest of each row.

    Attributes:
        distances: Euclidean, from the nearest on, (n, k) float64.
        rows: numbers of the neighbours in the set, (n, k).
    """

    distances: np.ndarray
    rows: np.ndarray


def nearest(x: np.ndarray, among: np.ndarray, k: int, own: np.ndarray | None = None) -> Neighbours:
    """The k rows of a set that are nearest to each row of x, rows of any shape seen as vectors.

    Neighbours are found by products of matrices in float32, and their distances then computed as
    differences in float64, so that equal rows are at distance 0.

    Args:
        x: (n, ...).
        among: the set, (m, ...).
        k: how many.
        own: the number in the set of each row of x itself, which is left out; (n,).

    Raises:
        ValueError: if the set has fewer than k other rows.

    Cost: n·m·d multiply-adds.
    """
    more = k + (own is not None)
    if len(among) < more:
        raise ValueError(
            f"{k} neighbours of each row need {more} rows to be found among, got {len(among)}"
        )
    flat = x.reshape(len(x), -1).astype(np.float32)
    others = among.reshape(len(among), -1).astype(np.float32)
    center = others.mean(axis=0)
    search = NearestNeighbors(n_neighbors=more, algorithm="brute").fit(others - center)
    rows = search.kneighbors(flat - center, return_distance=False)
    distances = np.stack(
        [np.linalg.norm(flat.astype(np.float64) - others[rows[:, j]], axis=1) for j in range(more)],
        axis=1,
    )
    if own is not None:  # last, at an infinite distance; where it is not found, the farthest goes
        distances[rows == np.asarray(own)[:, np.newaxis]] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return Neighbours(
        np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1)
    )
