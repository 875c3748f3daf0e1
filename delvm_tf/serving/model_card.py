"""What a served model is, beside its graph: `model_card.json`."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.schema import Schema
from delvm_tf.serving.drift import ScoreHistogram
from delvm_tf.storage.ownership import DamagedModelError

FILE = "model_card.json"
FORMAT = 3


@dataclass(frozen=True)
class ModelCard:
    """Everything that is known of a served model without running it.

    Attributes:
        model: class, objective, normalisation, layers and number of parameters.
        input: name, dtype, shape and names of the columns of the input, and the most rows of a
            request.
        signatures: names, dtypes and shapes of the outputs, by signature.
        threshold: value, rule and criterion of a detector, or None.
        scores: histogram of the training scores, or None.
        criterion: the method of the model that gave them.
        about: what the one who exported it said, such as data and metrics.
        versions: of the software that wrote it.
        created: time of export, UTC.
        white: value of a white pixel in raw units, of models of images.
        checksums: SHA-256 of each file, by its path in the folder.

    Examples:
        >>> folder = dv.export_saved_model(model, "served", about={"data": "random"}, warmup=())
        >>> card = dv.serving.ModelCard.read(folder)
        >>> card.shape, card.max_batch_size, card.about
        ((6,), 4096, {'data': 'random'})
        >>> sorted(card.signatures)
        ['energy', 'features', 'reconstruct', 'reconstruction_error', 'score', 'serving_default']
    """

    model: dict[str, Any]
    input: dict[str, Any]
    signatures: dict[str, Any]
    threshold: dict[str, Any] | None
    scores: ScoreHistogram | None
    criterion: str
    about: dict[str, Any]
    versions: dict[str, str]
    created: str
    white: float | None
    checksums: dict[str, str]
    format: int = FORMAT

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.input["shape"][1:])

    @property
    def max_batch_size(self) -> int:
        """The most rows of a request."""
        return int(self.input["max_batch_size"])

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the columns of x, in their order; None if the training data had none."""
        names = self.input.get("columns")
        return None if names is None else tuple(names)

    @property
    def schema(self) -> Schema | None:
        """The columns of the tables that the signature `table` takes."""
        value = self.input.get("schema")
        return None if value is None else Schema.from_json(value)

    def write(self, folder: Path) -> None:
        """Write the card into a folder."""
        content = asdict(self)
        content["checksums"] = {**self.checksums, FILE: _digest_of_card(content)}
        (folder / FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The card of a folder, once it and all files have proved to be whole.

        Raises:
            FileNotFoundError: if there is no card.
            DamagedModelError: what is missing or altered.
        """
        try:
            content = json.loads((folder / FILE).read_text())
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{folder} has no {FILE}: it was not written by export_saved_model, or in part "
                f"only; export the model again"
            ) from None
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise DamagedModelError(f"{folder / FILE} cannot be read: {error}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            found = content.get("format") if isinstance(content, dict) else type(content).__name__
            raise DamagedModelError(
                f"{folder / FILE} has format {found}, and this version reads {FORMAT}"
            )
        try:
            checksums = dict(content["checksums"])
            own = checksums.pop(FILE)
            if own != _digest_of_card({**content, "checksums": checksums}):
                raise DamagedModelError(f"{folder / FILE} is altered; export the model again")
            scores = content["scores"]
            histogram = None if scores is None else ScoreHistogram.from_json(scores)
            card = cls(**{**content, "checksums": checksums, "scores": histogram})
            card._check_columns()
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DamagedModelError):
                raise
            raise DamagedModelError(f"{folder / FILE} is no model card: {error}") from error
        card._verify(folder)
        return card

    def _check_columns(self) -> None:
        if self.schema is not None and self.shape != (len(self.schema.outputs),):
            raise ValueError(f"input.schema must make the {self.shape} values of a row")
        names = self.input.get("columns")
        if names is None:
            return
        texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not texts or len(set(names)) < len(names) or self.shape != (len(names),):
            raise ValueError(f"input.columns must name the {self.shape} values of a row")

    def _verify(self, folder: Path) -> None:
        found = checksums(folder)
        for name, digest in self.checksums.items():
            if name not in found:
                raise DamagedModelError(f"{folder / name} is missing; copy or export it again")
            if found[name] != digest:
                raise DamagedModelError(f"{folder / name} is altered; copy or export it again")
        if "saved_model.pb" not in self.checksums:
            raise DamagedModelError(f"{folder / FILE} names no saved_model.pb")
        if strange := sorted({*found} - {*self.checksums}):
            raise DamagedModelError(
                f"{folder} has files that its card does not name: {', '.join(strange[:5])}"
            )


def describe(subject: Any) -> dict[str, Any]:
    """What a model or detector is, as JSON; of a detector with all that it is made of."""
    if not isinstance(subject, ReconstructionModel):
        return _estimator(subject)
    network = getattr(subject, "network", None)
    return {
        "class": type(subject).__name__,
        "objective": _plain(keras.saving.serialize_keras_object(subject.objective)),
        "normalization": {
            "mode": subject.normalization.mode, "scale": subject.normalization.scale
        },
        "layers": [
            {"class": type(layer).__name__, "output": _output_shape(layer)}
            for layer in getattr(network, "layers", ())
        ],
        "parameters": int(sum(np.prod(w.shape) for w in subject.trainable_weights)),
        "dtype": subject.dtype_policy.name,
    }  # fmt: skip


def _estimator(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_estimator(each) for each in value]
    if isinstance(value, ReconstructionModel):
        return describe(value)
    if hasattr(value, "get_params") and not isinstance(value, type):
        settings = value.get_params(deep=False)
        return {"class": type(value).__name__, **{k: _estimator(v) for k, v in settings.items()}}
    if callable(value):
        owner = getattr(value, "__self__", None)
        of = f"{type(owner).__name__}." if owner is not None else ""
        return of + getattr(value, "__name__", type(value).__name__)
    return _plain(value)


def rule(detector: Any) -> dict[str, Any] | None:
    """A detector's threshold as it is served, as JSON; None without a detector."""
    if detector is None:
        return None
    return {
        "value": float(np.float32(detector.threshold_)),
        "rule": detector.threshold_rule_,
        "criterion": detector.criterion_,
    }


def versions() -> dict[str, str]:
    """Versions of the software that defines what a model computes."""
    import delvm_tf

    return {
        "delvm_tf": delvm_tf.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }


def now() -> str:
    """Time of export."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of all files of a folder but the card, by their paths in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / FILE:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = digest
    return found


def _output_shape(layer: Any) -> Any:
    """Shape of a layer's output, or None: a layer within a subclassed model knows none."""
    return _plain(getattr(getattr(layer, "output", None), "shape", None))


def _digest_of_card(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """A configuration without what JSON does not know."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items() if k != "module"}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
