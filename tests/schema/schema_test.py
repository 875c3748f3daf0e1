"""Tables as they are: numbers, truth values, text, dates and missing cells."""

import datetime
import decimal
import json

import hypothesis
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from delvm_tf.schema import Category, Number, Schema, arrow, learn_schema

COLUMNS = {
    "size": [1.5, None, 2.5, 4.0, 3.5],
    "count": [1, 2, 3, 4, 5],
    "on": [True, False, True, True, False],
    "colour": ["red", "blue", "red", None, "green"],
}
DAY = pd.Timestamp("2026-11-27 13:30")
MAKERS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}
NAMES = (
    "size", "size is missing", "count", "on",
    "colour = red", "colour = blue", "colour = green", "colour is another", "colour is missing",
)  # fmt: skip
ROWS = np.array([
    [1.5, 0, 1, 1, 1, 0, 0, 0, 0],
    [3.0, 1, 2, 0, 0, 1, 0, 0, 0],
    [2.5, 0, 3, 1, 1, 0, 0, 0, 0],
    [4.0, 0, 4, 1, 0, 0, 0, 0, 1],
    [3.5, 0, 5, 0, 0, 0, 1, 0, 0],
])  # fmt: skip


@pytest.fixture(scope="module")
def schema():
    return learn_schema(pa.table(COLUMNS))


def in_graph(schema, table):
    """The numbers as a graph with one input a column computes them."""
    specs = {c.name: tf.TensorSpec((None,), c.dtype, name=c.name) for c in schema.columns}
    graph = tf.function(schema.in_graph, input_signature=[specs])
    return graph({name: tf.constant(cells) for name, cells in schema.cells(table).items()}).numpy()


@pytest.mark.parametrize("kind", MAKERS)
def test_any_table_gives_the_same_numbers(kind):
    table = MAKERS[kind](COLUMNS)
    schema = learn_schema(table)
    assert schema.outputs == NAMES
    assert schema.names == tuple(COLUMNS)
    np.testing.assert_array_equal(schema.encode(table), ROWS)
    np.testing.assert_array_equal(in_graph(schema, table), ROWS)


def test_a_category_that_was_not_seen_is_another(schema):
    row = schema.encode(pa.table({**{k: v[:1] for k, v in COLUMNS.items()}, "colour": ["Red"]}))
    np.testing.assert_array_equal(row[0, 4:], [0, 0, 0, 1, 0])


def test_categories_of_pandas_and_codes_are_text():
    frame = pd.DataFrame({"grade": pd.Categorical(["b", "a", "b"]), "n": [1, 2, 3]})
    assert learn_schema(frame).columns[0] == Category("grade", ("b", "a"))
    codes = pd.DataFrame({"grade": pd.Categorical([7, 8, 7]), "n": [1, 2, 3]})
    assert learn_schema(codes).columns[0] == Category("grade", ("7", "8"))


def test_missing_values_that_training_had_none_of():
    schema = learn_schema(pa.table({"a": [1.0, 2.0, 9.0], "b": ["x", "y", "x"], "c": [0, 1, 2]}))
    assert schema.outputs == ("a", "b = x", "b = y", "b is another", "c")
    table = pa.table(
        {"a": [None, 4.0], "b": ["x", None], "c": [1, 1]},
    )
    np.testing.assert_array_equal(schema.encode(table), [[2, 1, 0, 0, 1], [4, 0, 0, 1, 1]])
    with pytest.raises(ValueError, match=r"1 rows \(first: \[1\]\) .* at most 1 of the 3 cells"):
        schema.encode(pa.table({"a": [1.0, None], "b": ["x", None], "c": [1, 1]}))
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 1 of the 3 cells"):
        in_graph(schema, pa.table({"a": [1.0, None], "b": ["x", None], "c": [1, 1]}))


def test_columns_are_matched_by_name(schema):
    table = pa.table(COLUMNS)
    other = table.select(["colour", "on", "size", "count"]).append_column("id", [list("abcde")])
    np.testing.assert_array_equal(schema.encode(other), ROWS)
    with pytest.raises(ValueError, match="lacks the columns size, on; it has count, colour"):
        schema.encode(table.select(["count", "colour"]))


def test_rare_values_share_a_number_and_that_is_said():
    values = [f"v{k % 40}" for k in range(200)] + ["v1"] * 50
    with pytest.warns(UserWarning, match="has 40 values in .* of which the 32 most frequent"):
        schema = learn_schema(pa.table({"v": values}))
    assert len(schema.outputs) == 33
    assert schema.columns[0].values[0] == "v1"
    assert schema.encode(pa.table({"v": ["v39"]})).sum() == 1


