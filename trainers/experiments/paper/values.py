"""What the cells of a figure say, gathered by method, size and place on the axis."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from trainers.experiments.paper.points import Point
from trainers.experiments.paper.tables import title


class Place(NamedTuple):
    """Where a number stands in a figure: method, size of the filters and place on the axis."""

    method: str
    size: int | None
    x: int | None


class Value(NamedTuple):
    """Numbers of one place under all seeds.

    Attributes:
        by_seed: numbers by name, or None where training diverged, by seed.
        reasons: why it diverged, by seed.
        layers: of the network, in words.
    """

    by_seed: dict[int, dict[str, float] | None]
    reasons: dict[int, str]
    layers: str = ""

    @property
    def diverged(self) -> bool:
        """Whether it did under every seed."""
        return all(v is None for v in self.by_seed.values())

    def of(self, measure: str) -> np.ndarray:
        """The measure under the seeds that did not diverge, in percent."""
        return np.array([100 * v[measure] for v in self.by_seed.values() if v is not None])

    def mean(self, measure: str) -> float:
        """Mean over these seeds, NaN if there is none."""
        values = self.of(measure)
        return float(values.mean()) if len(values) else float("nan")

    def text(self, measure: str) -> str:
        """Mean ± standard deviation over the seeds, in percent."""
        values, lost = self.of(measure), sum(v is None for v in self.by_seed.values())
        if not len(values):
            return "diverged"
        text = f"{values.mean():.2f}"
        if len(values) > 1:
            text += f" ± {values.std(ddof=1):.2f}"
        return text + (f" ({lost} of {len(self.by_seed)} diverged)" if lost else "")


def gather(points: Iterable[Point], stored: Mapping[str, dict[str, Any]]) -> dict[Place, Value]:
    """Values by place, in the order of the points.

    Args:
        points: of a figure.
        stored: what was computed, by the keys of the cells.
    """
    values: dict[Place, Value] = {}
    for point in points:
        place = Place(point.method, point.size, point.x)
        value = values.setdefault(place, Value({}, {}, point.cell.layers))
        contents = stored[point.cell.key]
        seed = point.cell.seed
        value.by_seed[seed] = contents["results"].get(point.entry)
        if value.by_seed[seed] is None:
            value.reasons[seed] = contents["diverged"]
    return values


def label(place: Place) -> str:
    """The line of a figure that a place belongs to."""
    return title(place.method) + (f", {place.size}×{place.size}" if place.size else "")
