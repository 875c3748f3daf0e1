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
    cells = _comparable(cells)
    known = cells.drop_null()
    if types.is_floating(known.type):
        known = known.filter(compute.invert(compute.is_nan(known)))
    distinct = 0
    if not len(known):
        values = "none"
    elif kind not in ("number", *arrow.TIMES, "text", "yes or no"):
        values, distinct = "of a kind that is refused", len(known)
    elif kind in ("number", *arrow.TIMES):
        order = compute.sort_indices(known)
        middle = [known[order[k].as_py()].as_py() for k in (0, len(known) // 2, -1)]
        values = " … ".join(f"{v:,.7g}" if kind == "number" else str(v) for v in middle)
    else:
        values = _frequent(known)
    return {
        "name": name, "kind": kind, "missing": len(cells) - len(known),
        "distinct": distinct or len(known.unique()), "values": values,
    }  # fmt: skip


def _comparable(cells: Any) -> Any:
    """The same cells in a type that pyarrow counts and sorts, where there is one."""
    from pyarrow import types

    kind = cells.type.value_type if types.is_dictionary(cells.type) else cells.type
    if types.is_string_view(kind):
        kind = "string"
    elif types.is_float16(kind):
        kind = "float32"
    return cells.cast(kind)


def _frequent(known: Any) -> str:
    counts = known.value_counts()
    numbers = counts.field("counts").to_numpy()
    first = np.argsort(-numbers, kind="stable")[:SHOWN]
    words = [str(counts[int(k)]["values"].as_py())[:40] for k in first]
    shown = [f"{word} {numbers[k] / len(known):.0%}" for word, k in zip(words, first, strict=True)]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
