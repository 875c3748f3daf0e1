"""Parts of an image that codes are summed over, as products with matrices of zeros and ones."""

import abc

import numpy as np


class Pooling(abc.ABC):
    """Parts along each side; the parts of an image are all pairs of them."""

    @abc.abstractmethod
    def check(self, side: int) -> None:
        """Whether a side has enough places.

        Args:
            side: number of patches along it.

        Raises:
            ValueError: saying how many are needed.
        """

    @abc.abstractmethod
    def along(self, side: int) -> np.ndarray:
        """Which parts each place of a side belongs to, (parts, side) of zeros and ones."""


class Parts(Pooling):
    """Parts side by side: 2 along each side for quadrants.

    They are as equal as they can be; the first ones are larger.

    Args:
        parts: along each side.

    Raises:
        ValueError: for fewer than one.

    Examples:
        >>> dv.features.Parts(2).along(5)  # which parts each of five places belongs to
        array([[1., 1., 1., 0., 0.],
               [0., 0., 0., 1., 1.]], dtype=float32)
    """

    def __init__(self, parts: int = 2):
        if parts < 1:
            raise ValueError(f"the parts along each side must be positive, got {parts!r}")
        self.parts = parts

    def check(self, side: int) -> None:
        """As many places as parts."""
        if self.parts > side:
            raise ValueError(
                f"a grid of {self.parts} × {self.parts} parts needs as many places along each "
                f"side, but there are {side} patches along one of them"
            )

    def along(self, side: int) -> np.ndarray:
        """Each place belongs to one part."""
        lengths = [len(places) for places in np.array_split(np.arange(side), self.parts)]
        return np.repeat(np.eye(self.parts, dtype=np.float32), lengths, axis=1)


class Windows(Pooling):
    """Windows that may overlap, from the first place on as far as whole ones fit.

    Args:
        size: places along each side of a window.
        stride: from a window to the next; below `size` they overlap.

    Raises:
        ValueError: for a size or stride below one.

    Examples:
        >>> dv.features.Windows(size=3, stride=2).along(5)  # which windows each place belongs to
        array([[1., 1., 1., 0., 0.],
               [0., 0., 1., 1., 1.]], dtype=float32)
    """

    def __init__(self, size: int, stride: int):
        if size < 1 or stride < 1:
            raise ValueError(
                f"size and stride of the windows must be positive, got {size!r} and {stride!r}"
            )
        self.size = size
        self.stride = stride

    def check(self, side: int) -> None:
        """Room for a window."""
        if self.size > side:
            raise ValueError(
                f"windows of {self.size} × {self.size} places do not fit: there are {side} patches "
                f"along one side"
            )

    def along(self, side: int) -> np.ndarray:
        """A place may belong to several windows, or at the end to none."""
        starts = np.arange(0, side - self.size + 1, self.stride)[:, np.newaxis]
        places = np.arange(side)
        return ((places >= starts) & (places < starts + self.size)).astype(np.float32)