def test_dates_are_declined_with_advice_or_become_seconds():
    days = [datetime.date(1970, 1, 2), datetime.date(1970, 1, 3)]
    times = [datetime.datetime(1970, 1, 1, 0, 0, 1, 500_000), None]
    table = pa.table({"day": days, "time": times, "hour": [datetime.time(1), datetime.time(2)]})
    with pytest.raises(TypeError, match=r"(?s)'day' holds dates or times .* dates='numbers'"):
        learn_schema(table)
    schema = learn_schema(table, dates="numbers")
    found = schema.encode(table)
    np.testing.assert_array_equal(found[:, 0], [86400, 2 * 86400])
    np.testing.assert_array_equal(found[:, 1], [1.5, 1.5])
    np.testing.assert_array_equal(found[:, 3], [3600, 7200])
    moments = pd.to_datetime(["1970-01-01 01:00:00+01:00", "1970-01-01 01:00:01+01:00"])
    zoned = pd.DataFrame({"t": moments})
    np.testing.assert_array_equal(learn_schema(zoned, "numbers").encode(zoned)[:, 0], [0, 1])


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ({"a": [[1], [2]]}, TypeError, "'a' holds list.*neither numbers nor text"),
        ({"a": [b"x", b"y"]}, TypeError, "'a' holds binary"),
        ({"a": [None, None]}, ValueError, "'a' has no values; leave it out"),
        ({"a": [float("nan")] * 2}, ValueError, "'a' has no values; leave it out"),
        ({"a": ["", ""]}, ValueError, "'a' has no values; leave it out"),
        ({"a": [1.0, float("inf")]}, ValueError, r"'a' is infinite in 1 rows \(first: \[1\]\)"),
        ({"a": [1, 2**60 + 1]}, ValueError, "'a' cannot be read as numbers without loss"),
        (
            {"a": [decimal.Decimal(1), decimal.Decimal(2**53 + 1)]},
            ValueError,
            "'a' cannot be read as numbers without loss: 9007199254740993 in row 1",
        ),
        (
            {"id": [f"n{k}" for k in range(40)]},
            ValueError,
            "different in each of 40 rows, as names and numbers of rows are; leave it out$",
        ),
        (
            {"id": [f"{k}.5" for k in range(40)]},
            ValueError,
            "written as text, such as '0.5'",
        ),
        ({"a": []}, ValueError, "a table with rows and columns, got 0"),
    ],
)
def test_columns_that_cannot_be_used_are_named(table, error, message):
    with pytest.raises(error, match=message):
        learn_schema(pa.table(table))


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (np.zeros((3, 2)), TypeError, "a table with named columns, got ndarray"),
        (pd.DataFrame(np.zeros((3, 2))), TypeError, r"names of columns must be text, got \[0, 1\]"),
        (pd.DataFrame({"a": [1, "x"]}), ValueError, "several types of values"),
        (pd.DataFrame({"a": [DAY, 1.0]}, dtype=object), ValueError, "'a' has Timestamp, float"),
        (
            pd.DataFrame({"a": [DAY.date(), DAY.to_pydatetime()]}, dtype=object),
            ValueError,
            "several types of values.*'a' has date, datetime",
        ),
        (
            pd.DataFrame({"a": [DAY, DAY.tz_localize("UTC")]}, dtype=object),
            ValueError,
            "several types of values.*only some time zones",
        ),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "the same name: a"),
    ],
)
def test_what_is_no_table_is_refused(table, error, message):
    with pytest.raises(error, match=message):
        learn_schema(table)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("size", ["a"] * 5, "'size' held number in training, and holds text now"),
        ("colour", [1] * 5, "'colour' held text in training, and holds number now"),
        ("count", [datetime.date(2026, 1, 1)] * 5, "held number in training, and holds date now"),
    ],
)
def test_columns_of_another_type_are_refused(schema, name, values, message):
    with pytest.raises(TypeError, match=message):
        schema.encode(pa.table({**COLUMNS, name: values}))


TIMES = {
    "date": [pa.array([datetime.date(2026, 1, 1)]), pa.array([DAY.to_pydatetime()])],
    "time of day": [pa.array([datetime.time(13, 30)]), pa.array([1], pa.time32("s"))],
    "duration": [pa.array([datetime.timedelta(hours=1)]), pa.array([2**61], pa.duration("ns"))],
}


