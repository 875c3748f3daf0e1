"""A detector as the contents of a few files, and back, without pickles.

`detector.json` says what it is made of, `arrays.npz` holds its numbers, and `model-0.keras` and so
on its Keras models. Nothing in them names code: classes are those of the registry.
"""

import dataclasses
import hashlib
import io
import json
import math
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from delvm_tf.catalog.recipe import Detection, Recipe
from delvm_tf.detection.registry import SAVABLE, name_of, register
from delvm_tf.features.encoders import NamedEncoder
from delvm_tf.features.layered import LayeredPatchFeatures
from delvm_tf.features.patch_features import PatchFeatures
from delvm_tf.features.pooling import Parts, Windows
from delvm_tf.features.whitening import PatchWhitening
from delvm_tf.schema import Category, Number, Schema
from delvm_tf.storage.ownership import DamagedModelError
from delvm_tf.training.custom_objects import REGISTER, lambdas_in, loading_error, warn_of_unknown
from delvm_tf.training.objective_training import ObjectiveTraining

RECORD, ARRAYS, FORMAT = "detector.json", "arrays.npz", 1
_OWN = re.compile(r"detector\.json|arrays\.npz|model-\d+\.keras")
METHODS = ("features", "reconstruct", "reconstruction_error", "energy", "score")

register("size", "whiten", "encode", "pooling", "power", "mirrored", "images_at_once")(
    PatchFeatures
)
register("layers", "between", "power", "mirrored", "images_at_once")(LayeredPatchFeatures)
register("parts")(Parts)
register("size", "stride")(Windows)
register("name", "filters", "threshold")(NamedEncoder)
register("columns", "most_missing")(Schema)
register("name", "fill", "indicator", "date", "unit")(Number)
register("name", "values", "indicator")(Category)
register(*(field.name for field in dataclasses.fields(Recipe)))(Recipe)
register(*(field.name for field in dataclasses.fields(Detection)))(Detection)
for _class in (PatchWhitening, PCA, Pipeline, StandardScaler):
    register()(_class)


class NotSavableError(TypeError):
    """A detector is made of what cannot be written down."""


def is_own(name: str) -> bool:
    """Whether a file of this name is the detector's own, and not something beside it."""
    return _OWN.fullmatch(name) is not None


def files_of(detector: Any, beside: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """The contents of all files, by name.

    Args:
        detector: what to write down.
        beside: digests of other files that are to lie in the same folder, by their paths in it.

    Raises:
        NotSavableError: for parts that are neither models nor of a registered class, and for models
            that hold a lambda.
    """
    import sklearn

    import delvm_tf

    writer = _Writer()
    tree = writer.encoded(detector)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **writer.arrays)
    files = {ARRAYS: buffer.getvalue(), **writer.models}
    record = {
        "format": FORMAT,
        "detector": tree,
        "versions": {
            "delvm_tf": delvm_tf.__version__, "keras": keras.__version__,
            "tensorflow": tf.__version__, "scikit-learn": sklearn.__version__,
        },
        "beside": dict(beside or {}),
        "checksums": {name: _digest(content) for name, content in files.items()},
    }  # fmt: skip
    record["checksums"][RECORD] = _digest(_text(record))
    return {RECORD: _text(record), **files}


def checked_record(files: Mapping[str, bytes], where: str = "the detector") -> dict[str, Any]:
    """The record among a detector's own files, of which none is missing or altered.

    Raises:
        DamagedModelError: which file it is.
    """
    if RECORD not in files:
        raise DamagedModelError(f"{where} is no saved detector, for it has no {RECORD}")
    try:
        record = json.loads(files[RECORD])
        version, checksums = record["format"], dict(record["checksums"])
        own = checksums.pop(RECORD)
        unsealed = {**record, "checksums": checksums}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedModelError(f"{where} has no readable {RECORD}: {error!r}") from error
    if version != FORMAT:
        raise DamagedModelError(
            f"{where} has the format {version}, and this version reads {FORMAT}; save it again "
            f"with the version that wrote it, {record.get('versions')}, or update"
        )
    if own != _digest(_text(unsealed)):
        raise DamagedModelError(f"{where}: {RECORD} is altered; save the detector again")
    for name, digest in checksums.items():
        if name not in files:
            raise DamagedModelError(f"{where}: {name} is missing; copy or save it again")
        if _digest(files[name]) != digest:
            raise DamagedModelError(f"{where}: {name} is altered; copy or save it again")
    return {"beside": {}, **unsealed}


def detector_of(files: Mapping[str, bytes], where: str = "the detector") -> Any:
    """The detector that `files_of` wrote; see `checked_record` for what it raises besides.

    Raises:
        DamagedModelError: for contents that are no detector, or of classes that are not known.
    """
    tree = checked_record(files, where)["detector"]
    with np.load(io.BytesIO(files[ARRAYS]), allow_pickle=False) as arrays:
        reader = _Reader(files, dict(arrays))
    try:
        return reader.decoded(tree)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise DamagedModelError(f"{where} cannot be read: {error!r}") from error


