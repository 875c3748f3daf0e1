"""Text is read as it was written, or refused with the place and the option to pass."""

import csv
import io
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import csv as arrow_csv

import delvm_tf as dv
from delvm_tf.datasets import ContentsError
from delvm_tf.datasets.streams import TableOptions, csv_table, csv_text, stream
from delvm_tf.datasets.streams.reading import Reading
from delvm_tf.inputs.columns import names_of


def table(path, text=None, **options):
    """Features, labels and names as the reader gives them."""
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    chunks = list(csv_table.chunks(path, Reading(table=TableOptions(**options))))
    if not chunks:
        return np.zeros((0, 0)), None, None
    y = None if chunks[0].y is None else np.concatenate([c.y for c in chunks])
    return np.concatenate([c.x for c in chunks]), y, chunks[0].names


def read(dataset):
    return np.concatenate(list(dataset.as_numpy_iterator()))


AMBIGUOUS = [
    "0,1,2\n5.1,3.5,1.4\n",  # what pandas writes for an array
    ",0,1,2\n0,5.1,3.5,1.4\n",
    "2019,2020,2021\n1,2,3\n",
    "400.0,400.5,401.0\n.1,.2,.3\n",  # wavelengths
    "-2,-1,0\n.1,.2,.3\n",  # lags
    "7\n8\n",
    "True,False\n1,2\n",
    "1e-05,0.001\n1,2\n",
    "1,a,2\n1,2,3\n",
    "sensor,2019\n1,2\n",
    "NA,a\n1,2\n",
    "5.1,3.5,\n1,2,3\n",
]


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_a_first_line_that_may_be_either_is_refused(text, tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(ContentsError, match=r"pass header=True .* header=False"):
        table(path, text)
    path.write_text(text)
    with pytest.raises(ContentsError, match="pass header=True"):
        stream(path)


def test_the_option_settles_it(tmp_path):
    path = tmp_path / "a.csv"
    x, _, names = table(path, "0,1,2\n5.1,3.5,1.4\n", header=True)
    np.testing.assert_array_equal(x, [[5.1, 3.5, 1.4]])
    assert names == ("0", "1", "2")
    x, _, names = table(path, header=False)
    np.testing.assert_array_equal(x, [[0, 1, 2], [5.1, 3.5, 1.4]])
    assert names is None


@pytest.mark.parametrize(
    "text",
    [
        "0.5,-1,7\n2,3,4\n",
        "0,0,7\n1,2,3\n",
        "3.5,2,7\n1,2,3\n",
        "1.000000000000000000e+00,2.000000000000000000e+00\n3,4\n",
    ],
)
def test_numbers_that_name_nothing_are_data(text, tmp_path):
    assert len(table(tmp_path / "a.csv", text)[0]) == 2


@pytest.mark.parametrize("missing", ["", "NA", "?", "nan", "NULL", "None", "<NA>", "-"])
@pytest.mark.parametrize("row", [0, 1])
def test_missing_values_are_refused_where_they_are(missing, row, tmp_path):
    """A first row with one is no header, and does not shift the others."""
    lines = ["-1.5,2,2", "1,2,3"]
    lines[row] = f"-1.5,{missing},2"
    with pytest.raises(ContentsError, match=rf"row {row} \(line {row + 1}\), column 1, is missing"):
        table(tmp_path / "a.csv", "\n".join(lines) + "\n")


def test_an_index_is_no_feature(tmp_path):
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": [3.0, 4.0]})
    path = tmp_path / "a.csv"
    frame.to_csv(path)
    for _ in range(2):
        with pytest.raises(ContentsError, match=r"'Unnamed: 0', is an index .*index='Unnamed: 0'"):
            stream(path)
        ds = stream(path, index=0)
        np.testing.assert_array_equal(read(ds), frame)
        assert names_of(ds) == ("a", "b")
        pd.read_csv(path).to_csv(path, index=False)  # now it is called Unnamed: 0
    x, _, names = table(path, columns=["b", "Unnamed: 0"])
    assert names == ("b", "Unnamed: 0")
    np.testing.assert_array_equal(x, [[3, 0], [4, 1]])


@pytest.mark.parametrize("name", ["y", "label", "class", "target", "Y"])
def test_no_name_makes_a_label(name, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"x,{name},z\n1.5,2.5,3\n4,5,6\n")
    ds = stream(path)
    assert names_of(ds) == ("x", name, "z")
    np.testing.assert_array_equal(read(ds), [[1.5, 2.5, 3], [4, 5, 6]])
    with pytest.raises(ContentsError, match=f"pass label=.*'x', '{name}', 'z'"):
        stream(path, labels=True)
    with pytest.raises(ContentsError, match=r"label of row 0 is 2.5, not an integer"):
        stream(path, label=name)


def test_labels_are_integers_and_never_cut(tmp_path):
    path = tmp_path / "a.csv"
    x, y, _ = table(path, "a,b\n1,3\n2,-9007199254740993\n", label="b")
    assert y.tolist() == [3, -9007199254740993]
    np.testing.assert_array_equal(x, [[1], [2]])
    for text, expected in (("a,b\n1,True\n2,False\n", [1, 0]), ("a,b\n1,1.0\n2,0e0\n", [1, 0])):
        path.write_text(text)
        (pair,) = stream(path, label=-1).as_numpy_iterator()
        assert pair[1].tolist() == expected
        assert pair[1].dtype == "int64"
    path.write_text("a,b\n" + "1,0\n" * 3 + "1,0.5\n")
    with pytest.raises(ContentsError, match=r"label of row 3 is 0.5"):
        stream(path, label="b")
    with pytest.raises(ContentsError, match="holds 'cat', not a number"):
        table(path, "a,b\n1,cat\n", label="b")


def test_columns_are_chosen_ordered_and_dropped(tmp_path):
    path = tmp_path / "a.csv"
    text = "id,a,b,c,y\n10,1,2,3,0\n11,4,5,6,1\n"
    x, y, names = table(path, text, columns=["c", "a"], label="y")
    assert names == ("c", "a")
    np.testing.assert_array_equal(x, [[3, 1], [6, 4]])
    assert y.tolist() == [0, 1]
    x, y, names = table(path, drop=["b"], index="id", label=-1)
    assert names == ("a", "c")
    assert table(path, columns=(-2, 1))[2] == ("c", "a")
    for options, message in (
        ({"columns": ["z"]}, "no column 'z'; it has the columns 'id', 'a'"),
        ({"drop": ["z"]}, "no column 'z'"),
        ({"index": 9}, "no column 9; it has 5 columns"),
        ({"label": "a", "columns": [1, 2]}, "twice, or the label"),
        ({"drop": ["id", "a", "b", "c", "y"]}, "no columns are left"),
    ):
        with pytest.raises(ContentsError, match=message):
            table(path, **options)
    for options, message in (
        ({"columns": ["a"], "drop": ["a"]}, "names 'a', which is the label or to be left out"),
        ({"columns": []}, "columns is empty"),
        ({"index": True}, "by name or number, got True"),
        ({"separator": "::"}, "must be one character"),
    ):
        with pytest.raises(ValueError, match=message):
            stream(path, **options)


def test_files_are_matched_by_name(tmp_path):
    (tmp_path / "1.csv").write_text("a,b,y\n1,2,0\n")
    (tmp_path / "2.csv").write_text("y,b,a\n1,4.5,3\n")
    x, y = zip(*stream(f"{tmp_path}/*.csv", label="y").as_numpy_iterator(), strict=True)
    np.testing.assert_array_equal(np.concatenate(x), [[1, 2], [3, 4.5]])
    assert np.concatenate(y).tolist() == [0, 1]
    for text, message in (
        ("a,y\n1,0\n", r"2\.csv.*lacks 'b'"),
        ("a,b,c,y\n1,2,3,0\n", r"2\.csv.*has 'c' besides"),
        ("a,d,y\n1,2,0\n", r"2\.csv.*lacks 'b' and has 'd' besides"),
        ("1,2,1\n", r"2\.csv has no column 'y'; it has no names"),
    ):
        (tmp_path / "2.csv").write_text(text)
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            list(stream(f"{tmp_path}/*.csv", label="y"))
    (tmp_path / "2.csv").write_text("1,2,1\n")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"2\.csv has no names of columns"):
        list(stream(f"{tmp_path}/*.csv"))
    (tmp_path / "1.csv").write_text("2,2\n")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"2\.csv: rows have shape \(3,\)"):
        list(stream(f"{tmp_path}/*.csv"))


