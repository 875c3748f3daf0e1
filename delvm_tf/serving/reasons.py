"""Which columns of a row make its anomaly score: the explanations of a served model in words."""

from typing import Any

import numpy as np

from delvm_tf.schema.kinds import Category
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
            f"explain tells columns of tables, and the rows have shape {card.shape}; ask for the "
            f"signature {EXPLAIN!r} with predict"
        )
    columns = card.shape[0] if card.schema is None else len(card.schema.columns)
    if count > columns:
        raise ValueError(f"explain must be at most {columns}, the number of columns, got {count}")


def reasons(served: ServedModel, rows: Any, count: int) -> dict[str, Any]:
    """The columns that raise the score of each row most, as arrays of pyarrow, (rows,) each.

    `reason_1` is the column with the greatest contribution, `contribution_1` that contribution, and
    `expected_1`, where the model reconstructs, the value that it expected there: a number, or text
    if any column of the model is text. Then `reason_2` and so on. A reason is null where the score
    is beyond all numbers and nobody can tell.

    Args:
        served: a model that `check_reasons` accepts.
        rows: as `ServedModel.predict` takes them; a table for a model with a schema.
        count: columns to tell, for each row.
    """
    import pyarrow

    names, contributions, expected = _explained(served, rows)
    order = np.argsort(np.where(np.isnan(contributions), np.inf, -contributions), 1, kind="stable")
    order = order[:, :count]
    greatest = np.take_along_axis(contributions, order, axis=1)
    told = np.array(names, object)[order]
    told[np.isnan(greatest)] = None
    columns: dict[str, Any] = {}
    for k in range(count):
        columns[f"reason_{k + 1}"] = pyarrow.array(told[:, k], pyarrow.string())
        columns[f"contribution_{k + 1}"] = pyarrow.array(greatest[:, k])
        if expected is not None:
            kind = pyarrow.string() if expected.dtype == object else pyarrow.float32()
            values = np.take_along_axis(expected, order[:, k, np.newaxis], axis=1)[:, 0]
            columns[f"expected_{k + 1}"] = pyarrow.array(values, kind)
    return columns


def _explained(served: ServedModel, rows: Any) -> tuple[list[str], np.ndarray, np.ndarray | None]:
    """Names of columns, contributions and expected values, (rows, columns) each."""
    card, schema = served.card, served.card.schema
    if schema is None:
        found = served.predict(rows, EXPLAIN, BATCH_SIZE)
        names = card.columns or [str(k) for k in range(card.shape[0])]
        return [*names], found["contributions"], found.get("reconstruction")
    found = served.predict(rows, EXPLAIN_TABLE, BATCH_SIZE)
    contributions = np.stack([found[f"contribution_{name}"] for name in schema.inputs], axis=1)
    if not any(name.startswith("expected_") for name in found):
        return [*schema.names], contributions, None
    expected = [found[f"expected_{name}"] for name in schema.inputs]
    if any(isinstance(column, Category) for column in schema.columns):
        expected = [np.array([str(value) for value in values], object) for values in expected]
    return [*schema.names], contributions, np.stack(expected, axis=1)
