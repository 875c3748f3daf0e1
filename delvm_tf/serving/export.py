"""Writing a model or a detector as a SavedModel with named signatures."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from delvm_tf.detection import content
from delvm_tf.distribution.chief import writes_files
from delvm_tf.schema import Schema
from delvm_tf.serving import model_card
from delvm_tf.serving.drawing import check_drawing, drawing_signatures
from delvm_tf.serving.drift import ScoreHistogram
from delvm_tf.serving.model_card import ModelCard
from delvm_tf.serving.signatures import Options, signatures
from delvm_tf.serving.subject import Subject
from delvm_tf.serving.warmup import write_warmup
from delvm_tf.storage.ownership import made_folder
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
    schema: Schema | None = None,
    explain: bool = False,
    drawing_steps: int | None = None,
) -> Path:
    """Write `<base_dir>/<next integer>/`, as TensorFlow Serving expects it.

    The version appears whole or not at all: it is written elsewhere in `base_dir` and renamed.
    Normalisation and threshold are inside; nothing but TensorFlow is needed to run it. Inputs are
    in raw units, float32, under the name `x`, with a free batch dimension.

    Signatures and their outputs:

    - `serving_default`: of a model `features` and `reconstruction_error`; of a detector
      `anomaly_score`, `is_anomaly`, `threshold` and, where it has normal scores of rows not
      trained on, `p_value`
    - `encoded_images`: the same of `image_bytes`, strings of PNG (8 or 16 bits), JPEG, BMP or GIF
      of one frame; of models of images of 1 or 3 channels only
    - `table`: those of `serving_default`, of the columns of a table, one input each (see
      `Schema.inputs`); with a `schema` only
    - `decide`: those of `serving_default`, with decisions by `threshold`, (batch,) float32, an
      input besides x; of detectors only
    - `explain`: `contributions`, shape of x, `baseline`, and of one model `reconstruction`; with
      `explain=True` only
    - `decide_table` and `explain_table`: the same of the columns of a table; contributions and
      expected values are an output each, `contribution_<column>` and `expected_<column>`
    - `columns`: `columns`, the names of the columns of x, (batch, features); of models that know
      them only
    - `schema`: `schema`, what the columns of a table hold, as JSON, (batch,); with a `schema` only
    - `features`: `features`, (batch, features), of models and feature detectors
    - `reconstruction_error`: `reconstruction_error`, (batch,)
    - `reconstruct`: `reconstruction`, shape of x
    - `energy`: `energy`, (batch,), of energy models only
    - `score`: `score`, shape of x, of energy models only
    - `log_density`: `log_density`, (batch,), nats in raw units, of a `DensityDELVM` only
    - `sample`: `samples`, one of each of `seeds`, (batch,) int32, the only input; with
      `drawing_steps` only
    - `denoise`: `denoised`, shape of x, the mean of clean data given x with noise of the level
      `sigma`, (batch,) float32 in normalised units, an input besides x; with `drawing_steps` only
    - `inpaint`: `inpainted`, x where `mask`, boolean of its shape, is True, and elsewhere drawn
      given that by `seeds`, (batch,) int32; with `drawing_steps` only, and not for `"zca"`

    A request without rows, with more than `max_batch_size`, with NaN or infinite values, or with
    images of another size or number of channels gets an error that says so. A finite row whose
    score overflows, to NaN or an infinity, has the anomaly score +∞ and is abnormal, as in the
    detector. Beside the graph lie a `model_card.json`
    (what the model is, its inputs and outputs, threshold, histogram of the training scores, what
    `about` says, versions, checksums) and requests that warm the server up.

    Args:
        model_or_detector: an energy model or autoencoder that is built, or a fitted
            `AnomalyDetector` of a model, of a `Criterion` such as `ModelEnsemble`, or of one of
            scikit-learn's detectors that `anomaly_function` knows.
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
        schema: of the tables whose numbers, `schema.encode(table)`, were the training data; that of
            a detector which was fitted on a table is known.
        explain: serve how much each value contributes to the score of a detector.
        drawing_steps: serve what a model with noise levels draws, in so many steps, which are in
            the graph; not compiled by XLA. A row depends on its own seed alone.

    Returns:
        The folder of the new version. Of several workers only the chief writes, and the others
        get `base_dir`.

    Raises:
        TypeError: if there is nothing to export, a detector scores in Python alone or cannot be
            explained, a model without noise levels is to draw, or `about` is not JSON.
        ValueError: if the model has no weights yet or is not adapted, the detector not fitted, or
            an option is out of range; if the folder is an address such as `gs://`, or has `[` or a
            backslash in its path, with which TensorFlow could not load the model.
        OSError: if the folder cannot be written, or a detector is saved in it, which could not be
            replaced any more.

    Examples:
        >>> detector = dv.AnomalyDetector(model).fit(x)
        >>> dv.export_saved_model(detector, "served", about={"data": "random"}, warmup=())
        PosixPath('served/1')
        >>> served = dv.serving.load("served").predict(x)
        >>> bool(np.all(served["is_anomaly"] == detector.is_anomaly(x)))
        True
    """
    base = local_path(base_dir, "base_dir")
    check_checkpoint_path(base)
    if (base / content.RECORD).is_file():
        raise FileExistsError(
            f"cannot export to {base}: a detector is saved there; choose another folder"
        )
    subject = Subject.of(model_or_detector).with_schema(schema)
    if max_batch_size < 1 or not all(0 < rows <= max_batch_size for rows in warmup):
        raise ValueError(
            f"max_batch_size must be positive, and the batches of warmup no larger, got "
            f"{max_batch_size!r} and {warmup!r}"
        )
    try:
        about = json.loads(json.dumps(about or {}, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"about must be what JSON can hold: {error}") from error
    if explain and subject.detector is None:
        raise ValueError("explain needs a detector: dv.AnomalyDetector(model).fit(x_normal)")
    check_drawing(subject, drawing_steps)
    options = Options(
        max_batch_size, jit_compile, explain, subject.schema, subject.white(white), drawing_steps
    )
    if not writes_files(subject.strategy):
        subject.histogram(reference)  # a share of it, for all replicas compute it
        return base
    with made_folder(base):  # before any scores are computed
        return _written(subject, options, base, subject.histogram(reference), about, warmup)


def _written(
    subject: Subject, options: Options, base: Path, histogram: ScoreHistogram | None,
    about: dict[str, Any], warmup: tuple[int, ...],
) -> Path:  # fmt: skip
    """Write the next version."""
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=base))  # only this call writes there
    try:
        served, threshold = signatures(subject, options)
        served |= drawing_signatures(subject, options.drawing_steps, options.max_batch_size)
        # Only what the graphs read: a model would bring its optimizer, chains and metrics along.
        module = tf.Module(name="delvm_tf")
        module.constants = [v for v in _variables(served) if v is not threshold]
        if threshold is not None and subject.detector is not None:
            module.threshold = threshold
            reference = subject.detector.decision_.reference
            if reference is not None:  # nothing reads them but `set_threshold`
                module.normal_scores = tf.Variable(reference, False)
        folder = partial / "model"
        tf.saved_model.save(module, str(folder), signatures=served)
        if warmup:
            write_warmup(folder, subject, [*served], options, warmup)
        _card(subject, options, served, histogram, about, folder).write(folder)
        return publish(folder, base)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _variables(served: dict[str, Any]) -> list[tf.Variable]:
    """The variables that the graphs read, each once."""
    graphs = [_concrete(function) for function in served.values()]
    return [*{id(v): v for graph in graphs for v in graph.variables}.values()]


def _concrete(function: Any) -> Any:
    traced = hasattr(function, "structured_outputs")
    return function if traced else function.get_concrete_function()


def _card(
    subject: Subject, options: Options, served: dict[str, Any],
    histogram: ScoreHistogram | None, about: dict[str, Any], folder: Path,
) -> ModelCard:  # fmt: skip
    def outputs(function: Any) -> dict[str, Any]:
        structured = _concrete(function).structured_outputs
        return {
            n: {"dtype": t.dtype.name, "shape": t.shape.as_list()} for n, t in structured.items()
        }

    return ModelCard(
        model=model_card.describe(subject.model or subject.detector),
        input={
            "name": "x", "dtype": "float32", "shape": [None, *subject.shape],
            "columns": subject.columns, "units": "raw", "max_batch_size": options.max_batch_size,
            "schema": None if options.schema is None else options.schema.to_json(),
        },
        signatures={name: outputs(function) for name, function in served.items()},
        threshold=model_card.rule(subject.detector),
        scores=histogram,
        criterion=subject.criterion,
        about=about,
        versions=model_card.versions(),
        created=model_card.now(),
        white=options.white,
        checksums=model_card.checksums(folder),
    )  # fmt: skip


def publish(written: Path, base: Path) -> Path:
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