def test_numbers_keep_their_offset(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("t,n\n1700000000.25,9007199254740992\n1700000001.5,2\n")
    found = read(stream(path))
    assert found.dtype == "float64"
    np.testing.assert_array_equal(found, [[1700000000.25, 2.0**53], [1700000001.5, 2]])
    path.write_text("id,v\n1,2\n9007199254740993,2\n")
    with pytest.raises(
        ContentsError, match=r"row 1 \(line 3\), column 0 \('id'\), is 90.*93.*drop="
    ):
        stream(path)
    assert read(stream(path, drop="id")).tolist() == [[2], [2]]


def test_a_model_trains_on_a_table(tmp_path):
    x = np.random.default_rng(0).normal([1.7e9, 0], [5, 1], (64, 2))
    pd.DataFrame(x, columns=["t", "v"]).to_csv(tmp_path / "a.csv", index=False)
    ds = stream(tmp_path / "a.csv", 32)
    model = dv.DELVM(dv.networks.ffnn((3,), seed=0), normalization="zscore")
    model.adapt(ds)
    model.compile("adam")
    model.fit(ds, epochs=1, verbose=0)
    assert np.isfinite(model.reconstruction_error(ds)).all()


REFUSED = {
    "a;b\n1;2\n": "separator=';'",
    "a\tb\n1\t2\n": r"separator='\\t'",
    "a b\n1 2\n": "separator=' '",
    "a,b\n1,2;3\n": "separator=';'",
    'a,b\n1,"2,5"\n': "decimal point",
    "a,b\n1,2\n3\n": r"row 1 \(line 3\) has 1 values, expected 2",
    "a,b\n1,2,3\n": r"row 0 \(line 2\) has 3 values, expected 2",
    'a,b\n1,2\n\n"3\n",4,5\n': r"row 1 \(line 5\) has 3 values",
    "a,b,\n1,2,\n": "'Unnamed: 2', is an index or has no name",
    "# a,b\n1,2\n": "apparently a comment",
    "a,b\n# 1,2\n1,2\n": "remove comments",
    "a,b\n1,2020-01-01\n": "holds '2020-01-01', not a number",
    "a,b\n1,1_000\n": "holds '1_000'",
    "a,b\n1,١٢\n": "holds '١٢'",
    "a,b\n1,0x10\n": "holds '0x10'",
    "a,b\n1,inf\n": "is infinite",
    "a,b\n1,5%\n": "holds '5%'",
    "a,a\n1,2\n": "several columns are called 'a'",
    "'a','b'\n1,2\n": "quoted by '",
    "a\n1\n\n2\n": "line 3 is blank in a file of one column",
    "a\n\n": "line 2 is blank in a file of one column",
    "\n1\n": "line 1 is blank in a file of one column",
    "a,b\n1,2\n\0,3\n": "line 3 has characters NUL",
    '""\n': "may be names or data",
    "\f\n0,5\n": r"line 1 is '\\x0c', which may be names or data",
    'a\n1\n""\n': r"row 1 \(line 3\), column 0 \('a'\), is missing",
    'a,b\n1,"2\n': "cannot be read",
    "a,b\n1,\"2\"3\n": "cannot be read",
    b"\x1f\x8b\x08\x00": "is gzip",
    "a,b\n1,2\n".encode("utf-16"): "is UTF-16",
    b"\xe9,b\n1,2\n": "expected UTF-8 text",
    b"a,b\n1,2\n\xe9,2\n": "line 3 cannot be read .*expected UTF-8 text",
    "a,b\n1,2\n1,\"3\"4\n5,6\n": "line 3 cannot be read",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=repr)
def test_what_is_refused_says_what_to_do(text, tmp_path):
    with pytest.raises(ContentsError, match=REFUSED[text]):
        table(tmp_path / "a.csv", text)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (b"\xef\xbb\xbfa,b\r\n1,2\r\n3,4\r\n", {}),
        ("\n\na,b\n\n1,2\n \n3,4\n\n\n", {}),
        ("a,b\r1,2\r3,4", {}),
        ('"a","b"\n"1"," 2"\n3,4.\n', {}),
        ("a;b\n+1;2\n3;4e0\n", {"separator": ";"}),
        ("a\tb\n1\t2\n3\t4\n", {"separator": "\t"}),
        ("a  b\n1  2\n3 4\n", {"separator": " "}),
        ("a,b,\n1,2,\n3,4,\n", {"drop": [2]}),
        ("a,b,c\n1,2,x y\n3,4,\n", {"columns": ["a", "b"]}),
    ],
)
def test_what_is_read(text, options, tmp_path):
    if options.get("separator") == " ":
        with pytest.raises(ContentsError):  # several blanks are several cells
            table(tmp_path / "a.csv", text, **options)
        return
    x, _, names = table(tmp_path / "a.csv", text, **options)
    np.testing.assert_array_equal(x, [[1, 2], [3, 4]])
    assert names == ("a", "b")


