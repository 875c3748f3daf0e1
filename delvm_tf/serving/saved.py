"""Loading a served model in Python, checked before a byte of it is believed."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.inputs.columns import check_names, names_of
from delvm_tf.serving.checks import (
    by_threshold,
    checked_count,
    checked_images,
    checked_rows,
    checked_threshold,
    with_text,
)
from delvm_tf.serving.drawing import DRAWING, drawing_inputs, refuse_given
from delvm_tf.serving.effects import refuse_effects
from delvm_tf.serving.model_card import ModelCard
from delvm_tf.serving.signatures import (
    DECIDE,
    DECIDE_TABLE,
    DEFAULT,
    ENCODED,
    IMAGE_BYTES,
    OF_TABLES,
    TABLE,
)
from delvm_tf.storage.ownership import DamagedModelError
from delvm_tf.storage.paths import check_checkpoint_path, local_path


class ServedModel:
    """A SavedModel of `export_saved_model`, with its card and without the code that made it.

    `dv.serving.load` makes it, of the newest version of a folder or of another.

    Args:
        folder: of one version.

    Attributes:
        card: the `ModelCard`.
        folder: of the version.

    Raises:
        FileNotFoundError: if there is no such folder, or it has no card.
        DamagedModelError: if files are missing, altered, or do what a model must not.

    Examples:
        >>> served = dv.serving.ServedModel(dv.export_saved_model(model, "served", warmup=()))
        >>> served.predict(x, "reconstruct")["reconstruction"].shape
        (64, 6)
    """

    def __init__(self, folder: Path):
        folder = local_path(folder, "the folder of the model")
        check_checkpoint_path(folder)
        self.folder = folder
        self.card = ModelCard.read(folder)
        refuse_effects(folder)
        try:
            self._signatures = tf.saved_model.load(str(folder)).signatures
        except Exception as error:  # TensorFlow raises a dozen kinds
            raise DamagedModelError(f"{folder} cannot be loaded: {error}") from error
        if missing := {*self.card.signatures} - {*self._signatures}:
            raise DamagedModelError(f"{folder} lacks the signatures {', '.join(sorted(missing))}")

    def predict(
        self, x: Any, signature: str = DEFAULT, batch_size: int = 512,
        threshold: float | None = None, **given: Any,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """All outputs of a signature by name, the first axis being that of x.

        Args:
            x: (n, ...) in raw units; for `encoded_images` a list of bytes; for `table` and
                `explain_table` a table, whose columns are matched by name. Elsewhere a data frame
                must have the columns of the training data in their order, `x[list(card.columns)]`.
                For `sample` the seeds, (n,) integers.
            signature: its name.
            batch_size: rows computed at a time, no more than the card allows.
            threshold: decides instead of the detector's own; `is_anomaly` and `threshold` follow.
            **given: what a signature takes besides x: `denoise` `sigma`, a number or one of each
                row, and `inpaint` `mask`, of x or one row, and `seeds`.

        Raises:
            TypeError: if x does not hold real numbers, or bytes, or for what is not taken.
            ValueError: for an unknown signature, a wrong shape, other names of columns, no rows,
                NaN and infinity, or images that cannot be decoded or are of another size; for a
                threshold that is not finite, or with a signature without decisions.
        """
        if signature not in self.card.signatures:
            raise ValueError(
                f"unknown signature {signature!r}; the model has "
                f"{', '.join(sorted(self.card.signatures))}"
            )
        if signature in (DECIDE, DECIDE_TABLE):
            raise ValueError(
                f"{signature} is for those who ask without this library; "
                f"pass threshold= with {DEFAULT} or {TABLE}"
            )
        if threshold is not None:
            checked_threshold(threshold, self.card.signatures[signature], signature)
        function = self._signatures[signature]
        inputs = self._inputs(x, signature, given)
        count = checked_count(inputs)
        step = max(1, min(batch_size, self.card.max_batch_size))
        parts = []
        for start in range(0, count, step):
            batch = {name: tf.constant(rows[start : start + step]) for name, rows in inputs.items()}
            try:
                outputs = function(**batch)
            except tf.errors.InvalidArgumentError as error:
                raise ValueError(
                    f"the model refuses rows {start} to {min(start + step, count) - 1}: "
                    f"{error.message}"
                ) from error
            parts.append({key: value.numpy() for key, value in outputs.items()})
        outputs = {k: with_text(np.concatenate([part[k] for part in parts])) for k in parts[0]}
        return outputs if threshold is None else by_threshold(outputs, threshold)

    def _inputs(self, x: Any, signature: str, given: dict[str, Any]) -> dict[str, Any]:
        """The checked inputs of a signature by name."""
        if signature in DRAWING:
            return drawing_inputs(x, signature, self.card.shape, given)
        refuse_given(signature, given)
        if signature == ENCODED:
            return {IMAGE_BYTES: checked_images(x)}
        if signature in OF_TABLES and (schema := self.card.schema) is not None:
            return dict(zip(schema.inputs, schema.cells(x).values(), strict=True))
        check_names(names_of(x), self.card.columns, "the model")
        return {"x": checked_rows(x, self.card.shape)}


def load(folder: str | os.PathLike[str], version: int | None = None) -> ServedModel:
    """The served model of a folder: of a version, or of the newest version in it.

    Checksums prove the files whole, and the graph may hold no operation that reads or writes
    files, runs Python, or reaches the network. No code comes with a SavedModel, and none is run.

    Args:
        folder: what `export_saved_model` was given, or what it returned.
        version: which one to take; the newest if None.

    Raises:
        FileNotFoundError: if there is no such folder or version, or it has no card.
        DamagedModelError: if files are missing, altered, or do what a model must not.
        ValueError: if the folder is an address such as `gs://`, or TensorFlow cannot load from such
            a path.

    Examples:
        >>> folder = dv.export_saved_model(model, "served", warmup=())
        >>> served = dv.serving.load("served")
        >>> served.predict(x)["reconstruction_error"].shape
        (64,)
    """
    return ServedModel(folder_of(folder, version))


def folder_of(folder: str | os.PathLike[str], version: int | None = None) -> Path:
    """The folder of a version; see `load`."""
    base = local_path(folder, "the folder of the model")
    if not base.is_dir():
        raise FileNotFoundError(f"{base} is no folder; give one that export_saved_model wrote")
    versions = {int(p.name): p for p in base.iterdir() if p.name.isdecimal() and p.is_dir()}
    if version is None:
        return versions[max(versions)] if versions else base
    if version not in versions:
        found = ", ".join(map(str, sorted(versions))) or "none"
        raise FileNotFoundError(f"{base} has no version {version!r}; it has {found}")
    return versions[version]
