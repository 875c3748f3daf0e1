"""Requests and files of every kind, whole and malformed: Python's numbers, or an error that helps.

A detector of mixed columns says once what it thinks of some hundred rows. Requests of some of these
rows come in every spelling, most of them wrong; a wrong one must be refused, and what is answered
are the numbers of those rows.
"""

import csv
import decimal
import io
import json
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import requests
import tensorflow as tf
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st
from parity_checks.servers import GrpcServer, RestServer
from pyarrow import parquet

import delvm_tf as dv
from delvm_tf.datasets import ContentsError
from delvm_tf.serving import Client, RequestRefusedError, load
from delvm_tf.serving.scoring import score_files

SIZES = [30, pytest.param(500, marks=pytest.mark.slow)]


def first_of(first, *others):
    """The first of some parameters, and the others in the long tests."""
    return [first, *(pytest.param(each, marks=pytest.mark.slow) for each in others)]


MISSING = ["", "nan", "NaN", "NA", "None", "NaT", "-", "--", ".", "?", "null", "NULL", "none"]
TRUTH = {"True": 1, "False": 0}
COLUMNS = ["heat", "count", "open", "site"]
USUAL = 90  # rows of the pool, before odd ones
MOST = 8  # rows of a request


def rows(n, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "heat": np.where(rng.random(n) < 0.2, np.nan, np.round(rng.normal(20, 3, n), 3)),
        "count": rng.integers(0, 9, n).astype(float),
        "open": (rng.random(n) < 0.5).astype(float),
        "site": [None if r < 0.2 else "north" if r < 0.6 else "süd" for r in rng.random(n)],
    })  # fmt: skip


class World:
    """A detector, its rows with what it says of them, and the ways in which it is served."""

    def __init__(self, folder):
        pool = rows(USUAL, 1)
        odd = [1e6, -1e6, 1e30, -1e39, 1e300, 5e-324, 2.0**53, np.nan]
        odd = pd.DataFrame({"heat": odd, "count": 1.0, "open": [0.0, 1.0] * 4, "site": "south"})
        empty = pd.DataFrame({"heat": [np.nan] * 3, "count": np.nan, "open": [np.nan, 1.0, np.nan]})
        self.pool = pd.concat([pool, odd, empty.assign(site=None)], ignore_index=True)
        self.pool["site"] = [s if isinstance(s, str) else None for s in self.pool["site"]]
        self.detector = dv.AnomalyDetector(epochs=2).fit(rows(300, 0))
        path = dv.export_saved_model(
            self.detector, folder, max_batch_size=MOST, warmup=(), explain=True
        )
        self.served = load(path)
        self.said = [self.python(self.pool.iloc[k : k + 1]) for k in range(len(self.pool))]
        self.encoded = self.detector.schema_.encode(self.pool[:USUAL])
        self.rest, self.grpc = RestServer(path), GrpcServer(path)
        self.http, self.remote = Client(self.rest.address, "ecg"), Client(self.grpc.address, "ecg")
        self.ways = {"load": self.served, "REST": self.http, "gRPC": self.remote}

    def python(self, row):
        """The score and the contributions of a row, or None if it is refused."""
        try:
            score = float(self.detector.anomaly_score(row)[0])
        except ValueError:
            return None
        try:
            parts = self.served.predict(row, "explain_table")
        except ValueError:
            parts = None
        return score, parts

    def check(self, outputs, places, decided_by=None):
        """Compare answers with what Python says of the rows at these places of the pool."""
        assert all(self.said[k] is not None for k in places), "Python refuses a row"
        scores = np.array([self.said[k][0] for k in places])
        np.testing.assert_allclose(outputs["anomaly_score"], scores, rtol=1e-4, atol=1e-5)
        threshold = self.detector.threshold_ if decided_by is None else decided_by
        sure = ~np.isclose(scores, threshold, rtol=1e-3)
        found = np.asarray(outputs["is_anomaly"])
        np.testing.assert_array_equal(found[sure], (scores > threshold)[sure])

    def close(self):
        self.http.close()
        self.remote.close()
        self.rest.close()
        self.grpc.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()