def test_compressed_names_and_options_of_tables_elsewhere(tmp_path):
    for name in ("a.csv.zst", "a.parquet.gz"):
        (tmp_path / name).write_bytes(b"\x1f\x8b")
        with pytest.raises(ValueError, match="compressed; unpack it first"):
            stream(tmp_path / name)
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"label, header: only tables"):
        stream(tmp_path / "a.npz", label="y", header=True)
    with pytest.raises(ValueError, match="only tables"):
        stream(lambda: iter([np.zeros(2)]), columns=["a"])


# Without \r, which pandas leaves without quotes: "a\r" ends as "a" in a file of CRLF does.
NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=6),
    min_size=1, max_size=4, unique=True,
)  # fmt: skip
VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**60), 2**60),
    st.booleans(),
    st.sampled_from([None, float("nan"), float("inf"), 1700000000.123, 0.1, "text"]),
)


@st.composite
def frames(draw):
    names = draw(NAMES)
    rows = draw(st.integers(1, 4))
    kinds = [draw(st.sampled_from(["float", "int", "bool", "any"])) for _ in names]
    simple = {
        "float": st.floats(allow_nan=False, allow_infinity=False), "int": st.integers(-99, 99),
        "bool": st.booleans(), "any": VALUES,
    }  # fmt: skip
    return {n: [draw(simple[k]) for _ in range(rows)] for n, k in zip(names, kinds, strict=True)}


