"""Dictionaries of linear filters that no model is needed for, (d, filters) float32 each."""

from typing import Any

import numpy as np


def check_filters(filters: Any) -> np.ndarray:
    """Filters of whitened patches, (d, filters) float32.

    Raises:
        ValueError: for another shape, or weights that are not finite.
    """
    filters = np.asarray(filters, np.float32)
    if filters.ndim != 2 or filters.size == 0:
        raise ValueError(f"filters must have shape (d, filters), got {filters.shape}")
    if not np.isfinite(filters).all():
        raise ValueError("some filters are NaN or infinite; their training has diverged")
    return filters


def unit_norms(filters: Any) -> np.ndarray:
    """The filters divided by their norms; null filters stay null."""
    filters = check_filters(filters)
    norms = np.linalg.norm(filters, axis=0)
    return filters / np.where(norms > 0, norms, 1).astype(np.float32)


def random_filters(patches: np.ndarray, filters: int, seed: int) -> np.ndarray:
    """Gaussian directions of norm 1; of the patches only their size is used.

    Args:
        patches: (n, d), whitened or not.
        filters: how many directions.
        seed: of the directions.

    Returns:
        The filters, (d, filters) float32.

    Raises:
        ValueError: for patches of another shape, or fewer than filters.

    Examples:
        >>> filters = dv.features.random_filters(x, 10, seed=0)
        >>> filters.shape, np.allclose(np.linalg.norm(filters, axis=0), 1)
        ((6, 10), True)
    """
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((_checked(patches, filters).shape[1], filters))
    return unit_norms(drawn)


def random_patches(patches: np.ndarray, filters: int, seed: int) -> np.ndarray:
    """Whitened patches drawn without replacement, divided by their norms.

    Args:
        patches: whitened, (n, d).
        filters: how many to draw.
        seed: of the draw.

    Returns:
        The filters, (d, filters) float32.

    Raises:
        ValueError: for patches of another shape, or fewer than filters.

    Examples:
        >>> dv.features.random_patches(np.array([[3.0, 4.0]]), 1, seed=0)
        array([[0.6],
               [0.8]], dtype=float32)
    """
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(_checked(patches, filters)), filters, replace=False)
    return unit_norms(patches[rows].T)


def kmeans(patches: np.ndarray, filters: int, seed: int, rounds: int = 20) -> np.ndarray:
    """Centres of k-means, with their norms: the triangle encoder needs distances to them.

    scikit-learn's `KMeans` from random patches, stopped after some rounds; the filters hardly
    change later. Cost: 2·n·d·filters per round.

    Args:
        patches: whitened, (n, d).
        filters: how many centres.
        seed: of the start.
        rounds: passes over the patches at most.

    Returns:
        The filters, (d, filters) float32.

    Raises:
        ValueError: for patches of another shape, or fewer than filters.

    Examples:
        >>> patches = np.array([[0.0], [1.0], [10.0], [11.0]])
        >>> np.sort(dv.features.kmeans(patches, 2, seed=0))
        array([[ 0.5, 10.5]], dtype=float32)
    """
    from sklearn.cluster import KMeans

    method = KMeans(filters, init="random", n_init=1, max_iter=rounds, random_state=seed)
    return check_filters(method.fit(_checked(patches, filters)).cluster_centers_.T)


def _checked(patches: np.ndarray, filters: int) -> np.ndarray:
    if patches.ndim != 2 or not 1 <= filters <= len(patches):
        raise ValueError(
            f"{filters!r} filters need patches (n, d) with n at least as large, got {patches.shape}"
        )
    return patches
