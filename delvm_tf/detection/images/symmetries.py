"""The eight symmetries of the square: what turns and mirrors do to images and to their codes."""

from typing import Any

import numpy as np

COUNT = 8


def moved(number: int, images: np.ndarray) -> np.ndarray:
    """Images, (n, height, width, ...), mirrored if number ≥ 4, then turned number % 4 times by 90°.

    Number 0 leaves them as they are.
    """
    images = np.flip(images, axis=2) if number >= 4 else images
    return np.rot90(images, number % 4, axes=(1, 2))


def products() -> np.ndarray:
    """Which symmetry a after b is, at [a, b], (8, 8)."""
    square = np.arange(4).reshape(1, 2, 2)
    known = {moved(a, square).tobytes(): a for a in range(COUNT)}
    return np.array([
        [known[moved(a, moved(b, square)).tobytes()] for b in range(COUNT)] for a in range(COUNT)
    ])  # fmt: skip


def patch_orders(size: int, d: int) -> np.ndarray:
    """How the values of square patches of d values are those of the moved ones, (8, d) places."""
    places = np.arange(d).reshape(1, size, size, -1)
    return np.stack([moved(a, places).ravel() for a in range(COUNT)])


def orbit(filters: Any, size: int) -> np.ndarray:
    """All moved versions of filters of square patches, (n, size·size·channels) to (8n, ...).

    Version a of filter k has the number 8k + a.
    """
    filters = np.asarray(filters)
    d = filters.shape[1]
    return filters[:, patch_orders(size, d)].reshape(COUNT * len(filters), d)


def code_orders(grid: int, filters: int) -> np.ndarray:
    """How the codes of an image are those of the moved one, (8, grid·grid·8·filters) of places.

    Codes stand in the order (part of the grid, filter of an `orbit`); those of the image moved by a
    are `codes[orders[a]]`, because what version b of a filter sees in that image, version a⁻¹b sees
    in the image itself, at the place that a moves.
    """
    after = products()
    places = np.arange(grid * grid).reshape(1, grid, grid)
    base = COUNT * np.arange(filters)[:, np.newaxis]
    orders = []
    for a in range(COUNT):
        back = int(np.flatnonzero(after[a] == 0)[0])
        codes = (base + after[back]).ravel()
        orders.append(moved(a, places).ravel()[:, np.newaxis] * (COUNT * filters) + codes)
    return np.stack(orders).reshape(COUNT, -1)