def said(error):
    """An error must have a text."""
    assert str(error).strip(), repr(error)


def refused(call, *errors):
    """The result of a call, or None if it is refused with a text."""
    try:
        return call()
    except errors as error:
        said(error)
        return None


# Cells of a column in other spellings; whether these mean the same.
OF_NUMBERS = {
    "float": (float, True),
    "object": (lambda v: v, True),
    "decimal": (lambda v: decimal.Decimal(repr(float(v))), True),
    "text": (str, False),
    "comma": (lambda v: str(v).replace(".", ","), False),
    "bytes": (lambda v: str(v).encode(), False),
    "list": (lambda v: [v], False),
    "complex": (complex, False),
    "endless": (lambda v: np.inf, False),
    "date": (lambda v: pd.Timestamp("2026-11-27"), False),
}
OF_TEXT = {
    "text": (str, True),
    "object": (lambda v: v, True),
    "number": (lambda v: 1.5, False),
    "bytes": (str.encode, False),
    "truth": (lambda v: True, False),
    "list": (lambda v: [v], False),
    "date": (lambda v: pd.Timestamp("2026-11-27"), False),
}
SHAPES = [
    "whole", "whole", "whole", "reordered", "more", "missing", "renamed", "twice", "spaces",
    "empty", "upper",
]  # fmt: skip


def as_it_is(cells, names):
    return dict(zip(names, cells, strict=True))


def as_polars(cells, names):
    if any(len({type(cell) for cell in column} & {str, float}) == 2 for column in cells):
        raise TypeError("polars makes text of numbers beside text")
    return pl.DataFrame(as_it_is(cells, names), strict=False)


def as_pandas(cells, names):
    table = pd.concat([pd.Series(column, dtype=object) for column in cells], axis=1)
    table.columns = names
    return table.infer_objects()


def as_arrow(cells, names):
    return pa.Table.from_arrays([pa.array(column, from_pandas=True) for column in cells], names)


BUILDERS = {
    "pandas": as_pandas, "polars": as_polars, "pyarrow": as_arrow,
    "categories": lambda cells, names: as_pandas(cells, names).astype({names[-1]: "category"}),
    "dict": as_it_is, "records": lambda cells, names: [*map(list, zip(*cells, strict=True))],
    "numpy": lambda cells, names: as_pandas(cells, names).to_numpy(),
}  # fmt: skip


def places_of(world, least=1):
    """Places of rows in the pool, few of which are odd."""
    usual = st.integers(0, USUAL - 1)
    place = st.one_of(usual, usual, st.integers(0, len(world.pool) - 1))
    return st.one_of(
        st.lists(place, min_size=least, max_size=MOST),
        st.lists(usual, min_size=least, max_size=MOST),
        st.lists(usual, min_size=least, max_size=MOST + 1),
    )


