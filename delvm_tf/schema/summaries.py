"""What is kept of a column of training rows, as they come by: bounded memory for any number."""

import re
from collections import Counter
from typing import Any

import numpy as np

from delvm_tf.inputs.notices import warn
from delvm_tf.inputs.refusals import Refusal, RefusedColumnsError
from delvm_tf.schema import arrow
from delvm_tf.schema.kinds import Category, Number

MOST_COUNTED = 2**17  # values of text that are counted
_WORD = re.compile(r"[^\W\d_eE]")  # a letter that numbers do not have


class NumberSummary:
    """Of numbers or dates.

    The median is that of all values, or of a random sample where these are more than `kept`.

    Args:
        name: of the column.
        date: which of `arrow.TIMES` these are, or empty.
        unit: of the values.
        kept: values to remember.
    """

    def __init__(self, name: str, date: str, unit: str, kept: int):
        self.name, self.date, self.unit, self.kept = name, date, unit, kept
        self.incomplete = False
        self.last = 1.0  # values with a higher draw are not in the sample
        self.values: list[np.ndarray] = []
        self.draws: list[np.ndarray] = []
        self.count = 0

    def see(self, cells: Any, draws: np.ndarray, training: np.ndarray | None = None) -> None:
        """Take cells into account.

        Args:
            cells: a column of pyarrow.
            draws: random numbers of the rows to learn from.
            training: which those are, (rows,) bool; all, if None.
        """
        values = arrow.numbers(cells, self.name)
        values = values if training is None else values[training]
        missing = np.isnan(values)
        self.incomplete |= bool(missing.any())
        sampled = ~missing & (draws < self.last)
        self.values.append(values[sampled])
        self.draws.append(draws[sampled])
        self.count += int(sampled.sum())
        if self.count > 2 * self.kept:
            self._thin()

    def column(self) -> Number | None:
        """The column; None if it has no values."""
        self._thin()
        values = self.values[0]
        if not len(values):
            return None
        return Number(self.name, _median(values), self.incomplete, self.date, self.unit)

    def _thin(self) -> None:
        values, draws = np.concatenate(self.values), np.concatenate(self.draws)
        if len(values) > self.kept:
            self.last = float(np.partition(draws, self.kept)[self.kept])
            values, draws = values[draws < self.last], draws[draws < self.last]
        self.values, self.draws, self.count = [values], [draws], len(values)


def _median(values: np.ndarray) -> float:
    """Finite where the sum of the two in the middle is not."""
    with np.errstate(over="ignore"):
        median = float(np.median(values))
    return median if np.isfinite(median) else 2 * float(np.median(values / 2))


class TextSummary:
    """Of text: how often its values are.

    Of more than `MOST_COUNTED` values the counts are lower bounds, as those of Misra and Gries
    (1982), Finding repeated elements: what is more frequent than 1 row in 65,536 stays.
    """

    def __init__(self, name: str, most_values: int):
        self.name, self.most_values = name, most_values
        self.counts: Counter[str] = Counter()
        self.rows = 0  # that are not missing
        self.incomplete = False
        self.lost = 0  # values that are not counted any more

    def see(self, cells: Any, draws: np.ndarray, training: np.ndarray | None = None) -> None:
        """Take cells into account; see `NumberSummary`."""
        from pyarrow import compute

        cells = cells if training is None else cells.filter(training)
        for each in compute.value_counts(arrow.strings(cells)):
            self.counts[each["values"].as_py()] += each["counts"].as_py()
        missing = self.counts.pop("", 0)
        self.incomplete |= missing > 0
        self.rows += len(cells) - missing
        if len(self.counts) > MOST_COUNTED:
            self._check_repeated()
            often = self.counts.most_common(MOST_COUNTED // 2)
            least = often[-1][1]
            self.lost += len(self.counts) - len(often)
            self.counts = Counter({v: n - least + 1 for v, n in often})

    def column(self) -> Category | None:
        """The column; None if it has no values."""
        if not self.rows:
            return None
        self._check_repeated()
        kept = tuple(value for value, _ in self.counts.most_common(self.most_values))
        if len(self.counts) > len(kept):
            number = f"{'over ' if self.lost else ''}{len(self.counts)}"
            warn(
                f"the column {self.name!r} has {number} values in the rows to learn from, of which "
                f"the {len(kept)} most frequent are told apart; the others count as one"
            )
        return Category(self.name, kept, self.incomplete)

    def _check_repeated(self) -> None:
        if len(self.counts) == self.rows > self.most_values:
            reason = (
                f"the text in the column {self.name!r} is different in each of {self.rows} rows, "
                f"as names and numbers of rows are"
            )
            one = next(iter(self.counts))
            remedies: tuple[str, ...] = ()
            if not _WORD.search(one):
                remedies = (f"convert numbers that are written as text, such as {one!r}",)
            raise RefusedColumnsError([Refusal(self.name, reason, remedies)])
