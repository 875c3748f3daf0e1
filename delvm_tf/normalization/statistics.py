"""Moments and extremes of a stream of batches, in float64 and constant memory."""

import numpy as np


class Statistics:
    """Running mean, variance, extremes and, if asked for, covariance of flattened inputs.

    Batches are merged with the pairwise update of Chan, Golub and LeVeque (1979), which does not
    lose digits when the mean is large beside the spread. Variances and covariances are sums over
    examples divided by their number. All is float64, (features,) each.

    Args:
        covariance: whether to keep the d×d covariance (8d² bytes).

    Attributes:
        count: examples seen.
        mean: of each feature.
        minimum: of each feature.
        maximum: of each feature.

    Examples:
        >>> statistics = dv.normalization.Statistics()
        >>> statistics.update(np.array([[1.0], [2.0]]))
        >>> statistics.update(np.array([[6.0]]))
        >>> statistics.count, statistics.mean, statistics.variance
        (3, array([3.]), array([4.66666667]))
    """

    def __init__(self, covariance: bool = False):
        self.count = 0
        self._rounding = 0.0  # of the coarsest type that came
        self._single: np.ndarray = np.zeros(0, bool)  # features whose values all are float32's,
        self._whole: np.ndarray = np.zeros(0, bool)  # and whole numbers, which are not rounded
        self.mean: np.ndarray = np.zeros(0)
        self.minimum: np.ndarray = np.zeros(0)
        self.maximum: np.ndarray = np.zeros(0)
        self._keeps_covariance = covariance
        self._moment: np.ndarray = np.zeros(0)  # Σ(x−m)² per feature, or Σ(x−m)(x−m)ᵀ

    def update(self, batch: np.ndarray) -> None:
        """Take in a batch of any shape (batch, ...)."""
        n = len(batch)
        if n == 0:
            return
        self._rounding = max(self._rounding, _rounding(np.asarray(batch).dtype))
        rows = np.asarray(batch, dtype=np.float64).reshape(n, -1)
        with np.errstate(over="ignore"):
            single = (rows.astype(np.float32) == rows).all(axis=0)
        whole = (np.rint(rows) == rows).all(axis=0)
        mean = rows.mean(axis=0)
        centred = rows - mean
        moment = centred.T @ centred if self._keeps_covariance else np.square(centred).sum(axis=0)
        if self.count == 0:
            self.count, self.mean, self._moment = n, mean, moment
            self.minimum, self.maximum = rows.min(axis=0), rows.max(axis=0)
            self._single, self._whole = single, whole
            return
        total = self.count + n
        delta = mean - self.mean
        between = np.outer(delta, delta) if self._keeps_covariance else np.square(delta)
        self._moment = self._moment + moment + between * (self.count * n / total)
        self.mean = self.mean + delta * (n / total)
        self.count = total
        self.minimum = np.minimum(self.minimum, rows.min(axis=0))
        self.maximum = np.maximum(self.maximum, rows.max(axis=0))
        self._single, self._whole = self._single & single, self._whole & whole

    @property
    def constant(self) -> np.ndarray:
        """Whether the values of each feature differ by no more than rounding, (features,).

        They are taken for rounding of one value m if they spread over at most 1000 ε|m|, with the
        precision ε = 2⁻⁵² of float64, or 4 ε|m| with that of a shorter type: if they came in one,
        or in float64 but all are fractions that float32 holds, as where a table has both types. So
        0.3 and 0.1 · 3 are the same; and so are values that float32 cannot tell from 0.
        scikit-learn's scalers allow a standard deviation of n ε|m| for n examples.
        """
        size = np.maximum(np.abs(self.minimum), np.abs(self.maximum))
        single = _rounding(np.dtype(np.float32))
        shorter = self._single & ~self._whole
        rounding = np.where(shorter, max(single, self._rounding), self._rounding)
        least = np.finfo(np.float32).tiny
        return self.maximum - self.minimum <= np.maximum(rounding * size, least)

    @property
    def variance(self) -> np.ndarray:
        """Variance of each feature, divided by the count."""
        moment = np.diag(self._moment) if self._keeps_covariance else self._moment
        return moment / self.count

    @property
    def covariance(self) -> np.ndarray:
        """Covariance matrix, divided by the count."""
        if not self._keeps_covariance:
            raise ValueError("these statistics were kept without covariance")
        return self._moment / self.count


def _rounding(dtype: np.dtype) -> float:
    """How far rounding may drive values of a type apart, relative to their size.

    Of float64 1000 units in the last place, for what computations in it lose; of shorter floats 4;
    none of integers, except for what they lose when they become float64.
    """
    precision = float(np.finfo(np.float64).eps)
    if dtype.kind in "iub":
        return precision
    if dtype == np.float64:
        return 1000 * precision
    one = dtype.type(1)
    unit = 1.0
    while dtype.type(1 + unit / 2) != one:
        unit /= 2
    return 4 * unit
