"""What the columns of a table hold, in a few words."""

from collections import Counter
from typing import Any

from delvm_tf.schema import arrow

SHOWN = 3  # values of a category


def described(table: Any) -> list[dict[str, Any]]:
    """Name, kind, number of missing cells and typical values of each column of a pyarrow table."""
    return [_described(name, table.column(name)) for name in table.column_names]


def _described(name: str, cells: Any) -> dict[str, Any]:
    from pyarrow import compute, types

    kind = arrow.kind_of(cells)
    missing = int(cells.null_count)
    if types.is_floating(cells.type):
        missing += compute.sum(compute.is_nan(cells), min_count=0).as_py()
    known = [value for value in cells.to_pylist() if value is not None and value == value]
    if types.is_boolean(cells.type):
        kind = "yes or no"
    if not known:
        values = "none"
    elif kind == "number":
        known = sorted(known)
        values = " … ".join(f"{known[k]:.5g}" for k in (0, len(known) // 2, -1))
    elif kind == "date":
        values = f"{min(known)} … {max(known)}"
    else:
        values = _frequent(known)
    return {"name": name, "kind": kind, "missing": missing, "values": values}


def _frequent(known: list[Any]) -> str:
    counts = Counter(map(str, known))
    parts = [f"{value[:40]} {count / len(known):.2g}" for value, count in counts.most_common(SHOWN)]
    more = len(counts) - len(parts)
    return ", ".join(parts) + (f" and {more} more" if more else "")
