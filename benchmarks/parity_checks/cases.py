"""Fitted detectors, exported, and what Python says of rows: the measure of all other ways."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

import delvm_tf as dv
from delvm_tf.detection.explanation import NotExplainedError
from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.schema import Category, Schema, learn_schema
from delvm_tf.serving.signatures import (
    DECIDE,
    DECIDE_TABLE,
    DEFAULT,
    EXPLAIN,
    EXPLAIN_TABLE,
    TABLE,
)
from parity_checks import kinds

ROWS = 40


def _columns(n: int) -> dict[str, Any]:
    rng = np.random.default_rng(n)
    heat = rng.normal(20, 3, n)
    heat[::7] = np.nan
    place = rng.choice(["007", "7", "north", "süd"], n).astype(object)
    place[::11] = None
    return {
        "speed": rng.normal(size=n), "heat": heat, "on": rng.random(n) > 0.5,
        "since": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), "h"),
        "Größe & place": place,
    }  # fmt: skip


# Tables by what is in them: which columns, and the criterion of a DELVM, or None for no model.
OF_COLUMNS: dict[str, tuple[list[str], str | None]] = {
    "columns: numbers, some missing": (["speed", "heat"], "energy"),
    "columns: numbers, truth values": (["speed", "on"], "energy"),
    "columns: numbers, dates": (["speed", "since"], "energy"),
    "columns: numbers, text": (["speed", "Größe & place"], "reconstruction_error"),
    "columns: all of these": (["speed", "heat", "on", "since", "Größe & place"], "energy"),
    "columns: all, without a model": (["speed", "heat", "on", "since", "Größe & place"], None),
}
NAMES = [*kinds.KINDS, *OF_COLUMNS]
SCORES, ANOTHER, SET, REASONS, REBUILT = (
    "scores", "another threshold", "threshold set", "explanations", "reconstructions"
)  # fmt: skip


class Request(NamedTuple):
    """What a SavedModel is asked, and the answer of Python.

    Attributes:
        folder: of the SavedModel.
        signature: its name.
        inputs: arrays by the names of inputs.
        expected: outputs by name; of texts as text.
        threshold: another one for this request, or None.
    """

    folder: Path
    signature: str
    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    threshold: float | None = None

    @property
    def explains(self) -> bool:
        """Whether contributions are asked for."""
        return self.signature in (EXPLAIN, EXPLAIN_TABLE)


class Case(NamedTuple):
    """An exported detector.

    Attributes:
        name: its kind.
        detector: itself.
        rows: an array, or a table.
        schema: of the table, or None.
        folder: of its SavedModel.
        requests: by what is asked: the `SCORES`, by `ANOTHER` threshold of the request, by one
            that was `SET`, and, where Python has them, the `REASONS` and the `REBUILT` rows.
    """

    name: str
    detector: Any
    rows: Any
    schema: Schema | None
    folder: Path
    requests: dict[str, Request]

    @classmethod
    def of(cls, name: str, folder: Path) -> Self:
        """Fit, export and ask in Python.

        Args:
            name: one of `NAMES`.
            folder: to export to.
        """
        schema = None
        if name in OF_COLUMNS:
            columns, criterion = OF_COLUMNS[name]
            table = pd.DataFrame(_columns(150))[columns]
            schema = learn_schema(table, dates="numbers")
            own = dv.DELVM(dv.networks.ffnn((5,), seed=0), normalization="zscore")
            model = None if criterion is None else own
            detector = dv.AnomalyDetector(model, criterion=criterion, epochs=2, contamination=0.1)
            detector.fit(schema.encode(table))
            rows: Any = pd.DataFrame(_columns(ROWS))[columns]
            numbers = schema.encode(rows)
        else:
            detector, rows = kinds.fitted(name)
            numbers = rows
        scores = detector.anomaly_score(numbers)
        detector.threshold_ = _between(scores, 10)
        explained = _explained(detector, numbers, schema)
        options = {"explain": bool(explained), "schema": schema, "warmup": ()}
        version = dv.export_saved_model(detector, folder, **options)
        requests = _requests(detector, numbers, schema, explained, version)
        if schema is not None:
            cells = dict(zip(schema.inputs, schema.cells(rows).values(), strict=True))
            requests = {n: r._replace(inputs={**cells, **r.inputs}) for n, r in requests.items()}
        return cls(name, detector, rows, schema, version, requests)


def _between(scores: np.ndarray, first: int) -> float:
    """A threshold where rounding moves no row across it."""
    scores = np.sort(scores)
    gap = int(np.argmax(np.diff(scores[first:-5]))) + first
    return float(np.float32((scores[gap] + scores[gap + 1]) / 2))


def _requests(
    detector: Any, numbers: np.ndarray, schema: Schema | None, explained: dict[str, np.ndarray],
    folder: Path,
) -> dict[str, Request]:  # fmt: skip
    scores, model = detector.anomaly_score(numbers), detector.model_
    inputs = {} if schema is not None else {"x": np.asarray(numbers, np.float32)}
    of_model = {}
    if isinstance(model, ReconstructionModel):
        of_model = {
            "features": np.asarray(model.features(numbers)),
            "reconstruction_error": np.asarray(model.reconstruction_error(numbers)),
        }

    def decided(threshold: float) -> dict[str, np.ndarray]:
        return of_model | {
            "anomaly_score": scores, "is_anomaly": scores > threshold,
            "threshold": np.full(len(scores), threshold), "p_value": detector.p_value(numbers),
        }  # fmt: skip

    other = _between(scores, len(scores) // 2)
    more = {**inputs, "threshold": np.full(len(scores), other, np.float32)}
    default, decide, explain = (
        (DEFAULT, DECIDE, EXPLAIN) if schema is None else (TABLE, DECIDE_TABLE, EXPLAIN_TABLE)
    )
    changed = dv.serving.set_threshold(folder, other)
    requests = {
        SCORES: Request(folder, default, inputs, decided(detector.threshold_)),
        ANOTHER: Request(folder, decide, more, decided(other), other),
        SET: Request(changed, default, inputs, decided(other)),
    }
    if explained:
        requests[REASONS] = Request(folder, explain, inputs, explained)
    if of_model and schema is None:
        rebuilt = {"reconstruction": np.asarray(model.reconstruct(numbers))}
        requests[REBUILT] = Request(folder, "reconstruct", inputs, rebuilt)
    return requests


def _explained(detector: Any, x: np.ndarray, schema: Schema | None) -> dict[str, np.ndarray]:
    """What the signatures that explain should give; nothing of scores without a gradient."""
    try:
        contributions, baseline, expected = detector.explain(x)
    except NotExplainedError:
        return {}
    if schema is None:
        found = {"contributions": contributions, "baseline": baseline, "reconstruction": expected}
        return {name: value for name, value in found.items() if value is not None}
    found = {"baseline": baseline}
    ends = np.cumsum([len(column.outputs) for column in schema.columns])[:-1]
    by_column = zip(
        schema.inputs, schema.columns, np.split(contributions, ends, 1),
        np.split(expected, ends, 1), strict=True,
    )  # fmt: skip
    for name, column, own, rebuilt in by_column:
        found[f"contribution_{name}"] = own.sum(axis=1)
        found[f"expected_{name}"] = rebuilt[:, 0]
        if isinstance(column, Category):
            found[f"expected_{name}"] = np.array(column.texts, object)[rebuilt.argmax(axis=1)]
    return found


class Difference(NamedTuple):
    """How far an answer is from that of Python.

    Attributes:
        largest: difference of two numbers, in units of the greatest of the same output.
        same: whether all decisions and texts are the same.
    """

    largest: float
    same: bool


def difference(found: dict[str, Any], expected: dict[str, np.ndarray]) -> Difference:
    """Compare the outputs that both have; KeyError if one that is expected is not there."""
    largest, same = 0.0, True
    for name, value in expected.items():
        other = np.asarray(found[name])
        if value.dtype == bool or value.dtype == object:
            same &= bool(np.array_equal(other.astype(value.dtype), value))
            continue
        if other.shape != value.shape:
            raise ValueError(f"{name} has shape {other.shape}, expected {value.shape}")
        scale = np.abs(value).max() or 1.0
        apart = np.where(other == value, 0.0, np.abs(other - value))
        largest = float(np.maximum(largest, np.max(apart) / scale))  # NaN is the greatest
    return Difference(largest, same)


Way = Callable[[Case, Request], dict[str, Any]]