@st.composite
def asked(draw, world, kinds=("pandas", "polars", "pyarrow", *BUILDERS)):
    """A request, the places of its rows in the pool, and the reasons to refuse it."""
    places = draw(places_of(world))
    odd = draw(st.sampled_from(["nothing", "cells", "shape"]))
    shape = draw(st.sampled_from(SHAPES)) if odd == "shape" else "whole"
    places = [] if shape == "empty" else places
    table = world.pool.iloc[places]
    wrong = {shape} & {"missing", "renamed", "twice", "spaces", "empty", "upper"}
    cells, names = [], [*COLUMNS]
    for name in COLUMNS:
        spellings = OF_TEXT if name == "site" else OF_NUMBERS
        usual = ["text" if name == "site" else "float", "object"]
        spelling = draw(st.sampled_from([*spellings, *4 * usual] if odd == "cells" else usual))
        spell, fine = spellings[spelling]
        missing = draw(st.sampled_from([None, None, np.nan if name != "site" else ""]))
        column = [missing if pd.isna(value) else spell(value) for value in table[name]]
        known = sum(not pd.isna(value) for value in table[name])
        if (
            known > 1 and odd == "cells" and not draw(st.integers(0, 3))
        ):  # one cell alone is otherwise
            spelling += " once"
            column = [missing if pd.isna(v) else v for v in table[name]]
            column[int(np.flatnonzero(table[name].notna())[0])] = spell(
                table[name].dropna().iloc[0]
            )
        wrong |= {spelling} if not fine and known else set()
        cells.append(column)
    if shape == "reordered":
        order = draw(st.permutations(range(4)))
        cells, names = [cells[k] for k in order], [names[k] for k in order]
    elif shape == "more":
        names.insert(0, "extra")
        cells.insert(0, [draw(st.sampled_from(["x", 1.0, None]))] * len(places))
    elif shape == "missing":
        del cells[1], names[1]
    elif shape in ("renamed", "twice", "spaces", "upper"):
        names[1] = {"renamed": "number", "twice": "heat", "spaces": "count ", "upper": "COUNT"}[
            shape
        ]
    kind = draw(st.sampled_from(kinds))
    try:
        request = BUILDERS[kind](cells, names)
    except Exception:  # there is no such table
        request = None
    wrong |= {kind} & {"dict", "records", "numpy"}
    wrong |= {"row"} if any(world.said[k] is None for k in places) else set()
    return request, places, wrong


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", first_of("load", "REST", "gRPC"))
def test_tables_are_scored_as_python_scores_them_or_refused(world, way, size):
    counts = Counter()
    errors = (TypeError, ValueError, RequestRefusedError)

    @fuzzed(size)
    @given(asked(world), st.sampled_from(["table", "table", "explain_table"]), st.booleans())
    def check(drawn, signature, decide):
        request, places, wrong = drawn
        if request is None:
            counts["no table"] += 1
            return
        threshold = 3.0 if decide and signature == "table" else None
        answer = refused(
            lambda: world.ways[way].predict(request, signature, threshold=threshold), *errors
        )
        counts["refused" if answer is None else "answered"] += 1
        if answer is None:
            return
        assert not wrong, f"answered, with {wrong}"
        if signature == "table":
            world.check(answer, places, threshold)
            return
        for name, value in answer.items():
            expected = np.concatenate([world.said[k][1][name] for k in places])
            if value.dtype == object:
                assert value.tolist() == expected.tolist()
            else:
                np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-3)

    check()
    assert min(counts["answered"], counts["refused"]) > size / 8, counts


