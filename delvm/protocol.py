"""Which rows a model learns from, and which judge it."""

from typing import NamedTuple

import numpy as np

from delvm_tf.detection.labels import CONVENTIONS

TEST = 0.2  # share of the normal rows, where there are labels
MOST_TESTED = 20_000  # rows of each kind in the test part, by which an AUROC is known to 0.005


class Parts(NamedTuple):
    """Numbers of rows, each in one part.

    Attributes:
        fit: given to `AnomalyDetector.fit`, which holds some out to set the threshold.
        test: that play no part before they judge; none without labels.
        abnormal: whether each row of the table is, (n,); None without labels.
    """

    fit: np.ndarray
    test: np.ndarray
    abnormal: np.ndarray | None

    @property
    def tested(self) -> bool:
        """Whether there are rows of both kinds to judge by."""
        return self.abnormal is not None and len(np.unique(self.abnormal[self.test])) == 2

    def without(self, rows: np.ndarray) -> "Parts":
        """The same without some rows, (n,) bool, in the test part."""
        return self._replace(test=self.test[~rows[self.test]])

    def text(self, held: int) -> str:
        """The protocol in words; `held` normal rows set the threshold."""
        abnormal = self.abnormal if self.abnormal is not None else np.zeros(len(self.fit), bool)
        normal = int(np.sum(~abnormal[self.fit]))
        kind = "rows, taken as normal" if self.abnormal is None else "normal rows"
        said = f"trained on {normal - held:,} {kind}; {held:,} others set the threshold"
        if used := int(np.sum(abnormal[self.fit])):
            said += f", with {used:,} abnormal ones"
        if not self.tested:
            return f"{said}; nothing was tested, for there are no rows that are labelled abnormal"
        count = int(np.sum(abnormal[self.test]))
        of_both = f"{len(self.test) - count:,} normal and {count:,} abnormal rows"
        return f"{said}; tested on {of_both} that played no part before"


def parted(abnormal: np.ndarray | None, rows: int, labels_decide: bool, seed: int) -> Parts:
    """Parts of a table.

    With labels, a fifth of the normal rows and all abnormal ones are the test part, of each 20,000
    at most; of the latter half, where the threshold is chosen by labels. Without labels or abnormal
    rows there is none.

    Args:
        abnormal: which rows are, (rows,), or None.
        rows: number of rows.
        labels_decide: whether the threshold needs labels.
        seed: of the draw.

    Raises:
        ValueError: if there are too few rows, or no labels where they are needed.
    """
    everything = np.arange(rows)
    if labels_decide and (abnormal is None or np.sum(abnormal) < 2):
        raise ValueError(
            "the recipe's threshold 'best_f1' needs labels with two abnormal rows or more; give "
            "--label, or another threshold"
        )
    if abnormal is None or not abnormal.any():
        return Parts(everything, everything[:0], abnormal)
    random = np.random.default_rng(seed)
    normal, strange = (random.permutation(np.flatnonzero(of)) for of in (~abnormal, abnormal))
    kept = len(normal) - max(1, round(TEST * len(normal)))
    if kept < 2:
        raise ValueError(f"{len(normal)} normal rows are too few to learn from and to test on")
    used = len(strange) // 2 if labels_decide else 0
    fit = np.concatenate([normal[:kept], strange[:used]])
    test = np.concatenate([normal[kept:][:MOST_TESTED], strange[used:][:MOST_TESTED]])
    return Parts(np.sort(fit), np.sort(test), abnormal)


def read_labels(values: np.ndarray, column: str) -> np.ndarray:
    """Which rows are abnormal, (n,) bool, from a column of labels.

    Raises:
        ValueError: for other labels than 0 and 1 or +1 and −1, and where no row is normal.
    """
    found = {*np.unique(values).tolist()}
    if found <= {0, 1}:
        abnormal = values == 1
    elif found == {-1, 1} or found == {-1}:
        abnormal = values == -1
    else:
        some = ", ".join(f"{value:g}" for value in sorted(found)[:5])
        raise ValueError(
            f"the labels in the column {column!r} must be {CONVENTIONS}, got {some}; name "
            f"those of normal rows with --normal, or choose another column with --label"
        )
    if abnormal.all():
        raise ValueError(
            f"the column {column!r} says that all {len(values)} rows are abnormal, and there must "
            f"be normal ones to learn from; labels are {CONVENTIONS}"
        )
    return abnormal
