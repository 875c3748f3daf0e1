"""What the columns of a table hold, in a few words."""

from collections import Counter
from typing import Any

from delvm_tf.schema import arrow

SHOWN = 3  # values of a category


def described(table: Any) -> list[dict[str, Any]]:
    """Name, kind, number of missing cells and typical values of each column of a pyarrow table."""
    return [_described(name, table.column(name)) for name in table.column_names]


def _described(name: str, cells: Any) -> dict[str, Any]:
    from pyarrow import types

    kind = "yes or no" if types.is_boolean(cells.type) else arrow.kind_of(cells)
    known = [value for value in cells.to_pylist() if value is not None and value == value]
    counts = Counter(known)
    if not known:
        values = "none"
    elif kind in ("number", "date"):
        text = "{:,.7g}" if kind == "number" else "{}"
        known.sort()
        values = " … ".join(text.format(known[k]) for k in (0, len(known) // 2, -1))
    else:
        values = _frequent(counts, len(known))
    missing = len(cells) - len(known)
    return {
        "name": name, "kind": kind, "missing": missing, "distinct": len(counts), "values": values
    }  # fmt: skip


def _frequent(counts: Counter[Any], rows: int) -> str:
    shown = [f"{str(value)[:40]} {n / rows:.0%}" for value, n in counts.most_common(SHOWN)]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