class _Writer:
    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.models: dict[str, bytes] = {}
        self.known: list[Any] = []  # models and objects, each written once

    def encoded(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"kind": "float", "text": str(value)}
        if isinstance(value, list):
            return [self.encoded(each) for each in value]
        if isinstance(value, tuple):
            return {"kind": "tuple", "items": [self.encoded(each) for each in value]}
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {"kind": "table", "items": self._table(value)}
        if isinstance(value, np.ndarray | np.generic):
            return self._array("array", np.asarray(value))
        if isinstance(value, tf.Variable):
            return self._array("variable", value.numpy())
        if isinstance(value, tf.Tensor):
            return self._array("tensor", value.numpy())
        owner, name = getattr(value, "__self__", None), getattr(value, "__name__", None)
        if isinstance(owner, keras.Model) and name in METHODS:
            return {"kind": "method", "of": self.encoded(owner), "name": name}
        return self._known(value)

    def _table(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.encoded(value) for name, value in values.items()}

    def _array(self, kind: str, array: np.ndarray) -> Any:
        if array.dtype == object and all(isinstance(each, str) for each in array.flat):
            return {"kind": "names", "items": array.tolist()}
        if array.dtype.kind not in "biufU":
            raise NotSavableError(f"an array of {array.dtype} cannot be saved, only of numbers")
        key = str(len(self.arrays))
        self.arrays[key] = array
        return {"kind": kind, "key": key}

    def _known(self, value: Any) -> Any:
        for number, known in enumerate(self.known):
            if known is value:
                return {"kind": "same", "as": number}
        self.known.append(value)
        if isinstance(value, keras.Model):
            name = f"model-{len(self.models)}.keras"
            self.models[name] = _model_file(value)
            return {"kind": "model", "file": name}
        way = SAVABLE.get(name_of(type(value)))
        if way is None or way.cls is not type(value):
            raise NotSavableError(
                f"a {type(value).__module__}.{type(value).__qualname__} cannot be saved: a saved "
                f"detector may hold Keras models, detectors of this library, StandardScaler, PCA "
                f"and pipelines of them. Export what it computes, dv.export_saved_model(detector, "
                f"folder), or let the class be saved: dv.detection.register()(cls)"
            )
        state = vars(value)
        if way.arguments is not None:
            state = {name: getattr(value, name) for name in way.arguments}
        return {"kind": "object", "class": name_of(way.cls), "state": self._table(state)}


class _Reader:
    def __init__(self, files: Mapping[str, bytes], arrays: Mapping[str, np.ndarray]):
        self.files = files
        self.arrays = arrays
        self.known: list[Any] = []

    def decoded(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [self.decoded(each) for each in tree]
        if not isinstance(tree, dict):
            return tree
        match tree["kind"]:
            case "float":
                return float(tree["text"])
            case "tuple":
                return tuple(self.decoded(each) for each in tree["items"])
            case "table":
                return self._table(tree["items"])
            case "names":
                return np.array(tree["items"], object)
            case "array":
                return self.arrays[tree["key"]][()]
            case "variable":
                return tf.Variable(self.arrays[tree["key"]], trainable=False)
            case "tensor":
                return tf.constant(self.arrays[tree["key"]])
            case "method" if tree["name"] in METHODS:
                return getattr(self.decoded(tree["of"]), tree["name"])
            case "same":
                return self.known[tree["as"]]
            case "model" | "object":
                number = len(self.known)
                self.known.append(None)
                made = self._model(tree) if tree["kind"] == "model" else self._object(tree)
                self.known[number] = made
                return made
        raise KeyError(tree["kind"])

    def _table(self, items: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.decoded(value) for name, value in items.items()}

    def _model(self, tree: Mapping[str, Any]) -> Any:
        return _model_of(self.files[tree["file"]])

    def _object(self, tree: Mapping[str, Any]) -> Any:
        name = tree["class"]
        if name not in SAVABLE:
            raise DamagedModelError(
                f"the detector is made of a {name}, which is not known here; import the module "
                f"that defines it first"
            )
        cls, arguments = SAVABLE[name]
        state = self._table(tree["state"])
        if arguments is not None:
            return cls(**state)
        made: Any = object.__new__(cls)
        vars(made).update(state)
        missing = [name for name in getattr(cls, "needed", ()) if name not in state]
        if missing:
            raise DamagedModelError(
                f"the {name} of this detector has no {', '.join(missing)}: another version saved "
                f"it, which computes other scores; load it with that one, or fit it again"
            )
        return made


def _model_file(model: keras.Model) -> bytes:
    if lambdas_in(model):
        raise NotSavableError(
            f"{model.name} holds a lambda, so that the detector could not be loaded again; make it "
            f"a named function with {REGISTER} above it, or export what the detector computes, "
            f"dv.export_saved_model(detector, folder)"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        if not isinstance(model, ObjectiveTraining):  # which warns by itself
            warn_of_unknown(model)
        return path.read_bytes()


def _model_of(content: bytes) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(content)
        try:
            return keras.saving.load_model(path)
        except (TypeError, ValueError) as error:
            with zipfile.ZipFile(path) as file:
                config = json.loads(file.read("config.json"))
            if told := loading_error(config, "the model of the detector", error):
                raise told from None
            raise


def _text(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, indent=1, allow_nan=False).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
