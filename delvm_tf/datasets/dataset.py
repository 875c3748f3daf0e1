"""What a protocol returns: training and test rows in raw units, and a split for tuning."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Rows and labels of one data set under one protocol.

    In a classification protocol y is the class. In an anomaly protocol y is 0 for normal and 1
    for abnormal rows, `x_train` has normal rows only, and the labelled training rows of both
    kinds, for thresholds that need labels, are in `x_calibration`.

    The arrays are read-only, since all that load an archive share it: copy one before changing it.

    Args:
        name: name of the data set.
        protocol: name of the protocol.
        seed: seed the protocol was asked for.
        x_train: training rows, (rows, features) or (rows, height, width, channels).
        y_train: their labels, (rows,) integers; all 0 in an anomaly protocol.
        x_test: test rows, of the same shape per row.
        y_test: their labels.
        x_calibration: all labelled training rows of an anomaly protocol, or None where the
            protocol has no abnormal training rows.
        y_calibration: their labels.
        class_names: what the labels 0, 1, ... mean.
        description: one line about the rows and their units.

    Raises:
        ValueError: if rows and labels differ in number or the row shapes differ.

    Examples:
        >>> y = np.arange(64) % 2
        >>> data = dv.datasets.Dataset(
        ...     "mine", "halves", 0, x[:32], y[:32], x[32:], y[32:], class_names=("left", "right")
        ... )
        >>> data.input_shape
        (6,)
        >>> data.validation_split(0.25).x_test.shape  # carved from the training rows
        (8, 6)
    """

    name: str
    protocol: str
    seed: int
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    x_calibration: Array | None = None
    y_calibration: Array | None = None
    class_names: tuple[str, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        if (self.x_calibration is None) != (self.y_calibration is None):
            raise ValueError("x_calibration and y_calibration go together: give both or neither")
        for part in ("train", "test", "calibration"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if x is None:
                continue
            if y.shape != (len(x),):
                raise ValueError(
                    f"y_{part} must have one label per row, shape ({len(x)},), got {y.shape}"
                )
            if x.shape[1:] != self.input_shape:
                raise ValueError(
                    f"a row of x_{part} has shape {x.shape[1:]}, one of x_train {self.input_shape}"
                )
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, field.name, read_only(value))

    def __repr__(self) -> str:
        parts = [f"Dataset({self.name!r}, {self.protocol!r}, seed={self.seed}"]
        for part in ("train", "test", "calibration"):
            x = getattr(self, f"x_{part}")
            if x is not None:
                parts.append(f"x_{part}={x.dtype}{list(x.shape)}")
        return ", ".join(parts) + ")"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one row, without the batch axis."""
        return tuple(self.x_train.shape[1:])

    @property
    def is_anomaly(self) -> bool:
        """Whether the training rows are all normal, label 0, and the test finds abnormal ones."""
        return not self.y_train.any()

    def validation_split(self, fraction: float = 0.2, seed: int = 0) -> "Dataset":
        """A data set for tuning whose test part is carved from the training data.

        The test rows of this data set are left out, so that choices made on the result do not leak
        into the figures reported on them.

        Classification: the training rows are split, stratified by class. Anomaly: the test part is
        `fraction` of the normal training rows and half of the abnormal ones; the remaining normal
        rows are for training, and with the other half of the abnormal rows for calibration. The
        share of abnormal rows differs from the test set's: compare models by AUROC, which does not
        depend on it, rather than by F1.

        Args:
            fraction: share of the training rows (normal ones, for anomalies) to hold out.
            seed: seed of the split.

        Raises:
            ValueError: if the fraction is not inside (0, 1) or leaves one side empty, or there
                are no abnormal training rows to validate with.
        """
        if not 0 < fraction < 1:
            raise ValueError(
                f"fraction must lie strictly between 0 and 1, got {fraction!r}; "
                f"0.2 holds out a fifth of the training rows"
            )
        split = self._anomaly_split if self.is_anomaly else self._stratified_split
        return replace(
            split(fraction, seed),
            description=f"{self.description} Validation split of the training rows "
            f"(fraction {fraction}, seed {seed}).".lstrip(),
        )

    def _anomaly_split(self, fraction: float, seed: int) -> "Dataset":
        if self.x_calibration is None or self.y_calibration is None or not self.y_calibration.any():
            raise ValueError(
                f"{self.name} under protocol {self.protocol!r} has no abnormal training rows to "
                f"measure detection with before the test; tune on a criterion without labels (the "
                f"objective on held-out rows), on another protocol of this data set, or with a "
                f"Dataset of your own that has some in x_calibration"
            )
        held_out = round(fraction * len(self.x_train))
        if not 0 < held_out < len(self.x_train):
            raise ValueError(
                f"fraction {fraction!r} of {len(self.x_train)} normal training rows is "
                f"{held_out} rows, which leaves nothing on one side; use another fraction"
            )
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(self.x_train))
        normal_test, normal_train = self.x_train[order[:held_out]], self.x_train[order[held_out:]]
        abnormal = self.x_calibration[rng.permutation(np.flatnonzero(self.y_calibration))]
        half = len(abnormal) // 2
        x_calibration, y_calibration = _labelled(normal_train, abnormal[:half])
        x_test, y_test = _labelled(normal_test, abnormal[half:])
        return replace(
            self,
            x_train=normal_train,
            y_train=np.zeros(len(normal_train), "int64"),
            x_test=x_test,
            y_test=y_test,
            x_calibration=x_calibration,
            y_calibration=y_calibration,
        )

    def _stratified_split(self, fraction: float, seed: int) -> "Dataset":
        from sklearn.model_selection import train_test_split

        train, test = train_test_split(
            np.arange(len(self.x_train)),
            test_size=fraction,
            random_state=seed,
            stratify=self.y_train,
        )
        return replace(
            self,
            x_train=self.x_train[train],
            y_train=self.y_train[train],
            x_test=self.x_train[test],
            y_test=self.y_train[test],
        )


def read_only(array: Array) -> Array:
    """A view that cannot be written to; the array itself stays as it is."""
    view = array.view()
    view.flags.writeable = False
    return view


def _labelled(normal: Array, abnormal: Array) -> tuple[Array, Array]:
    x = np.concatenate([normal, abnormal])
    return x, np.repeat(np.array([0, 1]), [len(normal), len(abnormal)])
