"""What was measured of detectors, as rows of a file and as tables."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd
from timing import median_ratio

from detector_growth.charts import Line
from detector_growth.workers import LEFT_OUT, NEW_ROWS, OVER, Seconds, Taken
from trainers.experiments.tables import OURS

Cell = tuple[str, int, int]  # method, rows, columns
Part = Callable[[Taken], Seconds | None]
PARTS: dict[str, Part] = {
    "fit": lambda taken: taken.fit, "first score": lambda taken: taken.first,
    "score": lambda taken: taken.score,
}  # fmt: skip
KINDS = {"seconds": "clock", "CPU seconds": "cpu"}


class Series(NamedTuple):
    """Sizes that are compared.

    Attributes:
        name: what grows, `rows` or `columns`.
        sizes: rows and columns, in rising order.
    """

    name: str
    sizes: Sequence[tuple[int, int]]

    def size(self, shape: tuple[int, int]) -> int:
        """What grows, of rows and columns."""
        return shape[0 if self.name == "rows" else 1]


class Figures:
    """The figures of all rounds.

    Args:
        methods: their names.
        found: what each cell took in each round.
    """

    def __init__(self, methods: Sequence[str], found: dict[Cell, list[Taken]]):
        self.methods, self._found = methods, found

    def rows(self, series: Series) -> list[dict[str, Any]]:
        """A row of a file for each method and size; empty where there is no figure."""
        return [
            {
                "against": series.name, "method": name, "rows": shape[0], "columns": shape[1],
                "rounds": len(self._of(name, series, shape)),
                **{
                    key: value
                    for part in PARTS
                    for key, value in self._figures(part, name, series, shape).items()
                },
                "rows scored a second": self._rate(name, series, shape),
                "outcome": self._of(name, series, shape)[0].outcome,
            }
            for name in self.methods
            for shape in series.sizes
        ]  # fmt: skip

    def table(self, part: str, kind: str, series: Series) -> pd.DataFrame:
        """Methods by sizes: seconds of a part, and in brackets how many times the default's.

        Args:
            part: of `PARTS`.
            kind: of `KINDS`.
            series: the sizes.
        """
        return pd.DataFrame(
            [
                {
                    f"{part}, {kind}": name,
                    **{
                        f"{series.size(shape):,} {series.name}": self._text(
                            part, kind, name, series, shape
                        )
                        for shape in series.sizes
                    },
                }
                for name in self.methods
            ]
        )

    def rates(self, series: Series) -> pd.DataFrame:
        """Rows scored a second, methods by sizes."""
        return pd.DataFrame(
            [
                {
                    "rows scored a second": name,
                    **{
                        f"{series.size(shape):,} {series.name}": self._rate(name, series, shape)
                        or self._missing("score", name, series, shape)
                        for shape in series.sizes
                    },
                }
                for name in self.methods
            ]
        )

    def lines(self, part: str, series: Series) -> dict[str, Line]:
        """Medians by method, as far as they go, and the size at which the method was stopped."""
        lines: dict[str, Line] = {}
        for name in self.methods:
            known, stopped = [], None
            for shape in series.sizes:
                seconds = self._seconds(part, name, series, shape)
                if seconds:
                    median = statistics.median(s.clock for s in seconds)
                    known.append((series.size(shape), median))
                elif self._missing(part, name, series, shape) == OVER:
                    stopped = series.size(shape)
            lines[name] = [s for s, _ in known], [t for _, t in known], stopped
        return lines

    def _of(self, name: str, series: Series, shape: tuple[int, int]) -> list[Taken]:
        """The rounds of a cell; left out after one of the series that did not end."""
        for before in series.sizes[: series.sizes.index(shape)]:
            if self._found[name, *before][0].outcome:
                return [Taken(outcome=LEFT_OUT)]
        return self._found[name, *shape]

    def _seconds(
        self, part: str, name: str, series: Series, shape: tuple[int, int]
    ) -> list[Seconds]:
        values = [PARTS[part](taken) for taken in self._of(name, series, shape)]
        return [value for value in values if value is not None]

    def _missing(self, part: str, name: str, series: Series, shape: tuple[int, int]) -> str:
        """Why there is no figure: what was stopped, or what came before it was."""
        taken = self._of(name, series, shape)[0]
        return taken.outcome if part == "fit" or taken.fit is not None else LEFT_OUT

    def _figures(
        self, part: str, name: str, series: Series, shape: tuple[int, int]
    ) -> dict[str, str]:
        ours, theirs = (self._seconds(part, each, series, shape) for each in (OURS, name))
        row = {}
        for kind, of in KINDS.items():
            a, b = ([getattr(s, of) for s in seconds] for seconds in (theirs, ours))
            row[f"{part}, {kind}"] = f"{statistics.median(a):.3g}" if a else ""
            row[f"{part}, {kind}, times ours"] = f"{median_ratio(a, b):.3g}" if a and b else ""
        return row

    def _rate(self, name: str, series: Series, shape: tuple[int, int]) -> str:
        seconds = self._seconds("score", name, series, shape)
        return f"{NEW_ROWS / statistics.median(s.clock for s in seconds):.0f}" if seconds else ""

    def _text(self, part: str, kind: str, name: str, series: Series, shape: tuple[int, int]) -> str:
        figures = self._figures(part, name, series, shape)
        seconds, ratio = (figures[f"{part}, {kind}{end}"] for end in ("", ", times ours"))
        return f"{seconds} ({ratio})" if seconds else self._missing(part, name, series, shape)
