"""What the columns of a table hold, in a few words."""

from typing import Any

import numpy as np

from delvm_tf.schema import arrow

SHOWN = 3  # values of a category


def described(table: Any) -> list[dict[str, Any]]:
    """Kind, missing cells, number of values and typical ones of each column of a pyarrow table."""
    return [_described(name, table.column(name)) for name in table.column_names]


def _described(name: str, cells: Any) -> dict[str, Any]:
    from pyarrow import compute, types

    kind = "yes or no" if types.is_boolean(cells.type) else arrow.kind_of(cells)
    known = cells.filter(compute.invert(compute.is_null(cells, nan_is_null=True)))
    if not len(known):
        values = "none"
    elif kind in ("number", "date"):
        order = compute.sort_indices(known)
        middle = [known[order[k].as_py()].as_py() for k in (0, len(known) // 2, -1)]
        values = " … ".join(f"{v:,.7g}" if kind == "number" else str(v) for v in middle)
    else:
        values = _frequent(known)
    return {
        "name": name, "kind": kind, "missing": len(cells) - len(known),
        "distinct": compute.count_distinct(known).as_py(), "values": values,
    }  # fmt: skip


def _frequent(known: Any) -> str:
    counts = known.value_counts()
    numbers = counts.field("counts").to_numpy()
    first = np.argsort(-numbers, kind="stable")[:SHOWN]
    words = [str(counts[int(k)]["values"].as_py())[:40] for k in first]
    shown = [f"{word} {numbers[k] / len(known):.0%}" for word, k in zip(words, first, strict=True)]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
