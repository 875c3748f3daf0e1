"""A Keras callback that shows a run in TensorBoard."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.detection.labels import read_labels
from delvm_tf.detection.validation import rows_of, with_names
from delvm_tf.inputs import batches as inputs
from delvm_tf.inputs.columns import check_names, names_of
from delvm_tf.storage.ownership import make_folder
from delvm_tf.storage.paths import local_path
from delvm_tf.tensorboard.pictures import write_errors, write_filters
from delvm_tf.tensorboard.projector import refuse_foreign_files, write_projector


class TensorBoard(keras.callbacks.TensorBoard):
    """Scalars of every epoch, and now and then pictures of what the model has learned.

    Scalars are those of `keras.callbacks.TensorBoard`: the loss and its terms, such as the energies
    of data and chains, the norm of the gradient, the reconstruction error, the learning rate; of
    training and validation. Pictures come from `validation`: filters of the first layer, inputs
    beside reconstructions, histograms of the errors with the threshold, ROC and precision-recall
    curves. When training ends, hidden features go to the embedding projector.

    Pictures are drawn when training ends, which takes about a second, and before that at most every
    `every` epochs, as long as all of them, those at the end included, stay within `budget` of the
    time so far.

    Args:
        log_dir: folder of the log.
        validation: x or (x, y) in raw units, with y 1 for abnormal and 0 for normal rows, or −1 and
            +1 as `AnomalyDetector` has them. Of more than `rows` the first ones are used, with
            labels the first ones of both kinds in the proportion that they have. Names of columns
            must be those of the model.
        normal: normal training rows whose errors give the threshold; those of `validation` if None.
        hparams: settings to show on the page of hyperparameters, by name; those that are neither
            numbers, texts nor bools are shown as text.
        every: epochs between pictures.
        budget: share of the time that pictures may take.
        rows: of the validation data at most.
        **kwargs: as for `keras.callbacks.TensorBoard`; no graph is written unless asked for.

    Raises:
        TypeError: if hparams is no dict, or the data are no array of numbers.
        ValueError: for settings out of range, wrong data or labels, or a folder that is an address
            such as `gs://`; from `fit`, before training, for rows of another shape or with other
            names of columns than the model's.
        FileExistsError: from `fit`, before training, if the folder has files of the names that the
            projector's get, and they were not written by this callback.
        OSError: from `fit`, before training, if the folder cannot be written.

    Examples:
        >>> log = dv.TensorBoard("log", validation=(x, np.arange(64) % 2), hparams={"scale": 2.0})
        >>> history = model.fit(x, epochs=2, callbacks=[log])
    """

    def __init__(
        self,
        log_dir: Any,
        validation: Any = None,
        normal: Any = None,
        hparams: dict[str, Any] | None = None,
        every: int = 5,
        budget: float = 0.05,
        rows: int = 2000,
        **kwargs: Any,
    ):
        super().__init__(str(local_path(log_dir, "log_dir")), **{"write_graph": False, **kwargs})
        if every < 1 or rows < 2 or not 0 < budget <= 1:
            raise ValueError(
                f"every must be at least 1, rows at least 2 and budget in (0, 1], got {every!r}, "
                f"{rows!r}, {budget!r}"
            )
        if hparams is not None and not isinstance(hparams, Mapping):
            raise TypeError(f"hparams must be a dict of settings by name, got {hparams!r}")
        x, y = _validation_rows(validation, rows)
        self.x, self.y = x, y
        self.normal = None if normal is None else _chosen(normal, "normal", np.arange(rows))
        self.hparams = hparams
        self.every = every
        self.budget = budget
        self._spent = self._begun = 0.0
        self._cost = 1.0  # seconds that pictures take; a guess until they were drawn once
        self._drawn = -1
        self._epoch = 0

    @property
    def pictures(self) -> str:
        """Folder of the pictures, one run beside training and validation."""
        return str(Path(self.log_dir) / "pictures")

    def on_train_begin(self, logs: Any = None) -> None:
        """Try the folder, and write the hyperparameters."""
        folder = Path(self.log_dir)
        try:
            make_folder(folder)
        except OSError as error:
            raise OSError(f"cannot write a log to {folder}: {error}") from error
        refuse_foreign_files(folder)
        for x in (self.x, self.normal):
            if x is not None:
                self._check_rows(x)
        super().on_train_begin(logs)
        self._spent, self._begun, self._drawn = 0.0, time.perf_counter(), -1
        if self.hparams is not None:
            from tensorboard.plugins.hparams import api

            with tf.summary.create_file_writer(self.pictures).as_default(step=0):
                api.hparams({name: _shown(value) for name, value in self.hparams.items()})

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Scalars of a batch, if they are wanted; Keras prepares them even where no file is."""
        super().on_train_batch_end(batch, None if self.update_freq == "epoch" else logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Scalars, and pictures if it is their turn and the budget allows."""
        super().on_epoch_end(epoch, logs)
        self._epoch = epoch
        due = self._drawn < 0 or epoch - self._drawn >= self.every
        elapsed = time.perf_counter() - self._begun
        # The pictures at the end are part of the budget: keep theirs.
        if due and self._spent + 2 * self._cost <= self.budget * elapsed:
            self._draw(epoch)

    def on_train_end(self, logs: Any = None) -> None:
        """Pictures of the trained model, and its hidden features for the projector."""
        if self._drawn < self._epoch:
            self._draw(self._epoch)
        if self.x is not None:
            hidden = np.asarray(self.model.hidden(self.x))
            labels = np.zeros(len(hidden), int) if self.y is None else self.y
            write_projector(Path(self.log_dir), hidden, labels, inputs.as_array(self.x))
        super().on_train_end(logs)

    def _check_rows(self, x: Any) -> None:
        """What the model would refuse when pictures are drawn, and hours of training are over."""
        owner = type(self.model).__name__
        inputs.check_shape(x.shape, self.model.input_shape_or_none, owner)
        known = self.model.feature_names_in_
        if known is not None:
            check_names(names_of(x), known, owner)

    def _draw(self, epoch: int) -> None:
        started = time.perf_counter()
        with tf.summary.create_file_writer(self.pictures).as_default(step=epoch):
            write_filters(self.model, epoch)
            if self.x is not None:
                figures = write_errors(self.model, self.x, self.y, self.normal, epoch)
                for name, value in figures.items():
                    tf.summary.scalar(name, value, step=epoch)
        self._drawn = epoch
        self._cost = time.perf_counter() - started
        self._spent += self._cost


def _chosen(x: Any, what: str, rows: np.ndarray) -> Any:
    """Some rows of an array, those there are; of a table whose columns have names, a table."""
    if not isinstance(x, list) and not inputs.is_array(x):
        raise TypeError(f"{what} must be an array in memory, got {type(x).__name__}")
    array = np.asarray(inputs.check_array(x, None, what))
    return rows_of(with_names(x, array), rows[rows < len(array)])


def _validation_rows(validation: Any, rows: int) -> tuple[Any, np.ndarray | None]:
    """The rows to show and their labels: the first ones, of both kinds if there are labels."""
    if validation is None:
        return None, None
    if isinstance(validation, tuple | list) and len(validation) not in (1, 2):
        raise ValueError(
            f"validation must be an array x or (x, y), got a {type(validation).__name__} of "
            f"{len(validation)} parts"
        )
    x, y, _ = keras.utils.unpack_x_y_sample_weight(
        tuple(validation) if isinstance(validation, list) else validation
    )
    if y is None:
        return _chosen(x, "validation", np.arange(rows)), None
    every = _chosen(x, "validation", np.arange(len(x)))
    y = inputs.as_values(y, "y")
    y = read_labels(np.reshape(y, -1) if np.ndim(y) > 1 else y, len(every)).abnormal.astype(int)
    if len(np.unique(y)) < 2:
        raise ValueError(
            f"the labels of validation must name normal and abnormal rows, and all {len(y)} are "
            f"the same; leave y out"
        )
    if len(y) <= rows:
        return every, y
    abnormal = min(max(1, round(rows * float(np.mean(y)))), rows - min(2, int(np.sum(y == 0))))
    abnormal = max(1, min(abnormal, rows - 1))
    kept = np.sort(
        np.concatenate(
            [np.flatnonzero(y == 1)[:abnormal], np.flatnonzero(y == 0)[: rows - abnormal]]
        )
    )
    return rows_of(every, kept), y[kept]


def _shown(value: Any) -> Any:
    """A setting as TensorBoard takes it: a number, a text or a bool."""
    if hasattr(value, "item") and np.ndim(value) == 0:
        value = value.item()
    return value if isinstance(value, bool | int | float | str) else str(value)
