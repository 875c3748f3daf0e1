"""The first principal components of many codes."""

import numpy as np

MORE, ROUNDS = 32, 3  # directions besides, and products with the rows and back


def principal_components(z: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions of the greatest variance of centred rows, and the variances along them.

    By subspace iteration from random directions. What is orthogonalised are products of a few
    hundred columns, by the eigenvectors of their inner products, for which matrix products are
    enough: several times as fast as factorisations of all of them. Cost: 2·n·d·(count + 32)
    multiply-adds a round. Source: Halko, Martinsson and Tropp (2011).

    Args:
        z: centred, (n, d) float32.
        count: how many, fewer than n and not more than d.
        seed: of the start.

    Returns:
        (d, count) float32 and (count,) float64; zeros where the variance is below a millionth of
        the greatest, and random directions where there is none at all.
    """
    n, d = z.shape
    start = np.random.default_rng(seed).standard_normal((d, min(count + MORE, n, d)))
    found = start.astype(np.float32)
    if not z.any():
        return _orthogonal(found)[:, :count], np.zeros(count)
    for _ in range(ROUNDS):
        found = _orthogonal(z.T @ _orthogonal(z @ found))
    seen = z @ found
    values, vectors = np.linalg.eigh((seen.T @ seen).astype(np.float64) / n)
    order = np.argsort(-values)[:count]
    directions = found @ vectors[:, order].astype(np.float32)
    missing = count - directions.shape[1]
    return (
        np.pad(directions, ((0, 0), (0, missing))),
        np.pad(np.maximum(values[order], 0), (0, missing)),
    )


def _orthogonal(columns: np.ndarray) -> np.ndarray:
    """Orthonormal columns of the same span, fewer where some depend on others."""
    values, vectors = np.linalg.eigh((columns.T @ columns).astype(np.float64))
    kept = values > 1e-6 * max(values[-1], 1e-30)
    return columns @ (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)
