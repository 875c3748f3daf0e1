"""Detectors of table files: large ones are read in parts, and decide as small ones do."""

import numpy as np
import pandas as pd
import pytest

import delvm_tf as dv
from delvm_tf.datasets import open_table
from delvm_tf.datasets.archive import ContentsError
from delvm_tf.detection import fitting, table_rows
from delvm_tf.detection.levels import level_detector
from delvm_tf.detection.levels.level_detector import LevelDetector
from delvm_tf.detection.table_rows import TableRows
from delvm_tf.schema.learning import Learner

NAMES = ["time", "size", "weight", "on", "colour"]


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    size = rng.normal(170, 10, n)
    frame = pd.DataFrame({
        "time": 1.7e9 + rng.uniform(0, 10, n).round(3),
        "size": size, "weight": 0.5 * size + rng.normal(size=n), "on": rng.random(n) > 0.5,
        "colour": rng.choice(["red", "blue"], n, p=[0.7, 0.3]),
    })  # fmt: skip
    frame.loc[::9, "weight"] = np.nan
    return frame


@pytest.fixture
def files(tmp_path):
    for k in range(3):
        rows(200, seed=k).to_csv(tmp_path / f"{k}.csv", index=False)
    return tmp_path


@pytest.fixture
def large(monkeypatch):
    monkeypatch.setattr(table_rows, "SMALL", 0)


def small_model():
    return dv.DELVM(dv.networks.ffnn((8,), seed=0), normalization="zscore")


def test_small_files_are_the_table_in_memory(files):
    whole = pd.concat([rows(200, seed=k) for k in range(3)], ignore_index=True)
    detectors = [dv.AnomalyDetector(small_model(), epochs=1) for _ in range(2)]
    one, other = detectors[0].fit(open_table(files)), detectors[1].fit(whole)
    assert one.schema_ == other.schema_
    assert one.threshold_ == pytest.approx(other.threshold_, rel=1e-4)
    found = one.anomaly_score(open_table(files))
    np.testing.assert_allclose(found, one.anomaly_score(whole), rtol=1e-6)


@pytest.mark.parametrize("in_memory", [10**9, 0])
def test_large_files_are_read_in_parts(files, large, monkeypatch, in_memory):
    monkeypatch.setattr(table_rows, "IN_MEMORY", in_memory)
    table = open_table(files)
    found = TableRows(table, 0.2, 0, Learner(), 10**6)
    whole = pd.concat([rows(200, seed=k) for k in range(3)], ignore_index=True)
    encoded = found.schema.encode(whole)
    training, known = (
        np.concatenate([*batches.as_numpy_iterator()]) for batches in (found.rows, found.known)
    )
    assert len(training) + len(known) == 600
    assert found.trained == len(training)
    assert 0.15 < len(known) / 600 < 0.25
    assert found.weight == pytest.approx(600 / len(known))
    both = np.concatenate([training, known])
    order = np.argsort(both[:, 1]), np.argsort(encoded[:, 1])
    np.testing.assert_allclose(both[order[0]], encoded[order[1]], rtol=0, atol=1e-5)
    assert np.ptp(both[:, 0]) > 9  # a time of 1.7e9 keeps its digits
    again = TableRows(table, 0.2, 0, Learner(), 10**6)
    np.testing.assert_array_equal(np.concatenate([*again.known.as_numpy_iterator()]), known)
    other = TableRows(table, 0.2, 1, Learner(), 10**6)
    assert len(np.concatenate([*other.known.as_numpy_iterator()])) != len(known)


@pytest.mark.parametrize("in_memory", [10**9, 0])
def test_training_has_as_many_rows_as_wanted_from_all_over_the_files(files, monkeypatch, in_memory):
    monkeypatch.setattr(table_rows, "IN_MEMORY", in_memory)
    few = TableRows(open_table(files), 0.2, 0, Learner(), 100)
    some = np.concatenate([*few.rows.as_numpy_iterator()])
    assert 60 < len(some) < 140
    assert few.trained == pytest.approx(len(some), abs=40)
    everything = few.schema.encode(rows(200, seed=2))
    assert np.isin(some[:, 1].round(3), everything[:, 1].round(3)).sum() > 15  # of the last file
    found = TableRows(open_table(files), 0.2, 0, Learner(), 10**6)
    batches = [*found.training(100, 1000).as_numpy_iterator()]
    assert [len(b) for b in batches[:3]] == [100] * 3
    assert found.training(100, 1000).cardinality() == len(batches) == 10
    assert len(np.unique(np.concatenate(batches)[:, 1])) > 400