@pytest.mark.parametrize("held", TIMES)
@pytest.mark.parametrize("given", TIMES)
def test_dates_times_of_day_and_durations_are_not_one_another(held, given):
    schema = learn_schema(pa.table({"t": TIMES[held][0]}), dates="numbers")
    assert schema.kinds == {"t": "date"}
    for column in TIMES[given]:
        table = pa.table({"t": column})
        if given == held:
            assert np.isfinite(schema.encode(table)).all()
            continue
        with pytest.raises(TypeError, match=f"'t' held {held} in .* and holds {given} now"):
            schema.encode(table)


def test_a_column_that_is_empty_in_a_later_table_is_missing(schema):
    table = pa.table({**COLUMNS, "colour": [None] * 5})
    found = schema.encode(table)
    np.testing.assert_array_equal(found[:, 8], np.ones(5))
    np.testing.assert_array_equal(in_graph(schema, table), found)


def test_json_keeps_everything(schema):
    again = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again == schema
    for broken in ({}, {"columns": [{}], "most_missing": 1}, {"columns": [{"kind": "x"}]}, []):
        with pytest.raises(ValueError, match="expected the columns of a table"):
            Schema.from_json(broken)


def test_numbers_alone_are_plain():
    assert learn_schema(pa.table({"a": [1, 2], "b": [0.5, 1.5]})).plain
    assert not learn_schema(pa.table({"a": [1, None], "b": [0.5, 1.5]})).plain
    assert not learn_schema(pa.table({"a": [1, 2], "b": ["x", "y"]})).plain
    assert Number("a", 1.5).outputs == ("a",)


def test_decimals_are_rounded_once():
    column = pa.chunked_array([[decimal.Decimal("0.0501"), None]], pa.decimal128(38, 4))
    np.testing.assert_array_equal(arrow.numbers(column, "a"), [0.0501, np.nan])


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.duration("s")])
def test_times_that_nothing_can_hold_are_refused(kind):
    with pytest.raises(ValueError, match="'a' cannot be read as numbers without loss"):
        arrow.numbers(pa.chunked_array([pa.array([2**60], kind)]), "a")


def test_great_offsets_keep_their_digits():
    table = pa.table({"t": [1.7e9 + 0.125, 1.7e9 + 0.25]})
    schema = learn_schema(table)
    np.testing.assert_array_equal(schema.encode(table)[:, 0], [1.7e9 + 0.125, 1.7e9 + 0.25])
    np.testing.assert_array_equal(in_graph(schema, table)[:, 0], [1.7e9 + 0.125, 1.7e9 + 0.25])


numbers = st.none() | st.floats(allow_infinity=False, allow_nan=False, width=64)
texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=4)


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    st.lists(st.tuples(numbers, texts, st.none() | st.booleans()), min_size=2, max_size=12)
)
def test_python_and_graph_agree_on_any_table(rows):
    types = {"n": "float64", "t": "string", "b": "bool"}
    columns = zip(*rows, strict=True)
    table = pa.table({n: pa.array(c, types[n]) for n, c in zip(types, columns, strict=True)})
    empty = [all(cell in (None, "") for cell in column.to_pylist()) for column in table.columns]
    if any(empty):
        with pytest.raises(ValueError, match="no values"):
            learn_schema(table)
        return
    schema = learn_schema(table)
    found = schema.encode(table)
    assert np.isfinite(found).all()
    assert found.shape == (len(rows), len(schema.outputs))
    cells = {name: tf.constant(values) for name, values in schema.cells(table).items()}
    np.testing.assert_array_equal(tf.function(schema.in_graph)(cells), found)
    ones = [k for k, name in enumerate(schema.outputs) if name.startswith("t ")]
    np.testing.assert_array_equal(found[:, ones].sum(axis=1), 1)


def test_all_columns_of_another_type_are_told_at_once(schema):
    table = pa.table({**COLUMNS, "size": ["a"] * 5, "colour": [1] * 5})
    with pytest.raises(TypeError, match="2 columns cannot be used") as told:
        schema.encode(table)
    assert {*told.value.columns} == {"size", "colour"}
    assert "leave" not in str(told.value)  # a model needs its columns


def test_the_median_of_the_largest_numbers_is_finite():
    largest = np.finfo(float).max
    column = learn_schema(pa.table({"a": [0.0, None, largest, largest, 0.9 * largest]})).columns[0]
    np.testing.assert_allclose(column.fill, 0.95 * largest)
