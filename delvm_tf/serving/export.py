"""Writing a model or a detector as a SavedModel with named signatures."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from delvm_tf.distribution.chief import writes_files
from delvm_tf.models.energy_model import EnergyModel
from delvm_tf.models.reconstruction_model import ReconstructionModel


def export_saved_model(model_or_detector: Any, base_dir: str | os.PathLike[str]) -> Path:
    """Write `<base_dir>/<next integer>/`, as TensorFlow Serving expects it.

    The version appears whole or not at all: it is written elsewhere in `base_dir` and renamed.
    Normalisation and threshold are inside; nothing but TensorFlow is needed to run it. Inputs are
    in raw units, float32, under the name `x`, with a free batch dimension.

    | signature              | outputs                                                       |
    |------------------------|---------------------------------------------------------------|
    | `serving_default`      | `features`, `reconstruction_error`, and for a detector        |
    |                        | `anomaly_score`, `is_anomaly` and `threshold`                 |
    | `features`             | `features`, (batch, features)                                 |
    | `reconstruction_error` | `reconstruction_error`, (batch,)                              |
    | `reconstruct`          | `reconstruction`, shape of x                                  |
    | `energy`               | `energy`, (batch,), of energy models only                     |
    | `score`                | `score`, shape of x, of energy models only                    |

    Args:
        model_or_detector: an energy model or autoencoder that is built, or a fitted
            `AnomalyDetector` of one.
        base_dir: folder of all versions; made if it does not exist.

    Returns:
        The folder of the new version. Of several workers only the chief writes, and the others
        get `base_dir`.

    Raises:
        TypeError: if there is no model of this library to export.
        ValueError: if the model has no weights yet or is not adapted, or the detector not fitted.
        OSError: if the folder cannot be written.
    """
    model = getattr(model_or_detector, "model", model_or_detector)
    detector = None if model is model_or_detector else model_or_detector
    if not isinstance(model, ReconstructionModel):
        raise TypeError(
            f"expected a ReconstructionModel (an energy model or autoencoder) or a detector of "
            f"one, got {type(model).__name__}"
        )
    if not model.built or not model.normalization.adapted:
        raise ValueError("the model is not ready: call model.adapt(x), and fit, before exporting")
    if detector is not None and not hasattr(detector, "threshold_"):
        raise ValueError("the detector has no threshold yet: call detector.fit(x_normal) first")

    base = Path(base_dir)
    if not writes_files(model.distribute_strategy):
        return base
    try:
        base.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=base))
    except OSError as error:
        raise OSError(
            f"cannot write a SavedModel to {base}: {error}. Choose a folder you may write to."
        ) from error
    try:
        # The weights alone: a module that held the model would save its optimizer and metrics too.
        module = tf.Module(name="delvm_tf")
        module.weights = [weight.value for weight in model.weights]
        signatures = _signatures(model, detector)
        tf.saved_model.save(module, str(partial / "model"), signatures=signatures)
        return _publish(partial / "model", base)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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


def _signatures(model: Any, detector: Any) -> dict[str, Any]:
    """The functions to serve, by name."""

    def default(x: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = {
            "features": model.features(x),
            "reconstruction_error": model.reconstruction_error(x),
        }
        if detector is not None:
            score = tf.cast(getattr(model, detector.score_name)(x), tf.float32)
            threshold = tf.constant(detector.threshold_, tf.float32)
            outputs["anomaly_score"] = score
            outputs["is_anomaly"] = score > threshold
            outputs["threshold"] = tf.fill(tf.shape(score), threshold)
        return outputs

    functions = {
        "serving_default": default,
        "features": lambda x: {"features": model.features(x)},
        "reconstruction_error": lambda x: {"reconstruction_error": model.reconstruction_error(x)},
        "reconstruct": lambda x: {"reconstruction": model.reconstruct(x)},
    }
    if isinstance(model, EnergyModel):
        functions["energy"] = lambda x: {"energy": model.energy(x)}
        functions["score"] = lambda x: {"score": model.score(x)}
    shape = (None, *model.normalization.shift.shape)
    x = tf.TensorSpec(shape, tf.float32, name="x")
    return {
        name: tf.function(function, input_signature=[x], autograph=False)
        for name, function in functions.items()
    }
