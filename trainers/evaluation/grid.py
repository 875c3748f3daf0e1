"""Integrals over the plane, and whether they exist."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

BORDER = 0.05  # share of the grid's side, at each end, that counts as its border
MASS = 1e-3  # share of the mass that may lie at the border and beyond
ROUGHNESS = 0.01  # nats by which log Z may change with every second point left out


@dataclasses.dataclass(frozen=True)
class SquareGrid:
    """Points of a square of the plane, at equal distances.

    Attributes:
        half_width: the square reaches from −half_width to half_width.
        side: points on each side, odd and five or more, so that every second one is a grid too.
    """

    half_width: float
    side: int

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0 < self.half_width < np.inf:
            raise ValueError(f"half_width must be a positive number, got {self.half_width!r}")
        if self.side < 5 or self.side % 2 == 0:
            raise ValueError(f"side must be an odd number, 5 or more, got {self.side!r}")

    @property
    def axis(self) -> np.ndarray:
        """Coordinates along one side, (side,)."""
        return np.linspace(-self.half_width, self.half_width, self.side)

    @property
    def points(self) -> np.ndarray:
        """All points, (side², 2), row by row: the second coordinate grows from row to row."""
        across, up = np.meshgrid(self.axis, self.axis)
        return np.stack([across.ravel(), up.ravel()], axis=1)

    @property
    def step(self) -> float:
        """Distance of neighbours."""
        return 2 * self.half_width / (self.side - 1)

    def square(self, values: Any) -> np.ndarray:
        """Values at `points` as a picture, (side, side)."""
        return np.asarray(values, np.float64).reshape(self.side, self.side)


class GridIntegral(NamedTuple):
    """Z = ∫ exp(u(x)) dx by a sum over a grid, and what speaks against it.

    Attributes:
        log_normalizer: log Z, in nats.
        border_mass: share of Z at the border of the grid.
        mass_beyond: mass around the grid, up to a wide one's end, as a share of Z.
        roughness: change of log Z if every second point of each side is left out, in nats.
    """

    log_normalizer: float
    border_mass: float
    mass_beyond: float
    roughness: float

    @property
    def problem(self) -> str:
        """Why Z is not to be trusted; empty if it is."""
        if not np.isfinite(self.log_normalizer):
            return "density not finite on the grid"
        if not self.border_mass < MASS:
            return f"not normalisable on the grid: {self.border_mass:.1%} of the mass at its border"
        if not self.mass_beyond < MASS:
            return f"not normalisable on the grid: {self.mass_beyond:.2g} of its mass lies beyond"
        if not self.roughness < ROUGHNESS:
            return f"too rough for the grid: log Z moves by {self.roughness:.2g}"
        return ""


def integrate(
    log_density: Callable[[np.ndarray], np.ndarray], grid: SquareGrid, wide: SquareGrid
) -> GridIntegral:
    """The integral of exp(log_density) over the plane.

    Args:
        log_density: of points (n, 2), up to a constant, (n,).
        grid: fine, and large enough to hold all of the mass.
        wide: coarse, to look for mass around the first.

    Raises:
        ValueError: if the second grid is not the wider one.
    """
    if wide.half_width <= grid.half_width:
        raise ValueError(
            f"the wide grid ({wide.half_width}) must be wider than the grid ({grid.half_width})"
        )
    border = np.abs(grid.points).max(axis=1) > (1 - 2 * BORDER) * grid.half_width
    around = wide.points[np.abs(wide.points).max(axis=1) > grid.half_width]
    values = grid.square(log_density(grid.points))
    with np.errstate(over="ignore", invalid="ignore"):
        log_z = _log_integral(values, grid.step)
        at_border = _log_integral(values.ravel()[border], grid.step)
        beyond = _log_integral(np.asarray(log_density(around), np.float64), wide.step)
        coarse = _log_integral(values[::2, ::2], 2 * grid.step)
        return GridIntegral(
            log_z, float(np.exp(at_border - log_z)), float(np.exp(beyond - log_z)),
            abs(log_z - coarse),
        )  # fmt: skip


def _log_integral(values: np.ndarray, step: float) -> float:
    return float(logsumexp(values)) + 2 * math.log(step)