def by_csv(columns, path, **dialect):
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, **dialect).writerows(rows)


WRITERS = {
    "csv": by_csv,
    "csv all quoted": lambda c, p: by_csv(c, p, quoting=csv.QUOTE_ALL),
    "csv text quoted": lambda c, p: by_csv(c, p, quoting=csv.QUOTE_NONNUMERIC),
    "csv quoted by '": lambda c, p: by_csv(c, p, quoting=csv.QUOTE_NONNUMERIC, quotechar="'"),
    "csv semicolon": lambda c, p: by_csv(c, p, delimiter=";"),
    "csv tab": lambda c, p: by_csv(c, p, dialect="excel-tab"),
    "csv unix": lambda c, p: by_csv(c, p, dialect="unix"),
    "csv escaped": lambda c, p: by_csv(c, p, doublequote=False, escapechar="\\"),
    "pandas": lambda c, p: pd.DataFrame(c).to_csv(p, index=False),
    "pandas index": lambda c, p: pd.DataFrame(c).to_csv(p),
    "pandas BOM": lambda c, p: pd.DataFrame(c).to_csv(p, index=False, encoding="utf-8-sig"),
    "pandas comma": lambda c, p: pd.DataFrame(c).to_csv(p, index=False, sep=";", decimal=","),
    "pandas commas": lambda c, p: pd.DataFrame(c).to_csv(p, index=False, decimal=","),
    "pandas ?": lambda c, p: pd.DataFrame(c).to_csv(p, index=False, na_rep="?"),
    "pandas CRLF": lambda c, p: pd.DataFrame(c).to_csv(p, index=False, lineterminator="\r\n"),
    "polars": lambda c, p: pl.DataFrame(c, strict=False).write_csv(p),
    "pyarrow": lambda c, p: arrow_csv.write_csv(pyarrow.Table.from_pandas(pd.DataFrame(c)), p),
    "no names": lambda c, p: pd.DataFrame(c).to_csv(p, index=False, header=False),
}


