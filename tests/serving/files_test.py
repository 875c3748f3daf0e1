"""Files of mixed columns are scored as Python scores their tables."""

import numpy as np
import pandas as pd
import pytest
from pyarrow import feather, parquet
from tables_test import new_rows, rows

import delvm_tf as dv
from delvm_tf.datasets.archive import ContentsError
from delvm_tf.datasets.streams import TableOptions
from delvm_tf.serving.scoring import score_files


def table(n, seed=0):
    """Mixed columns, of which one is text that looks like numbers."""
    made = rows(n, seed)
    made["when"] -= 1.7e9
    made["place"] = np.random.default_rng(seed).choice(["007", "7", "12"], n)
    return made


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    detector = dv.AnomalyDetector(criterion="energy", epochs=2, contamination=0.1).fit(table(150))
    folder = dv.export_saved_model(detector, tmp_path_factory.mktemp("mixed"), explain=True)
    return detector, dv.serving.load(folder)


def csv(frame, path, **options):
    frame.to_csv(path.with_suffix(".csv"), index=False, **options)
    return path.with_suffix(".csv")


def parquet_file(frame, path):
    frame.to_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def feather_file(frame, path):
    feather.write_feather(frame, path.with_suffix(".feather"))
    return path.with_suffix(".feather")


@pytest.mark.parametrize(
    ("write", "batch_size"),
    [
        (csv, 7), (parquet_file, None), (feather_file, 7),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (
            (csv, None), (parquet_file, 7), (feather_file, None)
        )),
    ],
)  # fmt: skip
def test_every_kind_of_file_gives_what_python_gives(served, tmp_path, write, batch_size):
    detector, model = served
    frame = table(40, seed=1)
    frame.loc[3, "colour"] = "violet"  # not seen in training
    mixed = frame[frame.columns[::-1]].assign(label=0, id=range(40))
    path = write(mixed, tmp_path / "a")
    summary = score_files(model, str(path), tmp_path / "s.parquet", batch_size, explain=2)
    found = parquet.read_table(tmp_path / "s.parquet").to_pandas()
    np.testing.assert_allclose(found["anomaly_score"], detector.anomaly_score(frame), rtol=1e-5)
    np.testing.assert_array_equal(found["is_anomaly"], detector.is_anomaly(frame))
    np.testing.assert_allclose(found["p_value"], detector.p_value(frame), rtol=1e-6)
    assert found["row"].tolist() == list(range(40))
    assert set(found["reason_1"]) <= {*frame.columns}
    assert found["expected_1"].map(type).eq(str).all()
    assert summary.abnormal == detector.is_anomaly(frame).sum()
    assert summary.notes == ["left out, for the model has no such columns: label, id"]


def test_text_that_looks_like_a_number_stays_text(served, tmp_path):
    detector, model = served
    frame = table(30, seed=2)
    score_files(model, str(csv(frame, tmp_path / "a")), tmp_path / "s.parquet")
    other = frame.assign(place=frame["place"].replace("007", "7"))
    score_files(model, str(csv(other, tmp_path / "b")), tmp_path / "t.parquet")
    first, second = (
        parquet.read_table(tmp_path / name)["anomaly_score"].to_numpy()
        for name in ("s.parquet", "t.parquet")
    )
    changed = (frame["place"] == "007").to_numpy()
    assert (first != second)[changed].all()
    np.testing.assert_array_equal(first[~changed], second[~changed])
    np.testing.assert_allclose(second, detector.anomaly_score(other), rtol=1e-5)


def with_cell(frame, row, column, value):
    changed = frame.astype(object)
    changed.loc[row, column] = value
    return changed


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("when", "soon", r"row 11 .*column 'when', holds 'soon', not a number"),
        ("Größe in cm", "inf", r"row 11.*'Größe in cm', is infinite"),
        ("on", "perhaps", r"row 11 .*column 'on', holds 'perhaps', not a number"),
        (["colour", "on", "when"], np.nan, "row 11 lacks 3 of the 5 cells"),
    ],
)
def test_cells_that_cannot_be_scored_are_named(served, tmp_path, column, value, message):
    detector, model = served
    frame = table(30, seed=3)
    frame["Größe in cm"] = frame["Größe in cm"].fillna(170)
    path = csv(with_cell(frame, 11, column, value), tmp_path / "a")
    csv(frame, tmp_path / "b")
    with pytest.raises(ContentsError, match=f"a\\.csv.*{message}"):
        score_files(model, str(path), tmp_path / "s.parquet")
    assert not (tmp_path / "s.parquet").exists()
    summary = score_files(model, f"{tmp_path}/*.csv", tmp_path / "s.parquet", skip_damaged=True)
    assert summary.rows == 30
    assert list(summary.damaged) == [str(path)]
    found = parquet.read_table(tmp_path / "s.parquet")
    np.testing.assert_allclose(found["anomaly_score"], detector.anomaly_score(frame), rtol=1e-5)


def test_columns_that_are_missing_or_cannot_be_meant(served, tmp_path):
    _, model = served
    frame = table(20)
    path = str(csv(frame.drop(columns="colour"), tmp_path / "a"))
    with pytest.raises(ContentsError, match="no column 'colour'"):
        score_files(model, path, tmp_path / "s.parquet")
    with pytest.raises(ValueError, match="columns must be those of the model, or be left out"):
        score_files(model, path, tmp_path / "s.parquet", table=TableOptions(columns=["when"]))
    csv(frame.iloc[:0], tmp_path / "a")
    with pytest.raises(ContentsError, match="has no rows"):
        score_files(model, path, tmp_path / "s.parquet")


def test_other_separators_and_decimal_marks(served, tmp_path):
    detector, model = served
    frame = table(20)
    path = csv(frame, tmp_path / "a", sep=";", decimal=",")
    options = TableOptions(separator=";", decimal=",")
    score_files(model, str(path), tmp_path / "s.parquet", table=options)
    found = parquet.read_table(tmp_path / "s.parquet")
    np.testing.assert_allclose(found["anomaly_score"], detector.anomaly_score(frame), rtol=1e-5)


def test_a_schema_given_by_hand(tmp_path):
    frame = rows(80)
    schema = dv.schema.learn_schema(frame.drop(columns="when"))
    model = dv.DELVM(dv.networks.ffnn((5,), seed=0), normalization="center")
    model.adapt(schema.encode(frame))
    detector = dv.AnomalyDetector(model).fit(schema.encode(frame))
    served = dv.serving.load(dv.export_saved_model(detector, tmp_path / "m", schema=schema))
    new = new_rows()
    summary = score_files(served, str(csv(new, tmp_path / "a")), tmp_path / "s.csv")
    expected = detector.anomaly_score(schema.encode(new))
    np.testing.assert_allclose(
        pd.read_csv(tmp_path / "s.csv")["anomaly_score"], expected, rtol=1e-5
    )
    assert summary.rows == 30