JUNK = st.one_of(
    st.none(), st.booleans(), st.text(max_size=3), st.just("1.5"), st.just([1.0]),
    st.just([]), st.just({}), st.just({"b64": "bm9ydGg="}), st.integers(-(2**80), 2**80),
    st.sampled_from([1e400, -1e400, 1e999, 10**400]),
)  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_raw_requests_are_answered_right_or_refused(world, size):
    """Of bare JSON, as other programs send it, with what the graph itself checks."""
    url = f"{world.rest.address}/v1/models/ecg:predict"
    counts = Counter()

    @fuzzed(size)
    @given(st.data())
    def check(data):
        places = data.draw(places_of(world, data.draw(st.sampled_from([0, 1, 1, 1]))))
        table = world.pool.iloc[places]
        inputs = {name: [*table[name].fillna(np.nan if name != "site" else "")] for name in COLUMNS}
        signature = data.draw(st.sampled_from(["table", "decide_table"]))
        if signature == "decide_table":
            inputs["threshold"] = [3.0] * len(places)
        change = data.draw(st.sampled_from(
            ["none", "none", "cell", "cell", "column", "length", "missing", "more", "whole"]
        ))  # fmt: skip
        name = data.draw(st.sampled_from(sorted(inputs)))
        junk = data.draw(JUNK)
        wrong = change != "none" or not 0 < len(places) <= MOST
        if change == "cell" and places:
            inputs[name][0] = junk
            if name == "site" and isinstance(junk, str):
                wrong = not 0 < len(places) <= MOST  # another category
        elif change == "column":
            inputs[name] = junk
            if junk == [1.0] and len(places) == 1:  # the cell of the one row
                change, junk = "cell", 1.0
        elif change == "length":
            inputs[name] = inputs[name][1:] if data.draw(st.booleans()) else [*inputs[name], 1.0]
        elif change == "missing":
            del inputs[name]
        elif change == "more":
            inputs["extra"] = [1.0] * len(places)
        body = junk if change == "whole" else {"signature_name": signature, "inputs": inputs}
        answer = requests.post(url, data=json.dumps(body), timeout=30)
        content = answer.json()
        counts[answer.status_code] += 1
        if answer.status_code != 200:
            assert content["error"].strip()
            return
        number = isinstance(junk, int | float)  # truth values count as numbers
        if change == "cell" and places and (name == "site" or number):
            inputs = dict(inputs)
            row = {n: inputs[n][:1] for n in COLUMNS}
            row["site"] = [row["site"][0] or None]
            said = float(world.detector.anomaly_score(as_pandas([*row.values()], [*row]))[0])
            if name != "threshold":
                np.testing.assert_allclose(
                    content["outputs"]["anomaly_score"][0], said, rtol=1e-4, atol=1e-5
                )
            return
        assert not wrong, (change, name, junk)
        outputs = {n: np.array(v) for n, v in content["outputs"].items()}
        world.check(outputs, places, 3.0 if signature == "decide_table" else None)

    check()
    assert min(counts[200], counts[400]) > size / 8, counts
    assert {*counts} <= {200, 400}


