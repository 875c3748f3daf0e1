"""Tables of every kind, whole and damaged: the cells that are written, or an error that helps.

What a .csv file holds is told by Python's `csv` and the rules of docs/howto/columns.md, written
down once more in the slowest way. Some hundred files each time, and thousands in the long tests.
"""

import csv
import datetime
import decimal
import gzip
import io
import math
import re
import warnings
import zlib
from collections import Counter

import pyarrow as pa
import pytest
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather, parquet

from delvm_tf.datasets import ContentsError, open_table

SIZES = [60, pytest.param(1500, marks=pytest.mark.slow)]
MISSING = {
    "", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "-nan", "-NaN", "NaT",
    "NULL", "null", "None", "none", "?", ".", "-", "--",
}  # fmt: skip
TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
DATE = r"\d{4}-\d\d-\d\d([ T]\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?)?"
ADVICE = re.compile(
    r"; |expected|pass |remove|rename|convert|correct|unpack|may be|damaged|no rows|is empty"
)


def helps(error, path):
    """An error must name the file and say what to do."""
    assert path.name in str(error), error
    assert ADVICE.search(str(error)), error


def read(path, **options):
    """The kinds and the cells of a table, or None if it is refused as it should be."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*of its .* cells are numbers")
        try:
            table = open_table(path, **options)
            kinds, (rows, _) = table.kinds, table.read()
        except (ContentsError, ValueError) as error:
            helps(error, path)
            return None
    rows.validate(full=True)
    return kinds, rows


def same(found, expected):
    """Whether cells are exactly those expected; NaN where one is missing counts as missing."""
    found = [None if isinstance(v, float) and math.isnan(v) else v for v in found]
    return found == expected and [*map(type, found)] == [*map(type, expected)]


# What a .csv file holds


def number(cell, mark):
    if mark == ",":
        cell = "no" if "." in cell else cell.replace(",", ".")
    plain = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell, re.ASCII)
    endless = re.fullmatch(r"[+-]?inf(inity)?", cell, re.IGNORECASE)
    return float(cell) if plain or endless else None


def code(cell):
    return re.fullmatch(r"[+-]?0\d+", cell, re.ASCII)


def moment(pattern):
    def parsed(cell):
        if not re.fullmatch(pattern, cell, re.ASCII):
            return None
        try:
            if cell[2] == ":":
                return datetime.time.fromisoformat(cell)
            when = datetime.datetime.fromisoformat(cell)
            return when.astimezone(datetime.UTC) if when.tzinfo else when
        except ValueError:
            return None

    return parsed


def held(cells, mark):
    """The kind and the values of a column of text."""
    cells = [cell.strip() for cell in cells]
    known = [cell for cell in cells if cell not in MISSING]
    if not known:
        return "nothing", [None] * len(cells)
    ways = [
        ("number", lambda cell: number(cell, mark)),
        ("boolean", TRUTH.get),
        ("date", moment(DATE)),
        ("date", moment(DATE + r"(Z|[+-]\d\d(:?\d\d)?)")),
        ("date", moment(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?")),
    ]
    for kind, way in ways:
        found = [way(cell) for cell in known]
        if None in found or (kind == "number" and any(map(code, known))):
            continue
        return kind, [None if cell in MISSING else way(cell) for cell in cells]
    return "text", [cell or None for cell in cells]


def lines_of(data, separator):
    """The lines of cells of a .csv file, and whether blank ones come before them and between them.

    None if the file is damaged.
    """
    try:
        text = data.decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except (UnicodeError, csv.Error):
        return None
    whole = [line for line in lines if not empty(line)]
    if not whole or "\0" in text or len({*map(len, whole)}) > 1:
        return None
    first = lines.index(whole[0])
    return whole, first > 0, len(whole) < len(lines) - first


def empty(line):
    return not line or (len(line) == 1 and line[0].isspace())


ODD = st.text(
    st.one_of(
        st.sampled_from(list("\"\"\n\r,;\t|' #\\\ufeff\u00a0\u2028é東.-+0159eE:TZ\x1f\x0b\x85")),
        st.characters(codec="utf-8"),
    ),
    max_size=6,
)  # fmt: skip
INTEGERS = st.integers(-99, 99) | st.integers(-(2**70), 2**70) | st.integers(2**53 - 2, 2**53 + 2)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SPELLED = st.one_of(
    FINITE.map(repr), FINITE.map("{:.25e}".format), st.floats(-1e6, 1e6).map("{:.3f}".format),
    INTEGERS.map(str), st.integers(0, 99).map("+{}".format),
    st.integers(0, 99).map("{:03d}".format),
    st.sampled_from([
        "1.", ".5", "-.5e1", "1E5", "+0", "-0", "-0.0", "00", "0.10", "1e-400", "1e400", "inf",
        "-Infinity", "4.9e-324", "2.4703282292062327e-324", "1e", "0x1p3", "1_000", "1,234.5",
        "nan(1)", "1 000", "١", "1d3", "1f", "9007199254740993.0", "1" * 40, "0." + "3" * 400,
        "1e00005", "1.7976931348623159e308",
    ]),
)  # fmt: skip
PLAIN = st.floats(-1e6, 1e6).map("{:.3f}".format)
WHEN = st.datetimes(datetime.datetime(1400, 1, 1), datetime.datetime(2900, 1, 1))
DATES = st.one_of(
    WHEN.map(lambda t: t.date().isoformat()),
    WHEN.map(lambda t: t.isoformat(timespec="seconds")),
    WHEN.map(lambda t: t.isoformat(" ", "microseconds")),
    WHEN.map(lambda t: t.isoformat(timespec="minutes")),
    WHEN.map(lambda t: f"{t:%d.%m.%Y}"),
    st.sampled_from(["2021-02-30", "2021-13-01", "2021-1-1"]),
)
ZONED = st.tuples(
    WHEN.map(lambda t: t.isoformat(timespec="seconds")),
    st.sampled_from(["Z", "+01:00", "-09:30", "+14:00"]),
).map("".join)
TIMES = st.times().map(lambda t: t.isoformat()) | st.sampled_from(["10:30", "24:00", "23:59:60"])
CELLS = [
    SPELLED, PLAIN, PLAIN.map(lambda s: s.replace(".", ",")), st.sampled_from([*TRUTH, "yes"]),
    st.sampled_from([*TRUTH]), DATES, WHEN.map(lambda t: t.date().isoformat()), ZONED, TIMES, ODD,
    st.sampled_from(["north", "so,uth", 'a "b"', "two\nlines", "x;y", "east\r", "tab\tbed"]),
]  # fmt: skip
NAMES = st.sampled_from(["a", "b", "a b", "x,y", 'in "cm"', " a", "1", "2"]) | ODD


@st.composite
def written(draw):
    """The bytes of a .csv file, the options to read it, and whether it is whole."""
    width, height = draw(st.integers(1, 4)), draw(st.integers(0, 8))
    columns = []
    for _ in range(width):
        cell = draw(st.sampled_from(CELLS))
        cell = draw(st.sampled_from([cell, cell, cell | st.sampled_from(sorted(MISSING))]))
        cell = draw(st.sampled_from([cell, cell, cell | ODD, cell.map(" {} ".format)]))
        columns.append(draw(st.lists(cell, min_size=height, max_size=height)))
    names = draw(st.permutations(["heat", "open", "Größe", "in cm", "b"]))[:width]
    if not draw(st.integers(0, 2)):
        names = draw(st.lists(NAMES, min_size=width, max_size=width))
    header = draw(st.sampled_from([True, True, None, False]))
    lines = [*([names] if header is not False else []), *map(list, zip(*columns, strict=True))]
    separator = draw(st.sampled_from([",", ",", ";", "\t", "|", " "]))
    mark = draw(st.sampled_from([".", ","]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    file = io.StringIO(newline="")
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    csv.writer(file, delimiter=separator, lineterminator=end, quoting=quoting).writerows(lines)
    text = file.getvalue()
    damage = draw(
        st.sampled_from(["none"] * 6 + ["ragged", "blank", "trailing", "bytes", "cut", "encoding"])
    )
    if damage == "trailing":
        text = text.replace(end, separator + end)
    if damage in ("ragged", "blank"):
        parts = text.split(end)
        odd = [f"1{separator}2{separator}3", "1", separator, '""', '"', 'a"b']
        odd = odd if damage == "ragged" else ["", " ", "\t", "  \t"]
        parts.insert(draw(st.integers(0, len(parts))), draw(st.sampled_from(odd)))
        text = end.join(parts)
    if damage == "none" and draw(st.booleans()):
        text = text.removesuffix(end)
    encodings = ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
    encoding = draw(st.sampled_from(encodings)) if damage == "encoding" else "utf-8"
    data = draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + text.encode(encoding, "replace")
    packed = draw(st.sampled_from([False, False, False, True]))
    data = damaged(draw, data, damage)
    if packed:
        kinds = ["none", "none", "bytes", "cut"] if damage == "none" else ["none"]
        data = damaged(draw, gzip.compress(data, mtime=0), draw(st.sampled_from(kinds)))
    return data, {"header": header, "separator": separator, "decimal": mark}, packed


def damaged(draw, data, damage):
    data = bytearray(data)
    at = draw(st.integers(0, max(0, len(data) - 1))) if damage in ("cut", "bytes") else 0
    if damage == "cut":
        del data[at:]
    elif damage == "bytes" and data:
        data[at] = draw(st.integers(0, 255))
        data[at:at] = draw(st.binary(max_size=2))
    return bytes(data)


@pytest.mark.parametrize("size", SIZES)
def test_text_is_read_as_it_is_meant_or_refused(tmp_path, size):
    counts = Counter()

    @fuzzed(size)
    @given(written())
    def check(drawn):
        data, options, packed = drawn
        path = tmp_path / ("a.csv.gz" if packed else "a.csv")
        path.write_bytes(data)
        found = read(path, **options)
        counts["read" if found else "refused"] += 1
        if packed:
            try:
                data = gzip.decompress(data)
            except (OSError, EOFError, zlib.error):
                assert found is None, "a damaged archive"
                return
        parsed = lines_of(data, options["separator"])
        if parsed is None:
            assert found is None, "a damaged file"
            return
        lines, before, between = parsed
        names = [name.strip() for name in lines[0]]
        numbered = [*map(str, range(len(names)))]
        if found is None:
            assert not acceptable(lines, before or between, options), "a file that is whole"
            return
        kinds, rows = found
        header = options["header"]
        assert len(names) > 1 or not (between or (before and not header)), "a value may be missing"
        if header is None:
            header = rows.column_names == names
            told = [number(cell.strip(), options["decimal"]) for cell in lines[0]]
            assert not header or [*told] == [None] * len(names)
        assert rows.column_names == (names if header else numbered)
        assert len({*rows.column_names}) == len(rows.column_names)
        assert all(rows.column_names)
        body = lines[header:]
        for k, name in enumerate(rows.column_names):
            cells = [line[k] for line in body]
            kind, values = held(cells, options["decimal"])
            assert kinds[name] == kind, (name, cells)
            got = rows[name].to_pylist()
            assert same(got, values), (name, cells, got)
            if kind == "number":
                assert all(v is None or math.isfinite(v) for v in got)
                for cell, value in zip(cells, got, strict=True):
                    if re.fullmatch(r"\s*[+-]?\d+\s*", cell, re.ASCII):
                        assert int(cell) == int(value)

    check()
    assert counts["read"] > size / 5, counts


def acceptable(lines, blank, options):
    """Whether a file gives no reason to refuse it: sure names, plain text, numbers and dates."""
    names, *rows = lines
    if options["header"] is not True or not rows or blank or len(names) == 1:
        return False
    names = [name.strip() for name in names]
    if len({*names}) < len(names) or not all(map(re.compile(r"[\w ]+").fullmatch, names)):
        return False
    for cells in zip(*rows, strict=True):
        cells = [cell.strip() for cell in cells]
        kind, values = held(cells, options["decimal"])
        if kind == "number" and any(v is not None and abs(v) >= 2**53 for v in values):
            return False
        if kind == "text" and not any(
            re.fullmatch(r"[a-z]+", c) and c not in MISSING for c in cells
        ):
            return False
        if any('"' in cell or "\\" in cell for cell in cells):
            return False
    return True


# Typed files

TYPED = {
    "int64": (pa.int64(), INTEGERS.filter(lambda v: -(2**63) <= v < 2**63)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "double": (pa.float64(), st.floats()),
    "float": (pa.float32(), st.floats(width=32)),
    "half": (pa.float16(), st.floats(width=16)),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), ODD),
    "large": (pa.large_string(), ODD),
    "view": (pa.string_view(), ODD),
    "codes": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b", "", "NA"])),
    "decimal": (
        pa.decimal128(38, 4),
        st.decimals(-(10**30), 10**30, places=4).map(lambda v: decimal.Decimal(str(v))),
    ),
    "whole": (pa.decimal128(38, 0), INTEGERS.map(decimal.Decimal)),
    "day": (pa.date32(), st.dates()),
    "second": (pa.timestamp("s"), st.datetimes().map(lambda t: t.replace(microsecond=0))),
    "far": (pa.timestamp("s"), st.integers(-(2**60), 2**60)),
    "milli": (pa.timestamp("ms", "Europe/Berlin"), st.integers(-(2**40), 2**40)),
    "nano": (pa.timestamp("ns"), st.integers(-(2**62), 2**62)),
    "time": (pa.time64("ns"), st.integers(0, 86399 * 10**9)),
    "span": (pa.duration("s"), st.integers(-(2**60), 2**60)),
    "null": (pa.null(), st.none()),
    "list": (pa.list_(pa.float64()), st.lists(FINITE, max_size=2)),
    "bytes": (pa.binary(), st.binary(max_size=3)),
    "struct": (pa.struct({"a": pa.int8()}), st.just({"a": 1})),
}


@st.composite
def typed(draw):
    """A table of pyarrow."""
    height = draw(st.integers(0, 6))
    columns, names = [], []
    for k in range(draw(st.integers(1, 4))):
        kind, cells = TYPED[draw(st.sampled_from(sorted(TYPED)))]
        cells = st.none() | cells if draw(st.booleans()) else cells
        columns.append(pa.array(draw(st.lists(cells, min_size=height, max_size=height)), kind))
        names.append(draw(st.sampled_from([f"x{k}", f"x{k}", "x0", "", "Größe", "a.b"])))
    return pa.table(columns, names)


def meant(column):
    """The values of a typed column as documented, or None if it must be refused."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.to_pylist()
    if pa.types.is_temporal(kind):
        if pa.types.is_date(kind):
            return column.cast(pa.timestamp("us")).cast("int64").to_pylist()
        units = {"s": 10**6, "ms": 10**3, "us": 1}
        raw = [None if v is None else int(v) for v in column.cast("int64").to_pylist()]
        if kind.unit == "ns":
            return [None if v is None else abs(v) // 1000 * (1 if v > 0 else -1) for v in raw]
        raw = [None if v is None else v * units[kind.unit] for v in raw]
        return None if any(v is not None and abs(v) >= 2**63 for v in raw) else raw
    values = column.to_pylist()
    if pa.types.is_floating(kind):
        if any(v is not None and math.isinf(v) for v in values):
            return None
        return [None if v is None or math.isnan(v) else float(v) for v in values]
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        for v in values:
            if v is not None and v == int(v) and int(float(v)) != int(v):
                return None
        return [None if v is None else float(v) for v in values]
    return values


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_typed_files_are_read_as_they_are_or_refused(tmp_path, suffix, size):
    path = tmp_path / f"a.{suffix}"
    counts = Counter()
    write = parquet.write_table if suffix == "parquet" else feather.write_feather

    @fuzzed(size)
    @given(typed(), st.data())
    def check(table, data):
        try:
            write(table, path)
        except (pa.ArrowException, ValueError):
            counts["not written"] += 1
            return
        damage = data.draw(st.sampled_from(["none", "none", "bytes", "cut"]))
        path.write_bytes(damaged(data.draw, path.read_bytes(), damage))
        found = read(path)
        counts["read" if found else "refused"] += 1
        if found is None or damage != "none":
            return
        _, rows = found
        assert rows.column_names == table.column_names
        assert len({*table.column_names}) == len(table.column_names)
        for name in rows.column_names:
            values = meant(table[name])
            assert values is not None, f"{name} is to be refused: {table[name]}"
            got = rows[name]
            if pa.types.is_temporal(got.type):
                got = got.cast("int64")
            assert same(got.to_pylist(), values), name

    check()
    assert counts["read"] > size / 8, counts
