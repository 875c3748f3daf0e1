"""Filters of patches, each of which stands for all its turned and mirrored versions."""

import numpy as np

from delvm_tf.detection.images.symmetries import patch_orders

ROUNDS = 10
MOST_PATCHES = 10_000


def moved_filters(patches: np.ndarray, count: int, size: int, seed: int) -> np.ndarray:
    """Unit vectors that patches resemble in one of eight versions, (count, d) float32.

    Spherical k-means in which each patch may be turned and mirrored until it fits best: a filter is
    the mean of its patches, divided by its norm. It begins with random patches; a filter that is
    null in the end becomes a random direction. Cost: 16·n·d·count multiply-adds a round.

    Args:
        patches: whitened, (n, size·size·channels), n at least `count`.
        count: how many filters.
        size: side of a patch.
        seed: of the start.
    """
    z = unit(patches[:MOST_PATCHES].astype(np.float32))
    rng = np.random.default_rng(seed)
    filters = z[rng.choice(len(z), count, replace=False)]
    orders = patch_orders(size, z.shape[1])
    versions = np.stack([z[:, order] for order in orders], axis=1)
    for _ in range(ROUNDS):
        alike = (versions.reshape(-1, z.shape[1]) @ filters.T).reshape(len(z), -1)
        version, which = np.divmod(alike.argmax(axis=1), count)
        fitted = versions[np.arange(len(z)), version]
        members = (which[np.newaxis] == np.arange(count)[:, np.newaxis]).astype(np.float32)
        sums = members @ fitted
        found = unit(sums)
        # One that no patch is like stays where it is.
        filters = np.where(np.any(sums, axis=1, keepdims=True), found, filters)
    # Of flat patches there are no directions to be found.
    drawn = unit(rng.standard_normal(filters.shape)).astype(np.float32)
    return np.where(np.any(filters, axis=1, keepdims=True), filters, drawn)


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their norms; null rows stay null."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1).astype(rows.dtype)
