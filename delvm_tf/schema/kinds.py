"""Kinds of columns, and what each becomes: functions in the graph from cells to numbers.

On the way cells become codes: numbers are their own, and a text has the place of its value, so that
a runtime without text needs no more than a table of places.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import tensorflow as tf

OTHERS = "another"  # stands for all values that are not told apart


@dataclass(frozen=True)
class Number:
    """Numbers, truth values, or dates in seconds.

    Attributes:
        name: of the column.
        fill: stands for a missing value, the median of the training rows.
        indicator: whether a number of its own says where one is missing.
        date: what these are in seconds, `date`, `time of day` or `duration`; empty for others.
        unit: of the values, for those who read the card.

    Examples:
        >>> column = dv.schema.Number("heat", fill=25.0, indicator=True, unit="°C")
        >>> column.outputs
        ('heat', 'heat is missing')
        >>> column.encode(tf.constant([20.0, np.nan], tf.float64)).numpy()
        array([[20.,  0.],
               [25.,  1.]])
    """

    name: str
    fill: float
    indicator: bool = False
    date: str = ""
    unit: str = ""

    dtype: ClassVar[tf.DType] = tf.float64

    @property
    def outputs(self) -> tuple[str, ...]:
        """The column, and whether it is missing."""
        return (self.name, f"{self.name} is missing") if self.indicator else (self.name,)

    def codes(self, cells: tf.Tensor) -> tf.Tensor:
        """The cells themselves."""
        return cells

    def missing(self, codes: tf.Tensor) -> tf.Tensor:
        """NaN is."""
        return tf.math.is_nan(codes)

    def encode(self, codes: tf.Tensor) -> tf.Tensor:
        """The values, with `fill` for those that are missing, and the indicator."""
        missing = self.missing(codes)
        values = tf.where(missing, tf.constant(self.fill, tf.float64), codes)
        parts = [values, tf.cast(missing, tf.float64)] if self.indicator else [values]
        return tf.stack(parts, axis=1)

    def nearest(self, numbers: tf.Tensor) -> tf.Tensor:
        """The value among a row's numbers, (rows, outputs), as float32."""
        return tf.cast(numbers[:, 0], tf.float32)

    def cells(self, codes: tf.Tensor) -> tf.Tensor:
        """What `nearest` gives as cells: itself."""
        return codes


@dataclass(frozen=True)
class Category:
    """Text that names one of a few things.

    Attributes:
        name: of the column.
        values: those of the training rows, the most frequent first; all others are one more.
        indicator: whether a missing value is one more, as in the training rows; else it counts
            among the others.

    Examples:
        >>> column = dv.schema.Category("site", ("north", "south"))
        >>> column.outputs
        ('site = north', 'site = south', 'site is another')
        >>> column.encode(column.codes(tf.constant(["south", "west"]))).numpy()
        array([[0., 1., 0.],
               [0., 0., 1.]])
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

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each code: the values, "another" for all others, and "" where missing."""
        return (*self.values, OTHERS, "")

    def codes(self, cells: tf.Tensor) -> tf.Tensor:
        """The place of each cell among `texts`, int64; empty text is missing."""
        known = tf.equal(cells[:, tf.newaxis], tf.constant([self.values]))
        count = len(self.values)
        rest = tf.where(tf.equal(cells, ""), tf.constant(count + 1, tf.int64), count)
        return tf.where(tf.reduce_any(known, axis=1), tf.argmax(known, axis=1), rest)

    def missing(self, codes: tf.Tensor) -> tf.Tensor:
        """The last code is."""
        return tf.equal(codes, len(self.values) + 1)

    def encode(self, codes: tf.Tensor) -> tf.Tensor:
        """One 1 in each row, at the place of the value."""
        places = tf.range(len(self.outputs), dtype=tf.int64)
        codes = tf.minimum(codes, places[-1])
        return tf.cast(tf.equal(codes[:, tf.newaxis], places), tf.float64)

    def nearest(self, numbers: tf.Tensor) -> tf.Tensor:
        """The code of the greatest of a row's numbers, (rows, outputs)."""
        return tf.argmax(numbers, axis=1)

    def cells(self, codes: tf.Tensor) -> tf.Tensor:
        """The text of codes."""
        return tf.gather(tf.constant(self.texts), codes)


KINDS: dict[str, Any] = {"number": Number, "category": Category}
