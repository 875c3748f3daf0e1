"""Which columns of a row make its anomaly score: the explanations of a served model in words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from delvm_tf.schema import Number
from delvm_tf.serving.model_card import ModelCard
from delvm_tf.serving.saved import ServedModel
from delvm_tf.serving.signatures import EXPLAIN, EXPLAIN_TABLE

BATCH_SIZE = 256  # rows explained at a time; each takes up to 16 gradients


def check_reasons(card: ModelCard, count: int) -> None:
    """Refuse what `reasons` cannot give.

    Raises:
        ValueError: if the model serves no explanations or has fewer columns, or rows are images.
    """
    if count < 0:
        raise ValueError(f"explain must not be negative, got {count}")
    if not count:
        return
    if EXPLAIN not in card.signatures:
        raise ValueError(
            "the model serves no explanations; export it with "
            "dv.export_saved_model(detector, folder, explain=True)"
        )
    if len(card.shape) != 1:
        raise ValueError(
            f"explain names columns of tables, and this model takes arrays of shape {card.shape}, "
            f"such as images; what their values contribute say detector.explain in Python and the "
            f"served signature {EXPLAIN!r}"
        )
    columns = card.shape[0] if card.schema is None else len(card.schema.columns)
    if count > columns:
        raise ValueError(f"explain must be at most {columns}, the number of columns, got {count}")


def reasons(served: ServedModel, rows: Any, count: int) -> dict[str, Any]:
    """The columns that raise the score of each row most, as arrays of pyarrow, (rows,) each.

    `reason_1` is the column with the greatest contribution, `contribution_1` that contribution, and
    `expected_1`, where the model reconstructs, the value that it expected there: a number, or text
    if any column of the model is text or a date. Then `reason_2` and so on. A reason is null where
    the score is beyond all numbers and nobody can tell.

    Args:
        served: a model that `check_reasons` accepts.
        rows: as `ServedModel.predict` takes them; a table for a model with a schema.
        count: columns to tell, for each row.
    """
    import pyarrow

    names, contributions, expected = _explained(served, rows)
    order = _greatest(contributions, count)
    columns: dict[str, Any] = {}
    for k in range(count):
        place = order[:, k]
        values = np.take_along_axis(contributions, place[:, np.newaxis], axis=1)[:, 0]
        codes = pyarrow.array(place, pyarrow.int32(), mask=np.isnan(values))
        told = pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array(names, pyarrow.string()))
        columns[f"reason_{k + 1}"] = told.dictionary_decode()
        columns[f"contribution_{k + 1}"] = pyarrow.array(values)
        if expected is not None:
            columns[f"expected_{k + 1}"] = _of_place(expected, place)
    return columns


def _explained(
    served: ServedModel, rows: Any
) -> tuple[list[str], np.ndarray, Sequence[np.ndarray] | None]:
    """Names of columns, contributions, (rows, columns), and expected values of each column."""
    card, schema = served.card, served.card.schema
    if schema is None:
        found = served.predict(rows, EXPLAIN, BATCH_SIZE)
        names = card.columns or [str(k) for k in range(card.shape[0])]
        expected = found.get("reconstruction")
        return [*names], found["contributions"], None if expected is None else [*expected.T]
    found = served.predict(rows, EXPLAIN_TABLE, BATCH_SIZE)
    contributions = np.stack([found[f"contribution_{name}"] for name in schema.inputs], axis=1)
    if not any(name.startswith("expected_") for name in found):
        return [*schema.names], contributions, None
    values = [found[f"expected_{name}"] for name in schema.inputs]
    for k, column in enumerate(schema.columns):
        if isinstance(column, Number) and column.date == "date":
            values[k] = _as_dates(values[k])
    return [*schema.names], contributions, values


def _as_dates(seconds: np.ndarray) -> np.ndarray:
    """Dates of UTC to the minute, as text, of seconds since 1970, which float32 holds no finer."""
    first, last = np.array(["0001-01-01", "9999-12-31"], "datetime64[s]").astype(np.int64)
    told = np.nan_to_num(np.asarray(seconds, np.float64), nan=0.0).clip(first, last)
    dates = np.datetime_as_string(told.astype(np.int64).astype("datetime64[s]"), unit="m")
    return np.where(np.isnan(seconds), "", np.char.replace(dates, "T", " ")).astype(object)


def _greatest(values: np.ndarray, count: int) -> np.ndarray:
    """The places of the greatest of each row, the first one of equals first, (rows, count).

    NaN comes last.
    """
    left = np.where(np.isnan(values), -np.inf, values)
    rows = np.arange(len(left))
    places = []
    for _ in range(count):
        places.append(left.argmax(axis=1))
        left[rows, places[-1]] = -np.inf
    return np.stack(places, axis=1)


def _of_place(columns: Sequence[np.ndarray], place: np.ndarray) -> Any:
    """The value of each row in its column: numbers, or text if any column is."""
    import pyarrow

    mixed = any(column.dtype == object for column in columns)
    found = np.empty(len(place), object if mixed else np.float32)
    for k in np.unique(place):
        rows = place == k
        values = columns[k][rows]
        found[rows] = values if values.dtype == object or not mixed else values.astype(str)
    return pyarrow.array(found, pyarrow.string() if mixed else pyarrow.float32())