def as_text_says(columns, writer, path, separator):
    """The table that a text says, which is another one where two tables have the same text."""
    data = path.read_bytes()
    first, *others = columns
    if data.startswith(b"\xef\xbb\xbf") and writer != "pandas BOM":  # the mark of UTF-8
        columns = {first[1:]: columns[first], **{name: columns[name] for name in others}}
    if writer == "pandas comma" and separator == "," and not others and "," in first:
        names, *rows = [line.split(",") for line in data.decode("utf-8-sig").split("\n") if line]
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))  # one of "0,5", or two
    return columns


@pytest.mark.parametrize("writer", WRITERS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    columns=frames(), separator=st.sampled_from([",", ";", "\t"]),
    decimal=st.sampled_from([".", ","]),
)  # fmt: skip
@example(columns={":,<": [0.5, 1.25]}, separator=",", decimal=".")
@example(columns={"a,b": [0.5, -2.0], "c": [1, 2]}, separator=",", decimal=",")
@example(columns={"\ufeffa": [0.5, 1.25]}, separator=",", decimal=".")
@example(columns={"heat in °C; inside": [5, 6]}, separator=",", decimal=".")
@example(columns={"a": [0.0], "b": [None]}, separator=",", decimal=".")
@example(columns={"a": [0, 0], ":": [0, 0]}, separator=";", decimal=",")
@example(columns={"a": [1], "b": [2]}, separator=";", decimal=",")
@example(columns={"0": [1], "1": [2]}, separator=";", decimal=",")
def test_what_others_write_comes_back_equal_or_is_refused(
    writer, columns, separator, decimal, tmp_path
):
    path = tmp_path / "a.csv"
    try:
        WRITERS[writer](columns, path)
    except Exception:  # what they cannot write is no file
        return
    try:
        x, _, names = table(path, separator=separator, decimal=decimal)
    except ContentsError:
        return
    columns = as_text_says(columns, writer, path, separator)
    if writer == "no names" and (names is not None or not len(x)):
        strings = any(isinstance(values[0], str) for values in columns.values())
        assert strings or (decimal == "," and not len(x))  # for which 0.5 is text
        return  # a first line of text is one of names
    expected = np.array([[float(v) for v in values] for values in columns.values()]).T
    assert x.shape == expected.shape
    if writer != "polars" and writer != "pyarrow":  # those give integers beside floats their type
        exact = [[int(v) == v == w for v, w in zip(*pair, strict=True)]
                 for pair in zip(columns.values(), x.T, strict=True)
                 if all(isinstance(v, int) for v in pair[0])]  # fmt: skip
        assert all(map(all, exact))
    np.testing.assert_array_equal(x, expected)
    assert names == (None if writer == "no names" else tuple(columns))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=60) | st.text("0123456789,;.\n\r\"'# eEabNA?-", max_size=60))
