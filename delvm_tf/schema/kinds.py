"""Kinds of columns, and what each becomes: functions in the graph from cells to numbers."""

from dataclasses import dataclass
from typing import Any, ClassVar

import tensorflow as tf


@dataclass(frozen=True)
class Number:
    """Numbers, truth values, or dates in seconds.

    Attributes:
        name: of the column.
        fill: stands for a missing value, the median of the training rows.
        indicator: whether a number of its own says where one is missing.
        date: whether these are dates or times, in seconds.
        unit: of the values, for those who read the card.
    """

    name: str
    fill: float
    indicator: bool = False
    date: bool = False
    unit: str = ""

    dtype: ClassVar[tf.DType] = tf.float64

    @property
    def outputs(self) -> tuple[str, ...]:
        """The column, and whether it is missing."""
        return (self.name, f"{self.name} is missing") if self.indicator else (self.name,)

    def missing(self, cells: tf.Tensor) -> tf.Tensor:
        """NaN is."""
        return tf.math.is_nan(cells)

    def encode(self, cells: tf.Tensor) -> tf.Tensor:
        """The values, with `fill` for those that are missing, and the indicator."""
        missing = self.missing(cells)
        values = tf.where(missing, tf.constant(self.fill, tf.float64), cells)
        parts = [values, tf.cast(missing, tf.float64)] if self.indicator else [values]
        return tf.stack(parts, axis=1)


@dataclass(frozen=True)
class Category:
    """Text that names one of a few things.

    Attributes:
        name: of the column.
        values: those of the training rows, the most frequent first; all others are one more.
        indicator: whether a missing value is one more, as in the training rows; else it counts
            among the others.
    """

    name: str
    values: tuple[str, ...]
    indicator: bool = False

    dtype: ClassVar[tf.DType] = tf.string

    @property
    def outputs(self) -> tuple[str, ...]:
        """One for each value, one for all others, and whether it is missing."""
        ends = ("is another", "is missing") if self.indicator else ("is another",)
        return (
            *(f"{self.name} = {value}" for value in self.values),
            *(f"{self.name} {end}" for end in ends),
        )

    def missing(self, cells: tf.Tensor) -> tf.Tensor:
        """Empty text is."""
        return tf.equal(cells, "")

    def encode(self, cells: tf.Tensor) -> tf.Tensor:
        """One 1 in each row, at the place of the value."""
        known = tf.equal(cells[:, tf.newaxis], tf.constant([self.values]))
        rest = ~tf.reduce_any(known, axis=1)
        missing = self.missing(cells)
        parts = [rest & ~missing, missing] if self.indicator else [rest]
        ones = tf.concat([known, tf.stack(parts, axis=1)], axis=1)
        return tf.cast(ones, tf.float64)


KINDS: dict[str, Any] = {"number": Number, "category": Category}