# Numbers of rows in other forms; whether these mean the same.
OF_ROWS = {
    "float64": (lambda x: x, True),
    "float32": (lambda x: x.astype("float32"), True),
    "long": (lambda x: x.astype("longdouble"), True),
    "turned": (lambda x: np.asfortranarray(x), True),
    "swapped bytes": (lambda x: x.astype(">f8"), True),
    "list": (lambda x: x.tolist(), True),
    "tensor": (tf.constant, True),
    "text": (lambda x: x.astype(str), False),
    "list of text": (lambda x: x.astype(str).tolist(), False),
    "bytes": (lambda x: x.tobytes(), False),
    "complex": (lambda x: x + 0j, False),
    "truth": (lambda x: x > 0, False),
    "NaN": (lambda x: np.where(np.arange(x.shape[1]) == 1, np.nan, x), False),
    "endless": (lambda x: np.where(np.arange(x.shape[1]) == 1, -np.inf, x), False),
    "huge": (lambda x: np.where(np.arange(x.shape[1]) == 1, 1e39, x), False),
    "None": (lambda x: [[None, *row[1:]] for row in x.tolist()], False),
    "ragged": (lambda x: [*x.tolist(), [1.0]], False),
    "narrow": (lambda x: x[:, 1:], False),
    "wide": (lambda x: np.c_[x, x], False),
    "deep": (lambda x: x[np.newaxis], False),
    "flat": (lambda x: x.ravel(), False),
    "none": (lambda x: x[:0], False),
    "masked": (lambda x: np.ma.masked_less(x, np.inf), False),
    "dates": (lambda x: x.astype("int64").astype("datetime64[s]"), False),
    "record": (lambda x: [dict(enumerate(row)) for row in x.tolist()], False),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", first_of("load", "REST", "gRPC", "raw"))
def test_arrays_are_scored_as_python_scores_them_or_refused(world, way, size):
    url = f"{world.rest.address}/v1/models/ecg:predict"
    counts = Counter()

    def decided(x):
        """By the signature that the library's own ways do not take."""
        inputs = {"x": x if isinstance(x, list) else x.tolist(), "threshold": [3.0] * len(x)}
        body = json.dumps({"signature_name": "decide", "inputs": inputs})
        answer = requests.post(url, data=body, timeout=30).json()
        if "outputs" not in answer:
            raise ValueError(answer["error"])
        return answer["outputs"]

    @fuzzed(size)
    @given(
        st.lists(st.integers(0, USUAL - 1), min_size=1, max_size=MOST),
        st.sampled_from(sorted(OF_ROWS)), st.booleans(),
    )  # fmt: skip
    def check(places, form, explain):
        change, fine = OF_ROWS[form]
        x = change(world.encoded[places])
        signature = "explain" if explain and way != "raw" else "serving_default"
        if way == "raw" and not hasattr(x, "tolist") and not isinstance(x, list):
            return
        if form in ("dates", "complex", "masked", "long") and way == "raw":  # JSON has none
            return
        call = decided if way == "raw" else lambda x: world.ways[way].predict(x, signature)
        answer = refused(lambda: call(x), TypeError, ValueError, RequestRefusedError)
        counts["refused" if answer is None else "answered"] += 1
        assert (answer is not None) == fine or (form == "truth" and way == "raw"), form
        if answer is None or form == "truth":
            return
        if signature == "serving_default":
            world.check(answer, places, 3.0 if way == "raw" else None)
            return
        total = answer["contributions"].sum(axis=1) + answer["baseline"]
        scores = [world.said[k][0] for k in places]
        np.testing.assert_allclose(total, scores, rtol=1e-3, atol=1e-3)

    check()
    assert min(counts["answered"], counts["refused"]) > size / 8, counts


def told(path):
    """The rows of a .csv file of the columns of the model, all numbers written plainly."""
    text = path.read_bytes().decode("utf-8")
    names, *lines = [
        line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line
    ]
    columns = zip(*lines, strict=True)
    cells = {
        n.strip(): [c.strip() for c in column] for n, column in zip(names, columns, strict=True)
    }
    for name in COLUMNS[:-1]:
        cells[name] = [np.nan if c in MISSING else float(TRUTH.get(c, c)) for c in cells[name]]
    return pd.DataFrame(
        {name: cells[name] for name in COLUMNS} | {"site": [cell or None for cell in cells["site"]]}
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("suffix", first_of("csv", "parquet", "feather"))
def test_files_are_scored_as_python_scores_them_or_refused(world, tmp_path, suffix, size):
    path, output = tmp_path / f"a.{suffix}", tmp_path / "out" / "s.parquet"
    counts = Counter()

    @fuzzed(size)
    @given(asked(world, ["pandas"]), st.integers(0, 3), st.data())
    def check(drawn, damage, data):
        request, places, wrong = drawn
        if request is None:
            return
        try:
            if suffix == "csv":
                request.to_csv(path, index=False)
            else:
                getattr(request, f"to_{suffix}")(path)
        except (TypeError, ValueError, pa.ArrowException):  # no such file
            return
        if not damage:
            content = path.read_bytes()
            at = data.draw(st.integers(0, len(content) - 1))
            path.write_bytes(content[:at] + data.draw(st.binary(max_size=3)) + content[at + 2 :])
        shutil.rmtree(output.parent, ignore_errors=True)
        summary = refused(
            lambda: score_files(world.served, str(path), output), ContentsError, ValueError
        )
        counts["refused" if summary is None else "scored"] += 1
        if summary is None:
            assert [*output.parent.glob("*")] == []
            return
        found = parquet.read_table(output).to_pydict()
        assert found["row"] == [*range(summary.rows)]
        if suffix == "csv":
            scores = world.detector.anomaly_score(told(path))
            np.testing.assert_allclose(found["anomaly_score"], scores, rtol=1e-4, atol=1e-5)
        elif not damage:
            assert np.isfinite(found["anomaly_score"]).all()
        else:
            assert not wrong, f"scored, with {wrong}"
            world.check(found, places)

    check()
    assert min(counts["scored"], counts["refused"]) > size / 20, counts
