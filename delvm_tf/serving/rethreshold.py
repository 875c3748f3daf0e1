"""Another threshold for an exported detector, as a new version of it, without model or training."""

import dataclasses
import math
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from delvm_tf.serving.checks import checked_threshold
from delvm_tf.serving.effects import refuse_effects
from delvm_tf.serving.export import publish
from delvm_tf.serving.model_card import FILE, ModelCard, checksums, now
from delvm_tf.serving.saved import folder_of
from delvm_tf.serving.subject import DEFAULT

# Variables of the module that `export_saved_model` saves, by their names in its checkpoint.
THRESHOLD = "threshold/.ATTRIBUTES/VARIABLE_VALUE"
REFERENCE = "normal_scores/.ATTRIBUTES/VARIABLE_VALUE"


def set_threshold(
    folder: str | os.PathLike[str],
    value: float | None = None,
    contamination: float | None = None,
    version: int | None = None,
) -> Path:
    """Write the next version of an exported detector, which differs in its threshold alone.

    The graph stays as it is, byte for byte; the threshold is a variable of it. The new version
    appears whole or not at all, with a card and checksums of its own, as those of
    `export_saved_model` do.

    Args:
        folder: what `export_saved_model` was given, or what it returned.
        value: the threshold, in units of the anomaly score.
        contamination: or a false-alarm rate, as that of `AnomalyDetector`: new normal rows exceed
            the threshold with a probability of at most this. For detectors with p-values.
        version: which one to take; the newest if None.

    Returns:
        The folder of the new version.

    Raises:
        FileNotFoundError: if there is no such folder or version.
        DamagedModelError: if it is not whole.
        ValueError: without a value or rate, or with both; for a value that is not finite, for a
            rate that is not between 0 and 1 or takes more normal scores than there are; for a model
            that is no detector, or has no p-values.
        OSError: if the version cannot be written.

    Examples:
        >>> detector = dv.AnomalyDetector(model).fit(x)
        >>> folder = dv.export_saved_model(detector, "served", warmup=())
        >>> dv.serving.set_threshold("served", contamination=0.1)
        PosixPath('served/2')
    """
    if (value is None) == (contamination is None):
        raise ValueError("give a threshold, or contamination=, the rate of false alarms")
    source = folder_of(folder, version)
    card = ModelCard.read(source)
    refuse_effects(source)
    if card.threshold is None:
        raise ValueError(f"{source} has no threshold: it is a model, and no detector")
    checkpoint = tf.train.load_checkpoint(str(source / "variables" / "variables"))
    names = sorted(checkpoint.get_variable_to_shape_map())
    if THRESHOLD not in names:
        raise ValueError(f"the threshold of {source} is a constant; export the detector again")
    tensors = {name: checkpoint.get_tensor(name) for name in names}
    if contamination is not None:
        value = _of_rate(tensors.get(REFERENCE), contamination)
    assert value is not None
    number = checked_threshold(value, card.signatures[DEFAULT], DEFAULT)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=source.parent))
    try:
        # The card and the fingerprint are of the old threshold.
        written = partial / "model"
        shutil.copytree(source, written, ignore=shutil.ignore_patterns(FILE, "fingerprint.pb"))
        tf.raw_ops.SaveV2(
            prefix=str(written / "variables" / "variables"), tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(v) for v in {**tensors, THRESHOLD: number}.values()],
        )  # fmt: skip
        rule = "set by hand" if contamination is None else "contamination"
        dataclasses.replace(
            card, threshold={**card.threshold, "value": float(number), "rule": rule},
            created=now(), checksums=checksums(written),
        ).write(written)  # fmt: skip
        return publish(written, source.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _of_rate(reference: np.ndarray | None, rate: float) -> float:
    """The score that a new normal row exceeds at most at a rate; see `conformal.score_of_rate`."""
    if reference is None:
        raise ValueError(
            "contamination= needs scores of normal rows that the model was not trained on, and "
            "this detector has none; give a threshold"
        )
    if not 0 < rate < 1:
        raise ValueError(f"contamination must lie between 0 and 1, got {rate!r}")
    above = math.floor((len(reference) + 1) * rate + 1e-9)
    if above < 1:
        raise ValueError(
            f"a rate of {rate:g} takes {math.ceil(1 / rate - 1e-9) - 1} normal scores, and the "
            f"detector has {len(reference)}; give a greater rate, or a threshold"
        )
    return float(reference[len(reference) - above])
