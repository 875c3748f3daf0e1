"""Parquet and Feather: columns by name, numbers of all types, labels that are integers."""

import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf
from pyarrow import feather, parquet

from delvm_tf.datasets import ContentsError
from delvm_tf.datasets.streams import stream
from delvm_tf.inputs.columns import names_of


def write(path, columns):
    parquet.write_table(pa.table(columns), path)
    return path


def read(dataset):
    return np.concatenate(list(dataset.as_numpy_iterator()))


DAYS = pd.DatetimeIndex(["2020-01-01", "2021-01-01"], name="day")


@pytest.mark.parametrize("index", [pd.Index([7, 9]), pd.Index([7, 9], name="day"), DAYS])
def test_the_index_of_a_data_frame_is_no_feature(index, tmp_path):
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": [3.0, 4.0]}, index=index)
    path = tmp_path / "a.parquet"
    frame.to_parquet(path)
    with pytest.raises(ContentsError, match=r"is an index .*index="):
        stream(path)
    ds = stream(path, index=index.name or "__index_level_0__")
    assert names_of(ds) == ("a", "b")
    np.testing.assert_array_equal(read(ds), frame)
    np.testing.assert_array_equal(read(stream(path, columns=["b", "a"])), frame[["b", "a"]])
    frame.reset_index(drop=True).to_parquet(path)  # a range, which is no column
    assert names_of(stream(path)) == ("a", "b")
    if index.dtype == "int64":  # kept as a feature where it is asked for
        frame.to_parquet(path)
        kept = read(stream(path, columns=["a", index.name or "__index_level_0__"]))
        np.testing.assert_array_equal(kept, [[1.5, 7], [2.5, 9]])


@pytest.mark.parametrize("name", ["y", "label", "class", "target"])
def test_no_name_makes_a_label(name, tmp_path):
    path = write(tmp_path / "a.parquet", {"x": [1.5, 2.5], name: [3.5, 4.5], "z": [0, 1]})
    ds = stream(path)
    assert names_of(ds) == ("x", name, "z")
    np.testing.assert_array_equal(read(ds), [[1.5, 3.5, 0], [2.5, 4.5, 1]])
    with pytest.raises(ContentsError, match="pass label="):
        stream(path, labels=True)
    with pytest.raises(ContentsError, match=r"label of row 0 is 3\.5"):
        stream(path, label=name)
    ((x, y),) = stream(path, label="z").as_numpy_iterator()
    assert x.shape == (2, 2)
    assert y.tolist() == [0, 1]


def test_all_types_of_numbers(tmp_path):
    one = {
        "f32": pa.array([0.1], pa.float32()), "f16": pa.array(np.array([0.5], "float16")),
        "t": pa.array([1700000000.25]), "i": pa.array([2**53 - 1]),
        "u8": pa.array([255], pa.uint8()), "u64": pa.array([2**40], pa.uint64()),
        "b": pa.array([True]), "d": pa.array([decimal.Decimal("12.340")]), "n": pa.array([3]),
    }  # fmt: skip
    found = read(stream(write(tmp_path / "a.parquet", one)))
    assert found.dtype == "float64"
    expected = [np.float32(0.1), 0.5, 1700000000.25, 2**53 - 1, 255, 2**40, 1, 12.34, 3]
    assert found[0].tolist() == [float(v) for v in expected]


