import datetime

import numpy as np
import pyarrow as pa
import pytest

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


@pytest.mark.parametrize(
    ("cells", "kind", "distinct"),
    [
        (pa.nulls(4), "nothing", 0),
        (pa.array(["x", "y", None, "x"]).dictionary_encode(), "text", 2),
        (pa.array([1, 2, None, 1]).dictionary_encode(), "text", 2),
        (pa.array(["x", "y", None, "x"], pa.string_view()), "text", 2),
        (pa.array(np.array([1, 2, 3, 1], "float16")), "number", 3),
        (pa.array([[1], [2], None, [1]]), "list<item: int64>", 3),
        (pa.array([{"a": 1}] * 4), "struct<a: int64>", 4),
        (pa.array([(1, 2, 3)] * 4, pa.month_day_nano_interval()), "month_day_nano_interval", 4),
    ],
)
def test_every_type_of_a_file_is_described(cells, kind, distinct):
    (found,) = described(pa.table({"a": cells}))
    assert (found["kind"], found["distinct"]) == (kind, distinct)
    assert found["missing"] == cells.null_count