def test_any_bytes_are_rows_of_numbers_or_refused(data, tmp_path):
    try:
        x, *_ = table(tmp_path / "a.csv", data)
    except ContentsError:
        return
    assert x.dtype == "float64"
    text = (data if isinstance(data, str) else data.decode("utf-8-sig")).replace("\ufeff", "")
    lines = [r for r in csv.reader(io.StringIO(text, newline="")) if any(c.strip() for c in r)]
    assert len(lines) - 1 <= len(x) <= len(lines)
    assert len(x) == 0 or np.isfinite(x).all() or re.search(r"[eE]|\d{308}", text)


NUMBERS = r"[+-]?([0-9]{1,25}\.?[0-9]{0,25}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?"


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.from_regex(NUMBERS, fullmatch=True), comma=st.booleans())
def test_a_value_is_the_nearest_to_its_text(text, comma, tmp_path):
    lines = f"a;b\n1;{text.replace('.', ',') if comma else text}\n"
    options = {"separator": ";", "decimal": "," if comma else "."}
    if re.fullmatch(r"[+-]?\d+", text) and int(text) != int(float(text)):
        with pytest.raises(ContentsError, match="an integer that float64 cannot represent"):
            table(tmp_path / "a.csv", lines, **options)
    else:
        x, *_ = table(tmp_path / "a.csv", lines, **options)
        assert x.tolist() == [[1, float(text)]]


