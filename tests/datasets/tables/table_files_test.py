"""Mixed tables are read as they are meant, or refused with the place and what to do."""

import csv
import datetime
import decimal
import gzip
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather

import delvm_tf as dv
from delvm_tf.datasets import ContentsError, open_table
from delvm_tf.datasets.streams import csv_text
from delvm_tf.datasets.tables import sources

TEXT = """id,heat,open,site,day,code
1, 20.5,true, north,2021-01-01,007
2,NA,False,NA,2021-01-02,123
3,-1e3,,"so,uth",,5
"""


def written(folder, text, name="a.csv"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def column(folder, *cells, **options):
    """The kind and the cells of a column of text."""
    text = "x,y\n" + "".join(f"{cell},1\n" for cell in cells)
    table = open_table(written(folder, text), columns="x", **options)
    return table.kinds["x"], table.read()[0]["x"].to_pylist()


def test_each_column_is_what_all_its_cells_are(tmp_path):
    table = open_table(written(tmp_path, TEXT), drop="id")
    assert table.names == ("heat", "open", "site", "day", "code")
    assert table.kinds == {
        "heat": "number", "open": "boolean", "site": "text", "day": "date", "code": "text"
    }  # fmt: skip
    rows, labels = table.read()
    assert labels is None
    assert rows.to_pydict() == {
        "heat": [20.5, None, -1000.0],
        "open": [True, False, None],
        "site": ["north", "NA", "so,uth"],  # a category, as any other
        "day": [datetime.datetime(2021, 1, 1), datetime.datetime(2021, 1, 2), None],
        "code": ["007", "123", "5"],
    }


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", " +2.5 ", "-.5e1"], "number", [1.0, 2.5, -5.0]),
        (["1", "NA", "n/a", "nan", "NULL", "None", "?", "-", ""], "number", [1.0] + [None] * 8),
        (["TRUE", "false", "NA"], "boolean", [True, False, None]),
        (["0", "1"], "number", [0.0, 1.0]),
        (["10:30", "23:59:05"], "date", [datetime.time(10, 30), datetime.time(23, 59, 5)]),
        (["2021-01-01T10:00:00Z", "2021-01-01 12:00:00+01:00"], "date", None),
        (["2021-01-01T10:00:00Z", "2021-01-01 12:00:00"], "text", None),
        (["a", "NA", "None", ""], "text", ["a", "NA", "None", None]),
        (["007", "12"], "text", ["007", "12"]),
        (["01.5", "0"], "number", [1.5, 0.0]),
        (["NA", "", "-"], "nothing", [None] * 3),
        (["nan(1)", "a"], "text", ["nan(1)", "a"]),
        (["0x10", "1_0"], "text", ["0x10", "1_0"]),
        (["١", "٢"], "text", ["١", "٢"]),
        (['"1,5"', '"a,b"'], "text", ["1,5", "a,b"]),
        (['"a ""b"" c"', '"two\nlines"'], "text", ['a "b" c', "two\nlines"]),
        (["inf", "a"], "text", ["inf", "a"]),
    ],
)  # fmt: skip
def test_cells(cells, kind, values, tmp_path):
    found, read = column(tmp_path, *cells)
    assert found == kind
    assert values is None or read == values


def test_one_cell_in_the_last_file_settles_a_column(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_text, "_BLOCK", 64)
    monkeypatch.setattr(csv_text, "_CELL", 1)
    monkeypatch.setattr(sources, "_ROWS_AT_ONCE", 1)
    for k in range(3):
        written(tmp_path, "x,y\n" + "1,2\n" * 50, f"{k}.csv")
    table = open_table(tmp_path)
    assert table.kinds == {"x": "number", "y": "number"}
    assert len([*table]) > 6
    written(tmp_path, "x,y\n" + "1,2\n" * 50 + "error,2\n", "3.csv")
    table = open_table(tmp_path)
    with pytest.warns(UserWarning, match=r"'x' is text, for row 50 of .*3\.csv holds 'error', alt"):
        assert table.kinds == {"x": "text", "y": "number"}
    assert table.read()[0]["x"].to_pylist() == ["1"] * 200 + ["error"]


