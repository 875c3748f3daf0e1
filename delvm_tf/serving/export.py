"""Writing a model or a detector as a SavedModel with named signatures."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from delvm_tf.detection.detector import AnomalyDetector
from delvm_tf.distribution.chief import writes_files
from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.serving import model_card
from delvm_tf.serving.drift import ScoreHistogram
from delvm_tf.serving.model_card import ModelCard
from delvm_tf.serving.signatures import Options, signatures, white_of
from delvm_tf.serving.warmup import write_warmup
from delvm_tf.storage.ownership import make_folder
from delvm_tf.storage.paths import check_checkpoint_path, local_path


def export_saved_model(
    model_or_detector: Any,
    base_dir: str | os.PathLike[str],
    about: dict[str, Any] | None = None,
    reference: Any = None,
    max_batch_size: int = 4096,
    white: float | None = None,
    jit_compile: bool = False,
    warmup: tuple[int, ...] = (1, 32),
) -> Path:
    """Write `<base_dir>/<next integer>/`, as TensorFlow Serving expects it.

    The version appears whole or not at all: it is written elsewhere in `base_dir` and renamed.
    Normalisation and threshold are inside; nothing but TensorFlow is needed to run it. Inputs are
    in raw units, float32, under the name `x`, with a free batch dimension.

    | signature              | outputs                                                       |
    |------------------------|---------------------------------------------------------------|
    | `serving_default`      | `features`, `reconstruction_error`, and for a detector        |
    |                        | `anomaly_score`, `is_anomaly` and `threshold`                 |
    | `encoded_images`       | the same of `image_bytes`, strings of PNG (8 or 16 bits),     |
    |                        | JPEG, BMP or GIF of one frame; of models of images of 1 or 3  |
    |                        | channels only                                                 |
    | `columns`              | `columns`, the names of the columns of x, (batch, features);  |
    |                        | of models that know them only                                 |
    | `features`             | `features`, (batch, features)                                 |
    | `reconstruction_error` | `reconstruction_error`, (batch,)                              |
    | `reconstruct`          | `reconstruction`, shape of x                                  |
    | `energy`               | `energy`, (batch,), of energy models only                     |
    | `score`                | `score`, shape of x, of energy models only                    |

    A request without rows, with more than `max_batch_size`, with NaN or infinite values, or with
    images of another size or number of channels gets an error that says so. A finite row whose
    score overflows, to NaN or an infinity, has the anomaly score +∞ and is abnormal, as in the
    detector. Beside the graph lie a `model_card.json`
    (what the model is, its inputs and outputs, threshold, histogram of the training scores, what
    `about` says, versions, checksums) and requests that warm the server up.

    Args:
        model_or_detector: an energy model or autoencoder that is built, or a fitted
            `AnomalyDetector` of one.
        base_dir: folder of all versions, on this machine; made if it does not exist. What is in it
            stays.
        about: what the card should say besides, such as data and metrics; must be JSON.
        reference: normal training rows in raw units whose scores the card keeps as a histogram,
            to find drift later. A detector has those of its own `fit`.
        max_batch_size: rows of a request at most.
        white: value of a white pixel in raw units. By default 1 or 255, or 65535 for images of 16
            bits: the first that no pixel's mean over the training data (its maximum for
            `"minmax"`) exceeds. Images of files are scaled by it.
        jit_compile: let XLA compile the graph at the first request of each batch size.
        warmup: rows of the requests that warm up the server; none for `()`.

    Returns:
        The folder of the new version. Of several workers only the chief writes, and the others
        get `base_dir`.

    Raises:
        TypeError: if there is no model of this library to export, or `about` is not JSON.
        ValueError: if the model has no weights yet or is not adapted, the detector not fitted, or
            an option is out of range; if the folder is an address such as `gs://`, or has `[` or a
            backslash in its path, with which TensorFlow could not load the model.
        OSError: if the folder cannot be written.
    """
    base = local_path(base_dir, "base_dir")
    check_checkpoint_path(base)
    model, detector = check_exportable(model_or_detector)
    if max_batch_size < 1 or not all(0 < rows <= max_batch_size for rows in warmup):
        raise ValueError(
            f"max_batch_size must be positive, and the batches of warmup no larger, got "
            f"{max_batch_size!r} and {warmup!r}"
        )
    try:
        about = json.loads(json.dumps(about or {}, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"about must be what JSON can hold: {error}") from error
    options = Options(max_batch_size, jit_compile, white_of(model, white))
    writes = writes_files(model.distribute_strategy)
    if writes:
        make_folder(base)  # before any scores are computed
    histogram = _histogram(model, detector, reference)
    if not writes:
        return base
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=base))  # none but this call's
    try:
        # What the layers read, weights and seeds: a module that held the model would save its
        # optimizer, chains and metrics too.
        module = tf.Module(name="delvm_tf")
        of_training = {id(variable) for variable in model.objective.variables}
        read = [variable for variable in model.variables if id(variable) not in of_training]
        module.weights = [variable.value for variable in read]
        served = signatures(model, detector, options, columns_of(model, detector))
        folder = partial / "model"
        tf.saved_model.save(module, str(folder), signatures=served)
        if warmup:
            write_warmup(folder, model, [*served], options.white, warmup)
        _card(model, detector, options, served, histogram, about, folder).write(folder)
        return _publish(folder, base)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_exportable(model_or_detector: Any) -> tuple[Any, Any]:
    """The model, and the detector or None, once both are ready; see `export_saved_model`."""
    detector = model_or_detector if isinstance(model_or_detector, AnomalyDetector) else None
    fitted = detector is None or hasattr(detector, "threshold_")
    model = model_or_detector
    if detector is not None:
        model = detector.model_ if fitted else detector.model
    if not isinstance(model, ReconstructionModel):
        raise TypeError(
            f"expected a ReconstructionModel (an energy model or autoencoder) or a detector of "
            f"one, got {type(model).__name__}"
        )
    if not fitted:
        raise ValueError("the detector has no threshold yet: call detector.fit(x_normal) first")
    if not model.built or not model.normalization.adapted:
        raise ValueError("the model is not ready: call model.adapt(x), and fit, before exporting")
    return model, detector


def columns_of(model: Any, detector: Any = None) -> list[str] | None:
    """Names of the columns that a detector or model was fitted on, or None if it knows none."""
    for owner in (detector, model):
        names = getattr(owner, "feature_names_in_", None)
        if names is not None:
            return [str(name) for name in names]
    return None


def _histogram(model: Any, detector: Any, reference: Any) -> ScoreHistogram | None:
    if reference is not None:
        name = "reconstruction_error" if detector is None else detector.criterion_
        return ScoreHistogram.of(getattr(model, name)(reference))
    kept = None if detector is None else getattr(detector, "normal_scores_", None)
    return None if kept is None or len(kept) < 2 else ScoreHistogram.of(kept)


def _card(
    model: Any, detector: Any, options: Options, served: dict[str, Any],
    histogram: ScoreHistogram | None, about: dict[str, Any], folder: Path,
) -> ModelCard:  # fmt: skip
    def outputs(function: Any) -> dict[str, Any]:
        structured = function.get_concrete_function().structured_outputs
        return {
            n: {"dtype": t.dtype.name, "shape": t.shape.as_list()} for n, t in structured.items()
        }

    return ModelCard(
        model=model_card.describe(model),
        input={
            "name": "x", "dtype": "float32", "shape": [None, *model.normalization.shift.shape],
            "columns": columns_of(model, detector), "units": "raw",
            "max_batch_size": options.max_batch_size,
        },
        signatures={name: outputs(function) for name, function in served.items()},
        threshold=model_card.rule(detector),
        scores=histogram,
        criterion="reconstruction_error" if detector is None else detector.criterion_,
        about=about,
        versions=model_card.versions(),
        created=model_card.now(),
        white=options.white,
        checksums=model_card.checksums(folder),
    )  # fmt: skip


def _publish(written: Path, base: Path) -> Path:
    """Rename the finished model to the next version, also when others publish meanwhile."""
    while True:
        versions = [int(p.name) for p in base.iterdir() if p.name.isdecimal()]
        target = base / str(max(versions, default=0) + 1)
        try:
            written.rename(target)
        except OSError:
            if not target.exists():
                raise
        else:
            return target