def test_types_and_orders_may_differ_between_files(tmp_path):
    write(tmp_path / "1.parquet", {"a": [1, 2], "b": [0.5, 1.5], "y": [0, 1]})
    write(tmp_path / "2.parquet", {"y": [1.0], "b": pa.array([3], pa.int8()), "a": [2.25]})
    x, y = zip(*stream(f"{tmp_path}/*.parquet", label="y").as_numpy_iterator(), strict=True)
    np.testing.assert_array_equal(np.concatenate(x), [[1, 0.5], [2, 1.5], [2.25, 3]])
    assert np.concatenate(y).tolist() == [0, 1, 1]
    write(tmp_path / "2.parquet", {"y": [1], "c": [3.0], "a": [2.25]})
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"2\.parquet.*lacks 'b' and has 'c'"):
        list(stream(f"{tmp_path}/*.parquet", label="y"))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["u", "v"], "'c' holds string, not numbers; encode categories"),
        (pa.array(["u", "v"]).dictionary_encode(), "'c' holds dictionary.*encode categories"),
        (pa.array([0, 1], pa.timestamp("s")), "holds timestamp.*convert times to numbers"),
        (pa.array([0, 1], pa.date32()), "holds date32.*convert times"),
        ([None, None], "'c' holds null"),
        ([1.0, None], "row 1, column 'c', is missing"),
        ([1.0, np.nan], "row 1, column 'c', has NaN or infinite"),
        ([1, 2**53 + 1], "row 1, column 'c', is 9007199254740993, an integer"),
        (pa.array([1, 2**64 - 1], pa.uint64()), "row 1, column 'c', is 18446744073709551615"),
        ([decimal.Decimal(1), decimal.Decimal(2**53 + 1)], "row 1, column 'c', is 900719"),
        ([[1.0], [2.0]], r"'c' holds list.*not numbers"),
        ([{"k": 1}, {"k": 2}], r"'c' holds struct"),
    ],
)  # fmt: skip
def test_what_is_no_number_names_its_column(column, message, tmp_path):
    path = write(tmp_path / "a.parquet", {"a": [1.0, 2.0], "c": column})
    with pytest.raises(ContentsError, match=message):
        stream(path)
    assert read(stream(path, drop=["c"])).tolist() == [[1], [2]]


def test_one_column_of_lists_is_rows(tmp_path):
    path = write(tmp_path / "a.parquet", {"v": [[1.5, 2], [3, 4]], "y": [0, 1], "id": ["u", "v"]})
    ds = stream(path, label="y", drop="id")
    ((x, y),) = ds.as_numpy_iterator()
    assert x.tolist() == [[1.5, 2], [3, 4]]
    assert y.tolist() == [0, 1]
    assert names_of(ds) is None
    path = write(tmp_path / "a.parquet", {"v": [[1.5, 2], None]})
    with pytest.raises(ContentsError, match="row 1, column 'v', is missing"):
        stream(path)


def test_names_with_dots_are_names(tmp_path):
    path = write(tmp_path / "a.parquet", {"a": [1.0], "a.b": [2.0], "a.c": [3.0]})
    assert read(stream(path, columns=["a.c", "a"])).tolist() == [[3, 1]]


def test_feather_is_read_as_parquet_is(tmp_path):
    frame = pd.DataFrame({"a": np.arange(30_000) / 7, "b": np.arange(30_000), "y": 1})
    for suffix, options in (("feather", {}), ("arrow", {"compression": "uncompressed"})):
        path = tmp_path / f"a.{suffix}"
        feather.write_feather(frame, path, chunksize=4000, **options)
        ds = stream(path, 1000, drop="y")
        assert names_of(ds) == ("a", "b")
        np.testing.assert_array_equal(read(ds), frame[["a", "b"]])  # in order
        ((x, y), *_) = stream(path, label="y", columns=["b"]).as_numpy_iterator()
        assert (x[:2].tolist(), y[:2].tolist()) == ([[0], [1]], [1, 1])
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(ContentsError, match=f"a.{suffix} cannot be read.*damaged or another"):
            stream(path)


def test_a_folder_of_partitions_is_one_table(tmp_path):
    frame = pd.DataFrame({"v": [1.5, 2.5, 3.5], "year": [2020, 2021, 2021], "month": [1, 1, 2]})
    frame.to_parquet(tmp_path / "sales", partition_cols=["year", "month"])
    (tmp_path / "sales" / "_SUCCESS").touch()
    (tmp_path / "sales" / ".part.crc").touch()
    for pattern in ("sales", "sales/**/*.parquet"):
        ds = stream(tmp_path / pattern)
        assert names_of(ds) == ("v", "year", "month")
        assert sorted(read(ds).tolist()) == frame.to_numpy().tolist()
    assert read(stream(tmp_path / "sales", columns="v")).shape == (3, 1)
    frame.assign(year=["a", "b", "c"]).to_parquet(tmp_path / "text", partition_cols=["year"])
    with pytest.raises(ContentsError, match="'year' holds string, not numbers"):
        stream(tmp_path / "text")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no file fits"):
        stream(tmp_path / "empty")