@pytest.mark.parametrize(
    ("cells", "options", "match"),
    [
        (['"3,14"', "2"], {}, "'x' holds numbers with ','.*'3,14'.*write numbers.*kinds="),
        (['"1,234.5"', "2"], {}, "without separators of thousands"),
        (["1.5", "2"], {"decimal": ",", "separator": ";"}, "holds numbers with '.'"),
        (["31.12.2021", "1.1.2022"], {}, "dates that are not written as 2026-11-27.*31.12.2021"),
        (["12/31/2021"], {}, "dates that are not written"),
        (["1", "inf"], {}, r"row 1 \(line 3\), column 'x', is infinite"),
        (["1e999"], {}, "is infinite"),
        (["9007199254740993", "1"], {}, r"row 0 \(line 2\), column 'x', is 9007199254740993"),
        (["a", "1"], {"kinds": {"x": "number"}}, r"row 0 \(line 2\), column 'x', holds 'a', not"),
        (["2021-01-01", "10:30"], {"kinds": {"x": "date"}}, "holds '10:30', not a date"),
        (["true", "2"], {"kinds": {"x": "boolean"}}, "holds '2', not a boolean"),
    ],
)  # fmt: skip
def test_what_is_refused(cells, options, match, tmp_path):
    text = "x,y\n" + "".join(f"{cell},1\n" for cell in cells)
    if "separator" in options:
        text = text.replace(",", ";")
    with pytest.raises(ContentsError, match=match):
        open_table(written(tmp_path, text), columns="x", **options).read()


def test_decimal_commas(tmp_path):
    path = written(tmp_path, "x;y\n1,5;a\n-2;b\n;b\n")
    with pytest.raises(ContentsError, match=r"holds '1,5'; pass decimal=',' if .*or write numbers"):
        open_table(path, separator=";", columns="x").read()
    rows, _ = open_table(path, separator=";", decimal=",").read()
    assert rows.to_pydict() == {"x": [1.5, -2.0, None], "y": ["a", "b", "b"]}


def test_codes_may_be_numbers_and_numbers_text_if_one_says_so(tmp_path):
    assert column(tmp_path, "007", "12", kinds={"x": "number"}) == ("number", [7.0, 12.0])
    assert column(tmp_path, "7", "NA", kinds={"x": "text"}) == ("text", ["7", "NA"])
    assert column(tmp_path, '"3,14"', kinds={"x": "text"}) == ("text", ["3,14"])
    with pytest.raises(ValueError, match="unknown kind 'float'"):
        column(tmp_path, "1", kinds={"x": "float"})
    with pytest.raises(ValueError, match="kinds names 'z', which is no feature"):
        column(tmp_path, "1", kinds={"z": "text"})


def test_known_kinds_choose_the_columns_and_hold_for_other_files(tmp_path):
    table = open_table(written(tmp_path, TEXT), drop="id")
    schema = dv.schema.learn_schema(table.read()[0].drop(["day"]))
    new = written(tmp_path, "more,code,site,open,heat\n9,1,NA,1,7\n9,02,2,true,\n", "new.csv")
    known = open_table(new).with_kinds(schema.kinds)
    assert known.names == schema.names
    assert known.read()[0].to_pydict() == {
        "heat": [7.0, None], "open": [1.0, 1.0], "site": ["NA", "2"], "code": ["1", "02"]
    }  # fmt: skip
    few = open_table(written(tmp_path, "heat,site\n1,b\n", "few.csv"))
    with pytest.raises(ContentsError, match=r"few\.csv has no columns 'open', 'code'"):
        few.with_kinds(schema.kinds)


def test_labels(tmp_path):
    path = written(tmp_path, "x,y,z\na,1,true\nb,0,false\n,1,true\n")
    for label, values in {"y": [1, 0, 1], "z": [1, 0, 1], -1: [1, 0, 1]}.items():
        _, labels = open_table(path, label=label).read()
        assert labels.dtype == np.int64
        assert labels.tolist() == values
    with pytest.raises(ContentsError, match=r"labels in the column 'x' are text, .*0 for normal"):
        open_table(written(tmp_path, "x,y\na,1\n", "b.csv"), label="x").read()
    with pytest.raises(ContentsError, match=r"row 2 \(line 4\), column 'x', has no label"):
        open_table(path, label="x").read()
    with pytest.raises(ContentsError, match=r"label of row 0 is 0\.5, not an integer"):
        open_table(written(tmp_path, "x,y\na,0.5\n", "c.csv"), label="y").read()


