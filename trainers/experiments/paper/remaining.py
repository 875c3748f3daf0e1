"""How long the rest of a run takes, judged by what was done."""

from collections.abc import Iterable

from trainers.experiments.paper.cells import Cell
from trainers.experiments.paper.costs import estimated_seconds


class Remaining:
    """Seconds left: the estimates of what is missing, times how far estimates were off so far.

    Args:
        missing: cells yet to be computed.
    """

    def __init__(self, missing: Iterable[Cell]):
        self._missing = {cell.key: estimated_seconds(cell) for cell in missing}
        self._estimated = 0.0
        self._measured = 0.0

    def done(self, cell: Cell, seconds: float) -> None:
        """Take in a cell's time, whether it was computed now or before."""
        self._estimated += estimated_seconds(cell)
        self._measured += seconds
        self._missing.pop(cell.key, None)

    @property
    def factor(self) -> float:
        """Measured over estimated seconds; 1 before anything was measured."""
        return self._measured / self._estimated if self._estimated else 1.0

    @property
    def seconds(self) -> float:
        """Seconds left."""
        return self.factor * sum(self._missing.values())


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
