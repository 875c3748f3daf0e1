"""Random numbers of rows that depend on nothing but the seed and the number of the row."""

import numpy as np


def draws(first: int, rows: int, seed: int) -> np.ndarray:
    """A number from 0 to below 1 for each of some rows in order, (rows,) float64.

    A row has the same, however the rows are parted. Source: Steele, Lea and Flood (2014), Fast
    splittable pseudorandom number generators (SplitMix64).

    Args:
        first: number of the first row, from 0.
        rows: how many.
        seed: any integer.
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    z = _mixed(np.array([seed % 2**64], np.uint64) + step)
    numbers = np.arange(first + 1, first + rows + 1, dtype=np.uint64)
    return (_mixed(z + numbers * step) >> np.uint64(11)) / 2.0**53


def _mixed(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