def test_chunks_say_where_they_are_from(tmp_path):
    for k in range(2):
        written(tmp_path, "x,y\n" + "".join(f"{k},{n}\n" for n in range(5)), f"{k}.csv")
    table = open_table(tmp_path, label="y")
    for _ in range(2):
        chunks = list(table.batches(rows=2))
        where = [(c.file.name, c.first, len(c.table), c.labels.tolist()) for c in chunks]
        each = [(0, 2, [0, 1]), (2, 2, [2, 3]), (4, 1, [4])]
        assert where == [(f"{k}.csv", *some) for k in range(2) for some in each]
    assert [len(part) for part in table] == [5, 5]
    with pytest.raises(ValueError, match="rows must be positive"):
        next(table.batches(rows=0))


def test_columns_of_several_files_are_matched_by_name(tmp_path):
    written(tmp_path, "x,y\n1,a\n", "a.csv")
    written(tmp_path, "y,x\nb,2\n", "b.csv")
    assert open_table(tmp_path).read()[0].to_pydict() == {"x": [1.0, 2.0], "y": ["a", "b"]}
    written(tmp_path, "y,z\nb,2\n", "c.csv")
    with pytest.raises(ContentsError, match=r"c\.csv: its columns .* lacks 'x' and has 'z' bes"):
        open_table(tmp_path)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("x,y\n1,a\n2\n", r"row 1 \(line 3\) has 1 values, expected 2"),
        ("x,y\n1,a\n2,b,c\n", "has 3 values, expected 2"),
        ("x,x\n1,a\n", "several columns are called 'x'"),
        ("x, x\n1,a\n", "several columns are called 'x'"),
        (",x\n1,a\n", "'Unnamed: 0', is an index or has no name"),
        ("a,b\nc,d\n", "may be names or data"),
        ("2021-01-01,b\n2021-01-02,d\n", "may be names or data"),
        ("5,b\n6,d\n", "may be names or data"),
        ("x;y\n1;a\n", "pass separator=';'"),
        ("x\n1\n\n2\n", "is blank in a file of one column"),
        ("", "is empty"),
        (b"x,y\n1,\xff\n", "UTF-8"),
        ('x,y\n1,a "b\n', "quote"),
        ("x,y\n1,a\n2,b\0\n", r"line 3 has characters NUL.*write it as UTF-8"),
        ("x,y\n1,a\n".encode("utf-16-le"), "line 1 has characters NUL"),
        ("\n1\n2\n", "line 1 is blank in a file of one column"),
    ],
)
def test_damaged_and_ambiguous_files(text, match, tmp_path):
    with pytest.raises(ContentsError, match=match):
        open_table(written(tmp_path, text)).read()


def test_another_separator_is_thought_of_where_it_is_the_decimal_mark(tmp_path):
    path = written(tmp_path, "site,load\nnorth,3.5\n")
    with pytest.raises(ContentsError, match=r"data; .* pass separator=',' with decimal='\.' if"):
        open_table(path, separator=";", decimal=",").read()


def test_blank_lines_before_the_name_of_one_column(tmp_path):
    rows = open_table(written(tmp_path, "\n\nx\n1\n2\n"), header=True).read()[0]
    assert rows.to_pydict() == {"x": [1.0, 2.0]}
    with pytest.raises(ContentsError, match="line 1 is blank in a file of one column"):
        open_table(written(tmp_path, " \n1\n2\n"), header=False)
    with pytest.raises(ContentsError, match="is empty"):
        open_table(written(tmp_path, " "), header=False)


@pytest.mark.parametrize(("separator", "line"), [("\t", "\t"), (" ", " ")])
def test_a_short_line_of_separators_is_a_row(separator, line, tmp_path):
    text = "x,y,z\n1,2,3\n".replace(",", separator) + f"{line}\n" + separator.join("456")
    with pytest.raises(ContentsError, match=r"row 1 \(line 3\) has 2 values, expected 3"):
        open_table(written(tmp_path, text), separator=separator).read()


