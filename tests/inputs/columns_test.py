"""Names of columns and their comparison."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from delvm_tf.inputs.columns import called, check_names, names_of, naming

VALUES = {"b": [1.0, 2.0], "a": [3.0, 4.0]}


@pytest.mark.parametrize("table", [pd.DataFrame(VALUES), pl.DataFrame(VALUES), pa.table(VALUES)])
def test_tables_of_three_libraries_have_names(table):
    assert names_of(table) == ("b", "a")


def test_arrays_and_numbered_frames_have_none():
    assert names_of(np.zeros((2, 2))) is None
    assert names_of([[1.0, 2.0]]) is None
    assert names_of(pd.DataFrame(np.zeros((2, 2)))) is None


def test_names_that_are_partly_numbers_or_doubled_are_refused():
    with pytest.raises(TypeError, match="strings and int"):
        names_of(pd.DataFrame(np.zeros((2, 2)), columns=["a", 1]))
    with pytest.raises(ValueError, match="same name: a"):
        names_of(pd.DataFrame(np.zeros((2, 3)), columns=["a", "b", "a"]))


@pytest.mark.parametrize(
    ("got", "message"),
    [
        (("a", "b"), "same order"),
        (("b",), "yet now missing:\n- a"),
        (("b", "a", "c"), "unseen at fit time:\n- c"),
        (("b", "c"), "(?s)- c.*missing:\n- a"),
    ],
)
def test_other_names_are_refused(got, message):
    with pytest.raises(ValueError, match=message):
        check_names(got, ("b", "a"), "the model")


def test_equal_names_pass_in_silence_and_lacking_ones_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_names(("b", "a"), ["b", "a"], "the model")
        check_names(None, None, "the model")
    with pytest.warns(UserWarning, match="x does not have feature names, but the model was fitted"):
        check_names(None, ("a",), "the model")
    with pytest.warns(UserWarning, match="the model was fitted without feature names"):
        check_names(("a",), None, "the model")


def test_warnings_point_at_the_line_of_the_user():
    with pytest.warns(UserWarning, match="does not have feature names") as caught:
        check_names(None, ("a",), "the model")
    assert caught[0].filename == __file__


def test_columns_are_called_by_their_names_where_they_have_any():
    assert called([0, 2], 3) == "[0, 2]"
    assert called([0, 2], 3, ["a", "b", "c"]) == "'a', 'c'"
    assert called([*range(6)], 6, [*"abcdef"]) == "'a', 'b', 'c', 'd', 'e', ..."
    with naming(["site = north", "site = south"]):
        assert called([1], 2) == "'site = south'"
        assert called([1], 2, ["a", "b"]) == "'b'"
        assert called([1], 3) == "[1]"
        with naming(None):
            assert called([1], 2) == "[1]"
    assert called([1], 2) == "[1]"
