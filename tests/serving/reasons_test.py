"""Scored files say which columns made the scores."""

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet
from tables_test import rows

import delvm_tf as dv
from delvm_tf.serving.reasons import _as_dates, reasons
from delvm_tf.serving.scoring import score_files


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A detector of named numbers, rows, and its SavedModel loaded."""
    x = np.random.default_rng(0).normal(size=(150, 4)).astype("float32")
    frame = pd.DataFrame(x, columns=["a", "b", "c", "d"])
    model = dv.DELVM(dv.networks.ffnn((5,), seed=0), normalization="zscore")
    detector = dv.AnomalyDetector(model, criterion="reconstruction_error", epochs=1).fit(frame)
    folder = dv.export_saved_model(detector, tmp_path_factory.mktemp("numbers"), explain=True)
    return detector, frame.iloc[:40], dv.serving.load(folder)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """The same of mixed columns."""
    table = rows(120).drop(columns="when")
    detector = dv.AnomalyDetector(criterion="energy", epochs=2).fit(table)
    folder = dv.export_saved_model(detector, tmp_path_factory.mktemp("mixed"), explain=True)
    return detector, table.iloc[:40], dv.serving.load(folder)


def test_files_of_numbers(numbers, tmp_path):
    detector, frame, served = numbers
    frame.iloc[:, ::-1].to_csv(tmp_path / "a.csv", index=False)
    for count in (1, 3, 4):
        score_files(served, f"{tmp_path}/a.csv", tmp_path / "s.parquet", explain=count)
        found = parquet.read_table(tmp_path / "s.parquet").to_pandas()
        contributions, _, expected = detector.explain(frame)
        order = np.argsort(-contributions, axis=1)
        for k in range(count):
            place = order[:, k]
            names = np.array(frame.columns)[place]
            np.testing.assert_array_equal(found[f"reason_{k + 1}"], names)
            for column, values in (("contribution", contributions), ("expected", expected)):
                wanted = np.take_along_axis(values, place[:, None], 1)[:, 0]
                np.testing.assert_allclose(found[f"{column}_{k + 1}"], wanted, rtol=1e-4, atol=1e-5)
        assert f"reason_{count + 1}" not in found
        assert found["expected_1"].dtype == np.float32


def by_columns(detector, table):
    """Contributions of the columns of a table, (rows, columns), from those of numbers."""
    contributions = detector.explain(table).contributions
    schema = detector.schema_
    ends = np.cumsum([len(column.outputs) for column in schema.columns])
    return np.stack([c.sum(axis=1) for c in np.split(contributions, ends[:-1], axis=1)], axis=1)


def test_numbers_of_one_text_count_together(mixed):
    detector, table, served = mixed
    found = reasons(served, table, 3)
    contributions = by_columns(detector, table)
    order = np.argsort(-contributions, axis=1)
    names = np.array(detector.schema_.names)
    expected = detector.explain(table).expected
    place = detector.schema_.outputs.index("colour = red")
    colours = np.array([*detector.schema_.columns[2].texts])
    for k in range(3):
        told = np.array(found[f"reason_{k + 1}"])
        np.testing.assert_array_equal(told, names[order[:, k]])
        np.testing.assert_allclose(
            found[f"contribution_{k + 1}"],
            np.take_along_axis(contributions, order[:, [k]], 1)[:, 0], rtol=1e-4, atol=1e-4,
        )  # fmt: skip
        for row, value in enumerate(found[f"expected_{k + 1}"].to_pylist()):
            if told[row] == "colour":
                first = min(place, detector.schema_.outputs.index("colour = blue"))
                assert value == colours[np.argmax(expected[row, first:])]
            else:
                number = expected[row, detector.schema_.outputs.index(told[row])]
                assert float(value) == pytest.approx(number, rel=1e-4, abs=1e-4)
    assert {*np.concatenate([found[f"reason_{k}"] for k in (1, 2, 3)])} == {*names}


def test_contributions_sum_to_the_score(mixed):
    detector, table, served = mixed
    found = served.predict(table, "explain_table")
    total = sum(v for name, v in found.items() if name.startswith("contribution_"))
    np.testing.assert_allclose(
        total + found["baseline"], detector.anomaly_score(table), rtol=1e-4, atol=1e-4
    )


def test_rows_beyond_all_numbers_have_no_reason(numbers):
    _, frame, served = numbers
    table = frame.copy()
    table.iloc[3, 1] = 3e38
    found = reasons(served, table, 2)
    assert found["reason_1"][3].as_py() in (None, "b")
    assert found["reason_1"].null_count <= 1


def test_what_cannot_be_told_is_refused_before_any_work(numbers, mixed, tmp_path):
    detector, frame, served = numbers
    frame.to_csv(tmp_path / "a.csv", index=False)
    plain = dv.serving.load(dv.export_saved_model(detector, tmp_path / "plain", warmup=()))
    for model, count, message in (
        (plain, 1, "serves no explanations; export it with .*explain=True"),
        (served, 5, "at most 4, the number of columns, got 5"),
        (mixed[2], 4, "at most 3, the number of columns, got 4"),
        (served, -1, "must not be negative, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            score_files(model, f"{tmp_path}/a.csv", tmp_path / "s.parquet", explain=count)
    assert not (tmp_path / "s.parquet").exists()


def test_the_expected_value_of_a_date_is_a_date(tmp_path):
    rng = np.random.default_rng(0)
    days = rng.integers(0, 700, 300)
    start = pd.Timestamp("2020-01-01")
    table = pd.DataFrame({
        "day": start + pd.to_timedelta(days, "D"),
        "lasted": pd.to_timedelta(rng.integers(50, 70, 300), "s"),
        "heat": days / 7 + rng.normal(0, 1, 300),
    })  # fmt: skip
    detector = dv.AnomalyDetector(dates="numbers", criterion="reconstruction_error", epochs=2)
    folder = dv.export_saved_model(detector.fit(table), tmp_path, explain=True)
    served = dv.serving.load(folder)
    rows = table.iloc[:20]
    told = {name: values.to_pylist() for name, values in reasons(served, rows, 3).items()}
    raw = served.predict(rows, "explain_table")
    for row in range(len(rows)):
        for k in (1, 2, 3):
            column, value = told[f"reason_{k}"][row], told[f"expected_{k}"][row]
            number = raw[f"expected_{column}"][row]
            if column == "day":
                seconds = (pd.Timestamp(value) - pd.Timestamp("1970-01-01")).total_seconds()
                assert 0 <= number - seconds < 60
                assert value.startswith("20")
            else:
                np.testing.assert_allclose(float(value), number, rtol=1e-6)
    strange = _as_dates(np.array([np.nan, np.inf, -np.inf, 60.0], np.float32))
    assert [*strange] == ["", "9999-12-31 00:00", "0001-01-01 00:00", "1970-01-01 00:01"]