def test_damaged_archives_are_named(tmp_path):
    whole = gzip.compress("".join(["x,y\n", *("1,a\n" * 2000)]).encode())
    changed = bytearray(whole)
    changed[-5] ^= 1  # of the length
    for data in (b"\x1f", whole[:5], whole[:30], whole[:-9], bytes(changed), b"\x1f\x8b" + whole):
        with pytest.raises(ContentsError, match=r"a\.csv\.gz cannot be read .*damaged"):
            open_table(written(tmp_path, data, "a.csv.gz")).read()


def test_headers(tmp_path):
    rows = open_table(written(tmp_path, "a,b\nc,d\n"), header=True).read()[0]
    assert rows.to_pydict() == {"a": ["c"], "b": ["d"]}
    rows = open_table(written(tmp_path, "5,b\nNA,d\n"), header=False).read()[0]
    assert rows.to_pydict() == {"0": [5.0, None], "1": ["b", "d"]}
    rows = open_table(written(tmp_path, "5,b\n6,d\n"), header=False, columns=["1"]).read()[0]
    assert rows.to_pydict() == {"1": ["b", "d"]}
    rows = open_table(written(tmp_path, "\ufeff a ,b\nc,d\n"), columns=["a"]).read()[0]
    assert rows.to_pydict() == {"a": ["c"]}  # known by its name
    rows = open_table(written(tmp_path, "a,b\nc,d\n"), kinds={"b": "text"}).read()[0]
    assert rows.to_pydict() == {"a": ["c"], "b": ["d"]}
    with pytest.raises(ContentsError, match="has no rows"):
        open_table(written(tmp_path, "a,b\n")).read()


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_typed_files(ending, tmp_path):
    frame = pd.DataFrame(
        {
            "n": [1, 2, 3],
            "f": [1.5, None, 2.5],
            "t": pd.Categorical(["a", None, "b"]),
            "d": pd.to_datetime(["2021-01-01", None, "2021-01-02"]),
            "b": [True, False, True],
            "none": [None] * 3,
            "label": [0, 1, 0],
        }
    )
    getattr(frame, f"to_{ending}")(tmp_path / f"a.{ending}")
    table = open_table(tmp_path, label="label")
    assert [*table.kinds.values()] == ["number", "number", "text", "date", "boolean", "nothing"]
    rows, labels = table.read()
    assert rows["n"].to_pylist() == [1.0, 2.0, 3.0]
    assert rows["t"].to_pylist() == ["a", None, "b"]
    first, second = datetime.datetime(2021, 1, 1), datetime.datetime(2021, 1, 2)
    assert rows["d"].to_pylist() == [first, None, second]
    assert labels.tolist() == [0, 1, 0]
    with pytest.raises(ContentsError, match=r"the column 'n' holds number .*, expected text"):
        table.with_kinds({"n": "text"}).read()
    assert table.with_kinds({"b": "number"}).read()[0]["b"].to_pylist() == [1.0, 0.0, 1.0]
    getattr(frame.assign(n=["x"] * 3), f"to_{ending}")(tmp_path / f"b.{ending}")
    with pytest.raises(ContentsError, match=r"b\.\w+: the column 'n' holds text .* in another"):
        _ = open_table(tmp_path).kinds


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        (pa.array([1, 2**63], pa.uint64()), "number", [1.0, 2.0**63]),
        (pa.array([decimal.Decimal("1.5"), None]), "number", [1.5, None]),
        (pa.array([decimal.Decimal("0.0501")], pa.decimal128(38, 4)), "number", [0.0501]),
        (pa.array([3, None]).dictionary_encode(), "text", ["3", None]),
        (pa.array(["a", None], pa.large_string()), "text", ["a", None]),
        (pa.array([datetime.time(1, 2)]), "date", [datetime.time(1, 2)]),
        (pa.array([datetime.date(2020, 1, 2)]), "date", [datetime.datetime(2020, 1, 2)]),
        (pa.array([1], pa.duration("s")), "date", [datetime.timedelta(seconds=1)]),
        (pa.array([b"a"]), "binary", [b"a"]),
    ],
)
def test_types(column, kind, values, tmp_path):
    feather.write_feather(pa.table({"x": column}), tmp_path / "a.feather")
    table = open_table(tmp_path)
    assert table.kinds == {"x": kind}
    assert table.read()[0]["x"].to_pylist() == values


