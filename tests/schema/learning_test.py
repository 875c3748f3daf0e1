"""Learning from tables in parts, in bounded memory."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from delvm_tf.inputs.refusals import RefusedColumnsError
from delvm_tf.schema import Number, arrow, learn_schema, learning, summaries
from delvm_tf.schema.learning import Learner


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "heat": rng.normal(20, 2, n),
            "open": rng.random(n) > 0.5,
            "site": rng.choice(["north", "south", "west"], n, p=[0.5, 0.3, 0.2]),
        }
    )
    frame.loc[rng.random(n) < 0.1, "heat"] = None
    frame.loc[rng.random(n) < 0.1, "site"] = None
    return frame


def parts(table, size):
    return [table.iloc[k : k + size] for k in range(0, len(table), size)]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_parts_teach_what_the_whole_does(size):
    table = rows(200)
    assert learn_schema(parts(table, size)) == learn_schema(table)


def test_medians_of_many_rows_are_those_of_a_sample(monkeypatch):
    monkeypatch.setattr(learning, "_SAMPLED", 400)
    table = rows(5000)
    one = learn_schema(parts(table, 100)).columns[0]
    other = learn_schema(parts(table, 333)).columns[0]
    assert one == other  # rows are drawn by their number
    exact = table["heat"].median()
    assert one.fill != exact
    assert abs(one.fill - exact) < 4 * 1.25 * 2 / np.sqrt(400)


def test_counts_of_much_text_stay_bounded(monkeypatch):
    monkeypatch.setattr(summaries, "MOST_COUNTED", 64)
    rng = np.random.default_rng(0)
    common = rng.choice(["a", "b", "c"], 3000, p=[0.5, 0.3, 0.2])
    text = np.where(rng.random(3000) < 0.7, common, [f"r{k}" for k in range(3000)])
    with pytest.warns(
        UserWarning, match="has over [0-9]+ values in the rows to learn from, of which the 3"
    ):
        schema = learn_schema(parts(pd.DataFrame({"t": text}), 50), most_values=3)
    assert schema.columns[0].values == ("a", "b", "c")
    with pytest.raises(ValueError, match=r"different in each of \d+ rows"):
        learn_schema(parts(pd.DataFrame({"t": [f"r{k}" for k in range(3000)]}), 50))


def test_some_rows_teach_and_all_say_how_many_cells_may_be_missing():
    table = pd.DataFrame(
        {"a": [1.0, 2.0, 3.0, np.nan], "b": [1.0, 1.0, 1.0, np.nan], "c": ["x", "y", "x", None]}
    )
    learner = Learner()
    learner.see(table.iloc[:2], np.array([True, False]))
    learner.see(table.iloc[2:], np.array([True, False]))
    schema = learner.schema()
    assert schema.columns[0] == Number("a", 2.0)
    assert schema.columns[2].values == ("x",)
    assert schema.most_missing == 3
    assert Learner().see(table) is None


def test_parts_must_agree():
    with pytest.raises(ValueError, match="all parts must have the same"):
        learn_schema([pa.table({"a": [1.0]}), pa.table({"b": [1.0]})])
    with pytest.raises(TypeError, match="'a' holds number at first, and text later"):
        learn_schema([pa.table({"a": [1.0]}), pa.table({"a": ["x"]})])
    assert learn_schema([pa.table({"a": [1.0]}), pa.table({"a": [None]})]).outputs == (
        "a", "a is missing"
    )  # fmt: skip
    with pytest.raises(ValueError, match="rows and columns, got 0"):
        learn_schema([])
    with pytest.raises(TypeError, match="a table with named columns, got list"):
        learn_schema([[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="dates must be 'refuse' or 'numbers', got 'months'"):
        learn_schema(pa.table({"a": [1.0]}), dates="months")


def test_units_are_kept():
    table = rows(50)
    schema = learn_schema(table, units={"heat": "°C"})
    assert schema.columns[0].unit == "°C"
    assert schema.columns[1].unit == ""
    assert type(schema).from_json(schema.to_json()) == schema
    for wrong in ({"site": "m"}, {"hight": "m"}):
        with pytest.raises(ValueError, match="which is no column of numbers; those are heat, open"):
            learn_schema(table, units=wrong)


class Streamed:
    """A table that nothing is known of but Arrow's stream."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


class Exchanged:
    """A table that nothing is known of but the dataframe protocol."""

    def __init__(self, table):
        self._table = table

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self._table.__dataframe__(allow_copy=allow_copy)


# Pandas warns those who ask it for this protocol; of a table of unknown kind there is no other.
@pytest.mark.filterwarnings("ignore:The Dataframe Interchange Protocol is deprecated")
@pytest.mark.parametrize(
    ("way", "kind"),
    [
        (Streamed, pd.DataFrame), (Streamed, pa.Table.from_pandas), (Streamed, pl.DataFrame),
        (Exchanged, pd.DataFrame), (Exchanged, pa.Table.from_pandas),  # polars has given it up
    ],
)  # fmt: skip
def test_any_table_with_an_interchange_is_one(way, kind):
    table = rows(40)
    exchanged = way(kind(table))
    assert arrow.is_table(exchanged)
    schema = learn_schema(exchanged)
    assert schema == learn_schema(table)
    np.testing.assert_array_equal(schema.encode(exchanged), schema.encode(table))


def odd(rows=60):
    """A table with a column that can be used, and one of each kind that cannot."""
    return pd.DataFrame({
        "heat": np.arange(rows) * 0.5,
        "day": pd.date_range("2026-01-01", periods=rows),
        "name": [f"n{k}" for k in range(rows)],
        "none": pd.Series([None] * rows, dtype=object),
        "list": [[k] for k in range(rows)],
        "far": np.where(np.arange(rows) == 7, np.inf, 1.0),
        "long": [2**60 + 1, *range(1, rows)],
    })  # fmt: skip


@pytest.mark.parametrize("size", [7, 60])
def test_all_columns_that_cannot_be_used_are_told_at_once(size):
    table = odd()
    for given in (parts(table, size), table):
        with pytest.raises(RefusedColumnsError) as told:
            learn_schema(given)
        assert {*told.value.columns} == {*table.columns} - {"heat"}
        assert str(told.value).count("\n") == 6 + 4  # columns, and ways to mend them
        left = table.drop(columns=told.value.columns)
        assert learn_schema(left).names == ("heat",)
    with pytest.raises(RefusedColumnsError) as told:
        learn_schema(table, dates="numbers")
    assert "day" not in told.value.columns


def test_columns_of_several_types_are_told_at_once():
    table = pd.DataFrame({"a": [1, "x"], "b": [1.0, 2.0], "c": [b"x", 2]}, dtype=object)
    with pytest.raises(RefusedColumnsError, match="2 columns cannot be used") as told:
        learn_schema(table)
    assert told.value.columns == ["a", "c"]


def test_infinite_values_are_refused_in_rows_that_are_not_learned_from_too():
    learner = Learner(whole=True)
    learner.see(odd()[["heat", "far"]], np.arange(60) > 10)
    with pytest.raises(RefusedColumnsError, match="'far' is infinite in 1 rows"):
        learner.schema()
