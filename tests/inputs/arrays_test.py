"""What users hand in as numbers, read as one array."""

import datetime
from collections import namedtuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import tensorflow as tf

from delvm_tf.inputs.arrays import as_array, as_values, is_array

COLUMNS = {"count": [1, 2], "flag": [True, False], "size": [0.5, 1.5]}
MISSING = {"count": [1, None], "flag": [True, None], "size": [0.5, None]}
STRANGE = {"count": [1, 2], "name": ["x", "y"], "day": [datetime.date(2020, 1, 1)] * 2}
TABLES = {
    "pandas": pd.DataFrame,
    "nullable pandas": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "pandas of pyarrow": lambda columns: pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
    "a batch of pyarrow": pa.RecordBatch.from_pydict,
}


@pytest.mark.parametrize("made", TABLES.values(), ids=TABLES)
def test_tables_of_numbers_and_truth_values_are_one_array(made):
    read = as_array(made(COLUMNS))
    assert read.dtype == np.float64
    np.testing.assert_array_equal(read, [[1, 1, 0.5], [2, 0, 1.5]])


@pytest.mark.parametrize("made", [made for name, made in TABLES.items() if name != "pandas"])
def test_missing_values_of_tables_are_nan(made):
    np.testing.assert_array_equal(as_array(made(MISSING)), [[1, 1, 0.5], [np.nan] * 3])


@pytest.mark.parametrize("made", TABLES.values(), ids=TABLES)
def test_columns_of_no_numbers_are_named(made):
    with pytest.raises(TypeError, match=r"the columns 'name' .*, 'day' .* do not"):
        as_array(made(STRANGE))


def test_columns_of_several_widths_keep_every_digit():
    mixed = pd.DataFrame({"a": np.float32([1, 2]), "b": np.int64([1, 2**40 + 1])})
    np.testing.assert_array_equal(as_array(mixed), [[1, 1], [2, 2**40 + 1]])
    assert as_array(pd.DataFrame(np.ones((2, 2), np.float32))).dtype == np.float32


def test_a_frame_of_one_type_is_not_copied():
    x = np.ones((4, 3))
    assert np.shares_memory(as_array(pd.DataFrame(x, copy=False)), x)


@pytest.mark.parametrize(
    "x",
    [
        np.ma.array([[1.0, -999.0]], mask=[[False, True]]),
        np.ma.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")], mask=[(False, True)]),
        [np.ma.array([1.0, -999.0], mask=[False, True])],
        [[1.0, np.ma.masked]],
    ],
)
@pytest.mark.parametrize("read", [as_array, lambda x: as_values(x, "x")])
def test_masked_values_are_refused(x, read):
    with pytest.raises(ValueError, match="x has 1 masked values"):
        read(x)


def test_a_masked_array_without_masked_values_is_an_array():
    np.testing.assert_array_equal(as_array(np.ma.array([[1.0, 2.0]])), [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (scipy.sparse.csr_matrix(np.eye(2)), "sparse .*x.toarray()"),
        (scipy.sparse.csr_array(np.eye(2)), "sparse .*x.toarray()"),
        (tf.sparse.from_dense(tf.eye(2)), "sparse .*tf.sparse.to_dense"),
        (tf.ragged.constant([[1.0], [2.0, 3.0]]), "ragged .*x.to_tensor"),
        (pl.DataFrame(COLUMNS).lazy(), r"LazyFrame; collect it first: x.collect\(\)"),
        ("x.csv", "must be an array of numbers, got str"),
        ((np.ones((2, 2)), np.ones((2, 2))), "tuple of arrays"),
    ],
)
def test_what_is_no_dense_array_is_refused_with_advice(x, message):
    with pytest.raises(TypeError, match=message):
        as_array(x)


def test_lists_of_rows_must_be_of_one_length():
    np.testing.assert_array_equal(as_array([[1, 2], [3, 4]]), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(as_array((np.ones(2), np.zeros(2))), [[1, 1], [0, 0]])
    with pytest.raises(ValueError, match="rows differ in length"):
        as_array([[1, 2], [3]])


def test_numbers_of_another_byte_order_or_width_stay_the_same():
    x = np.array([[1.5, -2.0]])
    for stored in (x.astype(">f8"), x.astype(np.longdouble)):
        assert as_array(stored).dtype == np.float64
        np.testing.assert_array_equal(as_array(stored), x)


def test_dictionaries_are_no_arrays():
    for array in ([[1.0]], (), pa.table(COLUMNS)):
        assert is_array(array)
    for other in ({"a": [1.0]}, "ab", ["ab"]):
        assert not is_array(other)


@pytest.mark.parametrize(
    "row", [{"b": 1.0, "a": 2.0}, pd.Series({"b": 1.0, "a": 2.0}), namedtuple("Row", "b a")(1, 2)]
)
def test_rows_with_names_in_a_list_are_refused_for_the_names_would_be_lost(row):
    with pytest.raises(TypeError, match=r"rows with names, b, a.*pandas\.DataFrame\(x\)"):
        as_array([row, row])


def test_numbered_rows_of_a_table_are_rows_of_a_list():
    rows = pd.DataFrame(np.eye(2))
    np.testing.assert_array_equal(as_array([rows.iloc[0], rows.iloc[1]]), np.eye(2))