def test_typed_values_that_are_refused(tmp_path):
    refused = {
        (1, 2**53 + 1): "is 9007199254740993, an integer",
        (decimal.Decimal(1), decimal.Decimal(2**53 + 1)): "is 9007199254740993, an integer",
        (1.0, np.inf): "is infinite",
    }
    for values, match in refused.items():
        pl.DataFrame({"x": values}).write_parquet(tmp_path / "a.parquet")
        with pytest.raises(ContentsError, match=f"row 1, column 'x', {match}"):
            open_table(tmp_path).read()
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(ContentsError, match="cannot be read"):
        open_table(tmp_path).read()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_folders_are_columns(ending, tmp_path):
    for site, year in ("007", "2020"), ("a%20b", "2021"), ("c", "__HIVE_DEFAULT_PARTITION__"):
        folder = tmp_path / f"site={site}" / f"year={year}"
        folder.mkdir(parents=True)
        frame = pl.DataFrame({"x": [1.0, 2.0], "y": ["p", "q"]})
        getattr(frame, f"write_{ending}")(folder / f"part.{ending}")
    table = open_table(tmp_path)
    assert table.kinds == {"x": "number", "y": "text", "site": "text", "year": "number"}
    rows, _ = table.read()
    assert rows["site"].to_pylist() == ["007", "007", "a b", "a b", "c", "c"]
    assert rows["year"].to_pylist() == [2020.0, 2020.0, 2021.0, 2021.0, None, None]
    by_folder = open_table(tmp_path, label="year", drop="x", columns=None)
    with pytest.raises(ContentsError, match="has no label"):
        by_folder.labels()
    known = open_table(tmp_path, columns=["site", "x"])
    assert known.read()[0].column_names == ["site", "x"]


def test_a_folder_may_be_the_label(tmp_path):
    for bad in range(2):
        written(tmp_path, "x,y\n1,a\n2,b\n", f"bad={bad}/a.csv")
    table = open_table(tmp_path, label="bad")
    assert table.labels().tolist() == [0, 0, 1, 1]
    assert table.names == ("x", "y")
    assert table.read()[1].tolist() == [0, 0, 1, 1]


def test_thousands_of_columns(tmp_path):
    frame = pl.DataFrame(np.random.default_rng(0).normal(size=(20, 3000)))
    frame.write_csv(tmp_path / "a.csv")
    table = open_table(tmp_path)
    assert {*table.kinds.values()} == {"number"}
    np.testing.assert_array_equal(table.read()[0].to_pandas().to_numpy(), frame.to_numpy())


@pytest.mark.parametrize(
    ("column", "match"),
    [
        (pa.array([1, 2**50], pa.timestamp("s")), "'x' cannot be read after row 0 .*out of bounds"),
        (pa.array([1, 2**50], pa.duration("s")), "'x' cannot be read after row 0 .*out of bounds"),
        (pa.array([2**31 - 1], pa.date32()), "'x' cannot be read after row 0 .*out of bounds"),
        (
            pa.StringArray.from_buffers(
                1, pa.array([0, 1], "int32").buffers()[1], pa.py_buffer(b"\xff")
            ),
            r"a\.feather cannot be read .*Invalid UTF8.*damaged",
        ),
    ],
)
def test_typed_values_that_nothing_can_hold(column, match, tmp_path):
    feather.write_feather(pa.table({"x": column}), tmp_path / "a.feather")
    with pytest.raises(ContentsError, match=match):
        open_table(tmp_path).read()


ROWS = st.lists(
    st.tuples(
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
        st.none() | st.booleans(),
        st.none() | st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)),
    ),
    min_size=1, max_size=20,
)  # fmt: skip


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS)
def test_what_is_written_is_read(rows, tmp_path):
    rows = [(1.0, "t", True, datetime.datetime(2020, 1, 1)), *rows]
    rows = [(n, t if t is None else f"t{t}t", b, d) for n, t, b, d in rows]
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("n", "t", "b", "d"), *rows])
    read = open_table(tmp_path).read()[0]
    found = zip(*(read[name].to_pylist() for name in read.column_names), strict=True)
    assert [*found] == rows


