"""The Fréchet distance between two sets of features, as between two Gaussians."""

import numpy as np


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖m − m′‖² + tr(S + S′ − 2(SS′)^½), with the means m and covariances S of the rows of a and b.

    It is the squared 2-Wasserstein distance of the Gaussians of these moments, in squared units of
    the features. Two sets of n rows of one distribution are apart too: by about d²/2n + 5d/2n for d
    independent features of variance 1. Compare only what is measured on the same number of rows.

    Args:
        a: (n, d).
        b: (n′, d).

    Raises:
        ValueError: for other shapes, or fewer than two rows.

    Source: Heusel et al. (2017), GANs trained by a two time-scale update rule converge to a local
    Nash equilibrium, there on features of Inception. Cost: (n + n′)d² + d³, in float64.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"expected two tables of features with the same columns and two rows or more, got "
            f"{a.shape} and {b.shape}"
        )
    covariances = [np.atleast_2d(np.cov(each, rowvar=False)) for each in (a, b)]
    return gaussian_distance(a.mean(axis=0), covariances[0], b.mean(axis=0), covariances[1])


def gaussian_distance(
    mean: np.ndarray, covariance: np.ndarray, mean2: np.ndarray, covariance2: np.ndarray
) -> float:
    """The same of two Gaussians by their moments.

    (SS′)^½ has the trace of (S^½S′S^½)^½, whose eigenvalues are not negative but for rounding.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ covariance2 @ root)
    cross = np.sqrt(np.maximum(product, 0)).sum()
    apart = float(np.sum((mean - mean2) ** 2))
    return apart + float(np.trace(covariance) + np.trace(covariance2) - 2 * cross)
