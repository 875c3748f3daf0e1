import datetime

import pyarrow as pa

from delvm.columns import described


def test_columns_are_described_by_kind():
    table = pa.table({
        "a": [3.0, None, 1.0, float("nan"), 2.0],
        "b": pa.array([None] * 5, pa.string()),
        "c": ["x", "y", "x", None, "x"],
        "d": [True, False, True, True, True],
        "e": [datetime.date(2026, 1, day) for day in (3, 1, 2, 5, 4)],
        "f": ["v", "w", "x", "y", "z"],
    })  # fmt: skip
    found = {column.pop("name"): column for column in described(table)}
    assert found["a"] == {"kind": "number", "missing": 2, "distinct": 3, "values": "1 … 2 … 3"}
    assert found["b"] == {"kind": "nothing", "missing": 5, "distinct": 0, "values": "none"}
    assert found["c"] == {"kind": "text", "missing": 1, "distinct": 2, "values": "x 75%, y 25%"}
    assert found["d"]["kind"] == "yes or no"
    assert found["e"]["values"] == "2026-01-01 … 2026-01-03 … 2026-01-05"
    assert found["f"]["values"] == "v 20%, w 20%, x 20% and 2 more"