def test_other_files_are_no_tables(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="is no table"):
        open_table(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_table(tmp_path / "*.csv")


def test_large_files_are_read_in_parts(tmp_path):
    pl.DataFrame({"x": np.arange(20_000.0)}).write_parquet(tmp_path / "a.parquet")
    chunks = list(open_table(tmp_path).batches())
    assert [chunk.first for chunk in chunks] == [0, 8192, 16384]
    assert chunks[2].table["x"][0].as_py() == 16384.0


ODD = "w,x,y,z\n" + "".join(f"{k},{k}.5,1/2/2026,a\n" for k in range(2000)) + "1,b,1/3/2026,c\n"


def test_all_columns_that_cannot_be_read_are_told_at_once(tmp_path):
    path = written(tmp_path, ODD.replace("1999,", "1e999,"), "odd.csv")
    table = open_table(path, kinds={"x": "number"})
    with pytest.raises(ContentsError, match="dates that are not written"):
        _ = table.kinds
    with pytest.raises(ContentsError) as told:
        table.read()
    assert told.value.columns == ["w", "x", "y"]
    assert "leave them out with drop=['w', 'x', 'y']" in str(told.value)
    assert table.without(told.value.columns).kinds == {"z": "text"}
    assert table.without(table.names) is None
    with pytest.raises(ContentsError, match=r"leave it out with columns=\['z', 'w'\]"):
        open_table(path, columns=["z", "y", "w"], kinds={"w": "text"}).read()
    with pytest.raises(ContentsError, match=r"no column 'y,z'.* names are drop=\['y', 'z'\]"):
        open_table(path, drop="y,z")
    with pytest.raises(ValueError, match=r"no features .* are kinds={'x': 'text', 'w': "):
        open_table(path, kinds={"x, w": "text", "v": "text"})
    path = written(tmp_path, 'p,q\n"1,5","2,5"\n"3,5","4,5"\n', "commas.csv")
    with pytest.raises(ContentsError) as told:
        _ = open_table(path).kinds
    assert "or pass kinds={'p': 'text', 'q': 'text'} if they are text" in str(told.value)
    assert "pass decimal=',' if that is the decimal mark" in str(told.value)
    rows, _ = open_table(path, decimal=",", header=True).read()
    assert rows.to_pydict() == {"p": [1.5, 3.5], "q": [2.5, 4.5]}
    alone = open_table(tmp_path / "odd.csv", columns="y")
    with pytest.raises(ContentsError, match="2026'; write dates so; or pass kinds="):
        alone.read()


def test_rows_before_the_first_cell_that_cannot_be_read_are_given(tmp_path):
    text = ODD.replace(",a\n", f",{'a' * 2000}\n")  # more than is read at once
    table = open_table(written(tmp_path, text), columns=["w", "x"], kinds={"x": "number"})
    given = []
    with pytest.raises(ContentsError, match=r"row 2000 .*'x', holds 'b'"):
        given.extend(len(chunk.table) for chunk in table.batches())
    assert 0 < sum(given) < 2001


def test_words_of_truth_are_numbers_among_zeros_and_ones_alone(tmp_path):
    known = {"x": "number"}
    table = open_table(written(tmp_path, "x,y\ntrue,1\n0,1\n1,1\nFALSE,1\n"))
    assert table.with_kinds(known).read()[0]["x"].to_pylist() == [1.0, 0.0, 1.0, 0.0]
    for cells, row in ((["true", "60.5"], 1), (["1", "2", "true"], 2)):
        text = "x,y\n" + "".join(f"{cell},1\n" for cell in cells)
        with pytest.raises(ContentsError, match=f"row {row} .*holds '{cells[-1]}', not a number"):
            open_table(written(tmp_path, text)).with_kinds(known).read()
    text = "x,y\n" + "1,1\n" * 5000 + "true,1\n" + "2,1\n" * 5000  # more than is read at once
    with pytest.raises(ContentsError, match="not a number"):
        open_table(written(tmp_path, text)).with_kinds(known).read()


@pytest.mark.parametrize("end", [b"\xff\n", b"1,\xff\n", b"\xc3", "ä".encode()[:1] + b",1\n"])
def test_bytes_that_are_not_text_are_an_error_and_nothing_is_printed(tmp_path, monkeypatch, end):
    """Arrow hands rows of another length to Python, and fails there if they are not UTF-8."""
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    path = written(tmp_path, "x,y\n1,ä\n".encode() + end)
    with pytest.raises(ContentsError, match=r"line 3 cannot be read .*expected UTF-8"):
        open_table(path, header=True).read()
    assert not printed
