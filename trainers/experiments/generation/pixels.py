"""What values pixels can have."""

from typing import NamedTuple, Self

import numpy as np


class PixelRange(NamedTuple):
    """The values of a set of images.

    Attributes:
        low: the smallest.
        high: the largest.
        whole: whether all are whole numbers.
    """

    low: float
    high: float
    whole: bool

    @classmethod
    def of(cls, x: np.ndarray) -> Self:
        """That of images."""
        whole = np.issubdtype(x.dtype, np.integer) or bool(np.all(x == np.rint(x)))
        return cls(float(x.min()), float(x.max()), whole)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Clip to the range, and round where data are whole; float32."""
        clipped = np.clip(np.asarray(x, np.float32), self.low, self.high)
        return np.rint(clipped) if self.whole else clipped