CELLS = st.sampled_from(["1", "-2.5", '"3"', " 4 ", "True", '"5\n"', "1e-3"])


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=30),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\n \n"]), min_size=1),
    mark=st.sampled_from(["", "\ufeff"]), wrong=st.none() | st.integers(0, 29),
)  # fmt: skip
def test_where_blocks_end_does_not_matter(rows, ends, mark, wrong, tmp_path):
    lines = ['"a",b', *map(",".join, rows)]
    if wrong is not None and wrong < len(rows):
        lines[1 + wrong] = '1,"2"3'
    text = mark + "".join(line + ends[k % len(ends)] for k, line in enumerate(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_text, "_BLOCK", 40)
        patch.setattr(csv_text, "_CELL", 1)
        if wrong is not None and wrong < len(rows):
            with pytest.raises(ContentsError, match="cannot be read"):
                table(tmp_path / "a.csv", text)
            return
        x, _, names = table(tmp_path / "a.csv", text)
    assert names == ("a", "b")
    known = {"True": 1.0}
    assert x.tolist() == [[known.get(c, 0) or float(c.strip('"')) for c in row] for row in rows]


def test_decimal_commas_are_an_option(tmp_path):
    path = tmp_path / "a.csv"
    pd.DataFrame({"a": [1.5, -2e-3], "b": [3, 4]}).to_csv(path, sep=";", decimal=",", index=False)
    found = stream(path, separator=";", decimal=",", label="b")
    ((x, y),) = found.as_numpy_iterator()
    assert x.tolist() == [[1.5], [-2e-3]]
    assert y.tolist() == [3, 4]
    with pytest.raises(ContentsError, match=r"holds '1,5', not a number; .*pass decimal=','"):
        stream(path, separator=";")
    with pytest.raises(ContentsError, match=r"with a decimal point, or pass decimal=',', and with"):
        table(tmp_path / "b.csv", 'a,b\n"1,5",1\n')
    for wrong in ("1.234", "1.234,5", "1,234,567", "1e5.0"):
        with pytest.raises(ContentsError, match=rf"\(line 2\), column 0 \('a'\), holds '{wrong}'"):
            table(path, f"a;b\n{wrong};1\n", separator=";", decimal=",")
    x, _, names = table(path, "0,5;-1,5;1\n2,5;3;4\n", separator=";", decimal=",")
    assert (x.tolist(), names) == ([[0.5, -1.5, 1], [2.5, 3, 4]], None)
    assert table(path, "a\n1,5\n", separator=";", decimal=",")[0].tolist() == [[1.5]]
    with pytest.raises(ValueError, match=r"decimal must be '\.' or ',', got"):
        stream(path, separator=";", decimal="'")


def test_decimal_commas_in_quotes_where_commas_separate_the_cells(tmp_path):
    path = tmp_path / "a.csv"
    frame = pd.DataFrame({"a": [1.5, -2e-3, 3], "b, c": [2.75, 4, 1e9]})
    frame.to_csv(path, decimal=",", index=False)
    assert path.read_text().startswith('a,"b, c"\n"1,5","2,75"\n')
    np.testing.assert_array_equal(read(stream(path, decimal=",")), frame)
    np.testing.assert_array_equal(pd.read_csv(path, decimal=","), frame)
    assert table(path, 'a\n"0,5"\n2\n', decimal=",")[0].tolist() == [[0.5], [2]]
    for text in ("a;b\n1,5;2,5\n", "1,5;2,5\n3,5;4,5\n", "a, mm;b\n1,5;2\n"):
        with pytest.raises(ContentsError, match=r"line 1 has .*';'; pass separator=';' if"):
            table(path, text, decimal=",")
    with pytest.raises(ContentsError, match=r"row 0 \(line 2\) has 4 values, expected 2"):
        table(path, "a,b\n1,5,2,75\n", decimal=",")
    x, _, names = table(path, '"a;b",c\n"1,5",2\n', decimal=",")
    assert (x.tolist(), names) == ([[1.5, 2]], ("a;b", "c"))


@pytest.mark.parametrize("name", ["heat in °C", "a;b", "time: s", "a\tb", "a|b", '"a,b"', "- -"])
def test_the_only_column_may_have_any_name_if_its_first_row_has_no_other_separator(name, tmp_path):
    x, _, names = table(tmp_path / "a.csv", f"{name}\n5\n6.5\n")
    assert (x.tolist(), names) == ([[5], [6.5]], (name.strip('"'),))
    for text in (f"{name}\n", f"{name}\n1{name.strip('ab')}2\n"):
        if "," not in name:
            with pytest.raises(ContentsError, match=r"line 1 has no ',' but '.*pass separator="):
                table(tmp_path / "a.csv", text)


def test_the_only_column_of_decimal_commas_needs_another_separator(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(ContentsError, match=r"2 values, expected 1 .*decimal=',' and separator="):
        table(path, "heat\n0,5\n1,25\n")
    for name in ("heat", "heat, °C", ":,<"):
        text = f"{name}\n0,5\n1,25\n"
        header = True if "," in name else None
        x, _, names = table(path, text, separator=";", decimal=",", header=header)
        assert (x.tolist(), names) == ([[0.5], [1.25]], (name,))
        if header:  # it may be two columns of integers
            with pytest.raises(
                ContentsError, match=r"header=True .*separator=',' with decimal='.'"
            ):
                table(path, text, separator=";", decimal=",")
    # Nothing in the text tells these from two columns of integers.
    x, _, names = table(path, ":,<\n0,5\n1,25\n")
    assert (x.tolist(), names) == ([[0, 5], [1, 25]], (":", "<"))


def test_gzip_is_read_as_it_is(tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(5000, 2)), columns=["a", "b"])
    path = tmp_path / "a.csv.gz"
    frame.to_csv(path, index=False, encoding="utf-8-sig")
    np.testing.assert_array_equal(read(stream(path)), frame)
    content = path.read_bytes()
    for damaged in (content[:-900], content[:500] + b"\0\0" + content[502:], b"a,b\n1,2\n"):
        path.write_bytes(damaged)
        with pytest.raises((ContentsError, tf.errors.InvalidArgumentError), match="damaged"):
            list(stream(path))


MEMORY = """
import resource, sys
from pathlib import Path
from delvm_tf.datasets.streams import stream
path = Path(sys.argv[1])
ds = stream(path, 256, shuffle=1000)
assert sum(len(x) for x in ds) == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    block = "".join(",".join([f"{k}.5"] * 30) + "\n" for k in range(10_000))

    def peak(blocks):
        path = tmp_path / f"{blocks}.csv"
        with path.open("w") as file:
            for _ in range(blocks):
                file.write(block)
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, path, str(10_000 * blocks)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return float(done.stdout.split()[-1])

    assert peak(200) < peak(10) + 150  # 350 MB and 18 MB
