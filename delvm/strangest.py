"""The rows with the highest scores, and the columns that raise these most."""

from typing import Any

import numpy as np

from delvm.images import Images
from delvm.protocol import Parts
from delvm.reading import Given
from delvm_tf.serving import ServedModel
from delvm_tf.serving.reasons import reasons

ROWS, REASONS = 10, 3  # shown, and columns told of each


def strangest_rows(
    served: ServedModel, given: Given | Images, parts: Parts, scores: np.ndarray
) -> list[dict[str, Any]]:
    """File, number, part, score and reasons of each, as JSON.

    Args:
        served: the model, with explanations.
        given: the table, or the images, of which parts are told in place of columns.
        parts: its rows.
        scores: of all rows, (n,); NaN of those that have none.
    """
    order = np.argsort(-scores, kind="stable")[: min(ROWS, int(np.sum(~np.isnan(scores))))]
    if isinstance(given, Images):
        return [
            {
                "file": str(given.files[row]), "row": 0, "score": float(scores[row]),
                "part": _part(parts, row), "reasons": told,
            }
            for row, told in zip(map(int, order), given.told(served, order, REASONS), strict=True)
        ]  # fmt: skip
    table = given.take(order)
    count = min(REASONS, len(table.column_names))
    told = {k: v.to_pylist() for k, v in reasons(served, table, count).items()}
    found = []
    for k, row in enumerate(map(int, order)):
        file, number = given.place(row)
        names = [told[f"reason_{j}"][k] for j in range(1, count + 1)]
        found.append({
            "file": file, "row": number, "score": float(scores[row]),
            "part": _part(parts, row),
            "reasons": [
                {
                    "column": name, "value": _cell(table[name][k].as_py()),
                    "contribution": told[f"contribution_{j}"][k],
                }
                for j, name in enumerate(names, 1)
                if name is not None and told[f"contribution_{j}"][k] > 0
            ],
        })  # fmt: skip
    return found


def _part(parts: Parts, row: int) -> str:
    part = "training" if np.isin(row, parts.fit) else "test"
    if parts.abnormal is None:
        return part
    return f"{part}, {'abnormal' if parts.abnormal[row] else 'normal'}"


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
