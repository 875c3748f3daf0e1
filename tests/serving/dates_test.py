"""Dates that a detector takes as seconds, wherever it is served."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import tensorflow as tf
from parity_checks.servers import GrpcServer, RestServer
from pyarrow import parquet

import delvm_tf as dv
from delvm_tf.datasets import ContentsError
from delvm_tf.schema import learn_schema
from delvm_tf.serving.scoring import score_files

NEW_YEAR = datetime.datetime(2026, 1, 1)


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    days = pd.Series(NEW_YEAR + pd.to_timedelta(rng.integers(0, 300, n), "D"))
    return pd.DataFrame({
        "speed": rng.normal(size=n), "Seit Tag": days,
        "at": days + pd.to_timedelta(rng.integers(0, 86_400_000, n), "ms"),
    })  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A detector of dates, and by name the ways in which it is served."""
    table = rows(150)
    schema = learn_schema(table, dates="numbers")
    detector = dv.AnomalyDetector(
        dv.DELVM(dv.networks.ffnn((5,), seed=0), normalization="zscore"), epochs=2
    ).fit(schema.encode(table))
    folder = dv.export_saved_model(detector, tmp_path_factory.mktemp("dates"), schema=schema)
    servers = [RestServer(folder), GrpcServer(folder)]
    clients = [dv.serving.Client(server.address, "ecg") for server in servers]
    ways = dict(zip(("load", "REST", "gRPC"), [dv.serving.load(folder), *clients], strict=True))
    yield schema, detector, folder, ways
    for each in (*clients, *servers):
        each.close()


def zoned(column):
    return column.dt.tz_localize("UTC").dt.tz_convert("Asia/Kolkata")


SPELLINGS = {
    "pandas": lambda table: table,
    "time zones": lambda table: table.assign(at=zoned(table["at"])),
    "objects": lambda table: table.assign(**{
        "Seit Tag": pd.Series([t.date() for t in table["Seit Tag"]], dtype=object),
        "at": pd.Series([t.to_pydatetime() for t in table["at"]], dtype=object),
    }),
    "polars": lambda table: pl.from_pandas(table).with_columns(pl.col("Seit Tag").cast(pl.Date)),
    "pyarrow": lambda table: pa.Table.from_pandas(table).cast(
        pa.schema({"speed": "float32", "Seit Tag": pa.date64(), "at": pa.timestamp("ms", "UTC")})
    ),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("way", ["load", "REST", "gRPC"])
def test_dates_of_any_library_become_the_seconds_of_the_schema(served, way, spelling):
    schema, detector, _, ways = served
    table = rows(20, seed=1).assign(speed=lambda t: t["speed"].astype("float32"))
    given = SPELLINGS[spelling](table)
    found = ways[way].predict(given, "table")
    expected = detector.anomaly_score(schema.encode(table))
    np.testing.assert_allclose(found["anomaly_score"], expected, rtol=1e-6)
    assert len({*expected.round(4)}) > 10


NO_DATES = {
    "text": lambda dates: dates.astype(str),
    "number": lambda dates: dates.astype("int64") / 1e9,
    "time of day": lambda dates: dates.dt.time,
    "duration": lambda dates: dates - dates.iloc[0],
}


@pytest.mark.parametrize("kind", NO_DATES)
@pytest.mark.parametrize("way", ["load", "REST", "gRPC"])
def test_text_and_numbers_are_no_dates(served, way, kind):
    table = rows(3)
    table["at"] = NO_DATES[kind](table["at"])
    with pytest.raises(TypeError, match=f"'at' held date .* holds {kind} now; .*to_datetime"):
        served[3][way].predict(table, "table")


@pytest.mark.parametrize("way", ["load", "REST", "gRPC"])
def test_dates_are_no_numbers(served, way):
    table = rows(3)
    with pytest.raises(
        TypeError, match=r"'speed' held number .* holds date now; convert such columns"
    ):
        served[3][way].predict(table.assign(speed=table["at"]), "table")


def test_a_missing_date_is_the_usual_one(served):
    schema, detector, _, ways = served
    table = rows(4)
    table.loc[1, "at"] = pd.NaT
    expected = detector.anomaly_score(schema.encode(table))
    for way in ways.values():
        found = way.predict(table, "table")["anomaly_score"]
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("form", ["csv", "csv with time zones", "parquet"])
def test_dates_in_files(served, tmp_path, form):
    schema, detector, folder, _ = served
    table = rows(20, seed=2)
    given = table.assign(at=zoned(table["at"])) if "zones" in form else table
    file = tmp_path / f"rows.{form.split()[0]}"
    if form == "parquet":
        given.to_parquet(file)
    else:
        given.to_csv(file, index=False)
    score_files(dv.serving.load(folder), str(file), tmp_path / "scores.parquet")
    found = parquet.read_table(tmp_path / "scores.parquet")["anomaly_score"]
    expected = detector.anomaly_score(schema.encode(table))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("cell", ["1.767e9", "yesterday", "01.02.2026"])
def test_cells_of_files_that_are_no_dates_are_named(served, tmp_path, cell):
    file = tmp_path / "rows.csv"
    file.write_text(f"speed,Seit Tag,at\n1.5,2026-01-02,2026-01-02T10:00\n1.5,2026-01-02,{cell}\n")
    with pytest.raises(ContentsError, match=r"rows\.csv: row 1 \(line 3\), .*'at'.*not a date"):
        score_files(dv.serving.load(served[2]), str(file), tmp_path / "scores.parquet")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_times_of_day_in_files_are_no_dates(served, tmp_path, form):
    table = rows(5)
    table["at"] = [datetime.time(hour) for hour in range(5)]
    file = tmp_path / f"rows.{form}"
    table.to_csv(file, index=False) if form == "csv" else table.to_parquet(file)
    message = r"rows\.\w+: the column 'at' held date .*, and holds time of day now"
    with pytest.raises(ContentsError, match=message):
        score_files(dv.serving.load(served[2]), str(file), tmp_path / "scores.parquet")


def test_a_bare_client_sends_seconds_since_1970_in_utc(served):
    schema, detector, folder, _ = served
    table = rows(20, seed=3)
    epoch = pd.Timestamp("1970-01-01")
    seconds = [(table[name] - epoch).dt.total_seconds() for name in ("Seit Tag", "at")]
    serve = tf.saved_model.load(str(folder)).signatures["table"]
    assert {*serve.structured_input_signature[1]} == {"speed", "seit_tag", "at"}
    found = serve(
        speed=tf.constant(table["speed"]), seit_tag=tf.constant(seconds[0]),
        at=tf.constant(seconds[1]),
    )["anomaly_score"]  # fmt: skip
    np.testing.assert_allclose(found, detector.anomaly_score(schema.encode(table)), rtol=1e-6)


@pytest.mark.parametrize("way", ["load", "REST", "gRPC"])
def test_who_asks_learns_which_columns_are_dates(served, way):
    schema, _, _, ways = served
    asked = ways[way]
    assert schema.kinds == {"speed": "number", "Seit Tag": "date", "at": "date"}
    assert (asked.card.schema if way == "load" else asked.schema()) == schema