@pytest.mark.parametrize("in_memory", [10**9, 0])
def test_a_detector_of_large_files_decides_as_one_of_the_table(
    files, large, monkeypatch, in_memory
):
    monkeypatch.setattr(table_rows, "IN_MEMORY", in_memory)
    detector = dv.AnomalyDetector(small_model(), contamination=0.05, epochs=3)
    detector.fit(open_table(files))
    assert list(detector.feature_names_in_) == NAMES
    assert not hasattr(detector, "mean_")
    normal = rows(300, seed=9)
    assert detector.is_anomaly(normal).mean() < 0.15
    strange = normal.assign(weight=normal["weight"] + 60)[normal["weight"].notna()]
    assert detector.is_anomaly(strange).mean() > 0.9
    assert detector.explain(strange[:3]).contributions.shape == (3, len(detector.schema_.outputs))
    strange.to_csv(files / "strange", index=False)
    (files / "strange").rename(files.parent / f"{files.name}.csv")
    table = open_table(files.parent / f"{files.name}.csv")
    np.testing.assert_allclose(
        detector.anomaly_score(table), detector.anomaly_score(strange), rtol=1e-6
    )
    np.testing.assert_array_equal(detector.predict(table), detector.predict(strange))
    np.testing.assert_array_equal(detector.p_value(table), detector.p_value(strange))


@pytest.mark.usefixtures("large")
def test_explanations_of_a_detector_of_large_files_are_served(files, tmp_path):
    detector = dv.AnomalyDetector(small_model(), epochs=1).fit(open_table(files))
    folder = dv.export_saved_model(detector, tmp_path / "served", explain=True)
    new = rows(5, seed=9)
    served = dv.serving.load(folder).predict(new, "explain_table")
    expected = detector.explain(new)
    np.testing.assert_allclose(served["baseline"], expected.baseline, rtol=1e-4)
    size = detector.schema_.outputs.index("size")
    of_size = expected.contributions[:, size]
    np.testing.assert_allclose(served["contribution_size"], of_size, rtol=1e-3, atol=1e-4)


def test_labels_are_a_column(files, tmp_path, monkeypatch):
    frame = rows(400).assign(bad=0)
    frame.loc[:39, ["weight", "bad"]] = 300.0, 1
    path = tmp_path / "labelled" / "a.csv"
    path.parent.mkdir()
    frame.to_csv(path, index=False)
    table = open_table(path, label="bad")
    for small in (10**9, 0):
        monkeypatch.setattr(table_rows, "SMALL", small)
        detector = dv.AnomalyDetector(small_model(), "best_f1", epochs=2).fit(table)
        assert len(detector.normal_scores_) < 150
        assert detector.is_anomaly(frame[:40]).all()
        assert detector.is_anomaly(frame[40:]).mean() < 0.2
        assert detector.score(table) > 0.9
        for wrong, match in ((np.ones(400), "are a column of them"), (None, "all labels are 1")):
            if wrong is None:
                frame.assign(bad=1).to_csv(path, index=False)
            with pytest.raises(ValueError, match=match):
                dv.AnomalyDetector(small_model(), epochs=1).fit(
                    open_table(path, label="bad"), wrong
                )
        frame.to_csv(path, index=False)


