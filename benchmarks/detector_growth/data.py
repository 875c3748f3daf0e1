"""Tables of mixed columns that are made from a seed."""

import numpy as np

HIDDEN = 8  # numbers behind all columns


def mixed_rows(rows: int, columns: int, part: int = 0, seed: int = 0) -> np.ndarray:
    """Rows of correlated columns, in turn normal, rounded and with a heavy tail, (rows, columns).

    Args:
        rows: how many.
        columns: how many.
        part: 0 for the training, another number for other rows of the same distribution.
        seed: of the distribution and the rows.
    """
    mixing = np.random.default_rng([seed, columns]).normal(size=(HIDDEN, columns))
    rng = np.random.default_rng([seed, columns, 1 + part])
    x = rng.normal(size=(rows, HIDDEN)) @ mixing / np.sqrt(HIDDEN)
    x += 0.3 * rng.normal(size=x.shape)
    x[:, 1::3] = np.round(2 * x[:, 1::3])
    x[:, 2::3] = np.exp(1.5 * x[:, 2::3])
    return x
