"""Ways to draw images without a network.

Each learns from raw images by `fit(x, seed)`, and `draw(n, seed)` gives images in raw units, not
yet clipped or rounded.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol, Self

import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

HELD_OUT = 0.1  # share of the training images to choose a size by
EXPLAINED = 0.99  # share of the variance in the components of a mixture
MOST_COMPONENTS = 64  # of these
CANDIDATES = (5, 10, 20, 40)  # Gaussians of a mixture
WINDOW = 0.02  # of a Parzen window, in root mean variances of a pixel


class Baseline(Protocol):
    """What learns from images and draws others.

    Attributes:
        title: what tables call it.
        about: what was chosen in `fit`, in words; empty if nothing.
    """

    title: str
    about: str

    def fit(self, x: np.ndarray, seed: int) -> Self:
        """Learn from raw images, (n, ...)."""

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Images in raw units, (n, ...)."""


class IndependentPixels:
    """Each pixel is that of a training image drawn for it alone."""

    title = "independent pixels"
    about = ""

    def fit(self, x: np.ndarray, seed: int) -> Self:
        """Keep the images."""
        self._x = x
        return self

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Images whose pixels know nothing of each other."""
        flat = self._x.reshape(len(self._x), -1)
        rows = np.random.default_rng(seed).integers(len(flat), size=(n, flat.shape[1]))
        return flat[rows, np.arange(flat.shape[1])].reshape(n, *self._x.shape[1:])


class ParzenWindow:
    """A training image and a little noise: what the exact score of noisy training images draws.

    The density (1/n) Σ N(x_i, h²I) is that of the training set at noise h, and its score the
    minimiser of denoising score matching over all vector fields: a model without error memorises.
    """

    title = "Parzen window"

    def fit(self, x: np.ndarray, seed: int) -> Self:
        """Keep the images; h is `WINDOW` root mean variances of a pixel."""
        self._x = x
        self.width = WINDOW * math.sqrt(np.var(x, axis=0, dtype=np.float64).mean())
        self.about = f"h = {self.width:.2g}"
        return self

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Noisy training images."""
        rng = np.random.default_rng(seed)
        rows = rng.integers(len(self._x), size=n)
        return self._x[rows] + self.width * rng.standard_normal((n, *self._x.shape[1:]))


class Subspace:
    """Principal components and the variance that is left for each of the other directions.

    Args:
        x: (n, d) raw rows.

    Attributes:
        mean: (d,).
        variances: along the components, from the largest on, (d,).
        directions: the components as columns, (d, d).

    Source: Tipping and Bishop (1999), Probabilistic principal component analysis. Cost: n·d² + d³.
    """

    def __init__(self, x: np.ndarray):
        x = x.astype(np.float64)
        self.mean = x.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
        self.variances, self.directions = np.maximum(values[::-1], 0), vectors[:, ::-1]

    def rest(self, components: int) -> float:
        """The mean variance of the other directions, and no less than 10⁻⁶ of the mean of all."""
        other = self.variances[components:].mean() if components < len(self.variances) else 0.0
        return float(max(other, 1e-6 * self.variances.mean()))

    def explaining(self, share: float) -> int:
        """How many components have this share of the variance."""
        return int(np.searchsorted(np.cumsum(self.variances) / self.variances.sum(), share) + 1)

    def log_likelihood(self, x: np.ndarray, components: int) -> float:
        """Mean log-density of rows under the Gaussian that keeps so many components, in nats."""
        squared = np.square((x - self.mean) @ self.directions).mean(axis=0)
        variances = np.maximum(self.variances, self.rest(components))
        variances[components:] = self.rest(components)
        return float(-0.5 * np.sum(squared / variances + np.log(2 * math.pi * variances)))

    def rows(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows from their first components, (n, k), with noise in all other directions."""
        n, k = codes.shape
        noise = math.sqrt(self.rest(k)) * rng.standard_normal((n, len(self.mean) - k))
        return self.mean + codes @ self.directions[:, :k].T + noise @ self.directions[:, k:].T


class PrincipalGaussian:
    """One Gaussian with as many principal components as held-out images make likely."""

    title = "Gaussian (PCA)"

    def fit(self, x: np.ndarray, seed: int) -> Self:
        """Choose the number of components on a tenth of the images, and fit on all."""
        self._shape = x.shape[1:]
        flat = x.reshape(len(x), -1)
        train, held_out = train_test_split(flat, test_size=HELD_OUT, random_state=seed)
        subspace = Subspace(train)
        most = min(flat.shape[1], len(train) - 1)
        sizes = np.unique(np.geomspace(min(2, most), most, 25).astype(int))
        scores = [subspace.log_likelihood(held_out, int(size)) for size in sizes]
        self.components = int(sizes[np.argmax(scores)])
        self.about = f"{self.components} components"
        self.subspace = Subspace(flat)
        return self

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Normal images."""
        rng = np.random.default_rng(seed)
        std = np.sqrt(self.subspace.variances[: self.components])
        codes = std * rng.standard_normal((n, self.components))
        return self.subspace.rows(codes, rng).reshape(n, *self._shape)


class PrincipalMixture:
    """A mixture of Gaussians of full covariance in principal components, with noise outside.

    The components have 99% of the variance, and are no more than 64; the number of Gaussians is the
    one of a few under which held-out images are most likely. Expectation and maximisation start at
    k-means.

    Args:
        candidates: numbers of Gaussians to choose from.
    """

    title = "Gaussian mixture (PCA)"

    def __init__(self, candidates: Sequence[int] = CANDIDATES):
        self.candidates = tuple(candidates)

    def fit(self, x: np.ndarray, seed: int) -> Self:
        """Choose the number of Gaussians on a tenth of the images, and fit on all."""
        self._shape = x.shape[1:]
        flat = x.reshape(len(x), -1)
        self.subspace = Subspace(flat)
        size = min(self.subspace.explaining(EXPLAINED), MOST_COMPONENTS, len(flat) // 4)
        codes = (flat - self.subspace.mean) @ self.subspace.directions[:, :size]
        train, held_out = train_test_split(codes, test_size=HELD_OUT, random_state=seed)

        def fitted(count: int, rows: np.ndarray) -> GaussianMixture:
            mixture = GaussianMixture(
                count, reg_covar=0.1 * self.subspace.rest(size), max_iter=50, tol=1e-2,
                random_state=seed,
            )  # fmt: skip
            with threadpool_limits(1):  # the matrices are small: more threads wait for each other
                return mixture.fit(rows)

        counts = [count for count in self.candidates if 4 * count <= len(train)]
        likelihoods = [fitted(count, train).score(held_out) for count in counts]
        count = counts[int(np.argmax(likelihoods))] if counts else 1
        self.mixture = fitted(count, codes)
        self.about = f"{count} Gaussians of {size} components"
        return self

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Images of the mixture, in a random order."""
        rng = np.random.default_rng(seed)
        self.mixture.random_state = int(rng.integers(2**31))
        with threadpool_limits(1):
            codes = rng.permutation(self.mixture.sample(n)[0])
        return self.subspace.rows(codes, rng).reshape(n, *self._shape)


BASELINES: dict[str, Callable[[], Baseline]] = {
    "independent-pixels": IndependentPixels,
    "gaussian": PrincipalGaussian,
    "mixture": PrincipalMixture,
    "parzen": ParzenWindow,
}