def test_numbers_alone_have_no_schema(tmp_path, large):
    frame = rows(300)[["size", "on"]]
    frame.to_csv(tmp_path / "a.csv", index=False)
    table = open_table(tmp_path)
    detector = dv.AnomalyDetector(small_model(), epochs=1).fit(table)
    assert detector.schema_ is None
    assert list(detector.feature_names_in_) == ["size", "on"]
    np.testing.assert_allclose(
        detector.anomaly_score(table), detector.anomaly_score(frame.astype(float)), rtol=1e-5
    )
    trained = dv.AnomalyDetector(detector.model_).fit(table)  # of a model that is not trained anew
    assert len(trained.normal_scores_) == 300
    frame.assign(size=[None, *frame["size"][1:]]).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ValueError, match=r"1 rows \(first: \[0\]\) .* at most 0 of the 2 cells"):
        dv.AnomalyDetector(detector.model_).fit(open_table(tmp_path))
    frame.to_csv(tmp_path / "a.csv", index=False)
    with_unit = dv.AnomalyDetector(small_model(), epochs=1, units={"size": "cm"}).fit(table)
    assert with_unit.schema_.columns[0].unit == "cm"
    assert with_unit.anomaly_score(table).shape == (300,)


def test_what_cannot_be_is_said(files, large):
    forest = pytest.importorskip("sklearn.ensemble").IsolationForest()
    with pytest.raises(TypeError, match="IsolationForest takes arrays only, got TableFiles"):
        dv.AnomalyDetector(forest).fit(open_table(files, columns=["time", "size"]))
    detector = dv.AnomalyDetector(small_model(), epochs=1).fit(open_table(files))
    path = files / "0.csv"
    path.write_text(path.read_text().replace("\n", "\nbad", 1))
    with pytest.raises(
        dv.datasets.ContentsError, match=r"0\.csv: row 0 .*column 'time', holds 'bad"
    ):
        detector.anomaly_score(open_table(path))
    few = rows(3).assign(size=None, weight=None, colour=None)
    few.to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"0\.csv, rows from 0 on: .*at most 2 of the 5"):
        detector.anomaly_score(open_table(path))


def test_a_model_by_default_is_trained_on_a_bounded_number_of_rows(files, large, monkeypatch):
    monkeypatch.setattr(fitting, "MOST_ROWS", 2000)
    seen = []
    fit = dv.DELVM.fit
    monkeypatch.setattr(
        dv.DELVM,
        "fit",
        lambda self, x, **kw: seen.append(int(x.cardinality())) or fit(self, x, **kw),
    )
    dv.AnomalyDetector(criterion="energy").fit(open_table(files))
    dv.AnomalyDetector(criterion="energy").fit(rows(600))
    assert seen == [20, 20]
    dv.AnomalyDetector(criterion="energy", epochs=1).fit(rows(600))  # as one says
    assert seen[2] == 5


def test_of_large_files_random_rows_are_looked_at(files, large, monkeypatch):
    monkeypatch.setattr(level_detector, "MOST_ROWS", 150)
    seen = []
    fit = LevelDetector.fit
    monkeypatch.setattr(
        LevelDetector, "fit", lambda self, x, **kw: seen.append(x) or fit(self, x, **kw)
    )
    detector = dv.AnomalyDetector(epochs=1).fit(open_table(files))
    assert len(seen[0]) == 150
    assert len(np.unique(seen[0], axis=0)) > 100
    again = dv.AnomalyDetector(epochs=1).fit(open_table(files))
    np.testing.assert_array_equal(seen[0], seen[1])
    assert again.threshold_ == detector.threshold_


@pytest.mark.parametrize("size", [10**9, 0])
def test_columns_that_cannot_be_read_and_those_that_cannot_be_used_are_told_at_once(
    tmp_path, monkeypatch, size
):
    monkeypatch.setattr(table_rows, "SMALL", size)
    frame = rows(100).assign(
        name=[f"n{k}" for k in range(100)], day="2026-01-02", odd="1,234.5", empty=""
    )
    frame.loc[50, "size"] = np.inf
    frame.to_csv(tmp_path / "a.csv", index=False)
    refused = ["size", "name", "day", "odd", "empty"]
    for read in (dv.AnomalyDetector().fit, dv.schema.learn_schema):
        with pytest.raises(ContentsError) as told:
            read(open_table(tmp_path))
        assert told.value.columns == refused
        assert f"leave them out with drop={refused!r}" in str(told.value)
    left = open_table(tmp_path, drop=refused)
    assert dv.AnomalyDetector(small_model(), epochs=1).fit(left).schema_.names == left.names
