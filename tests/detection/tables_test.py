"""Detectors fitted on tables as they are: text, truth values, missing cells."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import delvm_tf as dv


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    size = rng.normal(170, 10, n)
    frame = pd.DataFrame({
        "size": size, "weight": 0.5 * size + rng.normal(size=n), "on": rng.random(n) > 0.5,
        "colour": rng.choice(["red", "blue"], n, p=[0.7, 0.3]),
    })  # fmt: skip
    frame.loc[::9, "weight"] = np.nan
    return frame


@pytest.fixture(scope="module")
def fitted():
    return dv.AnomalyDetector(contamination=0.05).fit(rows(300))


def test_the_default_detector_takes_a_table_as_it_is(fitted):
    normal = rows(400, seed=1)
    assert np.mean(fitted.is_anomaly(normal)) < 0.15
    assert list(fitted.feature_names_in_) == ["size", "weight", "on", "colour"]
    assert fitted.n_features_in_ == 4
    strange = normal.assign(weight=normal["weight"] + 40)
    assert np.mean(fitted.is_anomaly(strange[strange["weight"].notna()])) > 0.9
    unseen = normal.assign(colour="violet")
    assert np.median(fitted.anomaly_score(unseen)) > np.median(fitted.anomaly_score(normal))


@pytest.mark.parametrize("kind", [pl.DataFrame, pa.Table.from_pandas])
def test_tables_of_other_libraries_score_the_same(fitted, kind):
    table = rows(30, seed=2).astype({"on": bool})
    found = fitted.anomaly_score(kind(table))
    np.testing.assert_allclose(found, fitted.anomaly_score(table), rtol=1e-6)
    shuffled = table[["colour", "on", "weight", "size"]].assign(id=1)
    np.testing.assert_allclose(fitted.anomaly_score(shuffled), found, rtol=1e-6)


def test_what_does_not_fit_is_told(fitted):
    table = rows(10)
    with pytest.raises(ValueError, match="there are no rows to explain"):
        fitted.explain(table[:0])
    with pytest.raises(ValueError, match="lacks the columns colour"):
        fitted.predict(table.drop(columns="colour"))
    with pytest.raises(TypeError, match="'colour' held text in training, and holds number now"):
        fitted.predict(table.assign(colour=3))
    with pytest.raises(TypeError, match="a table with named columns, got ndarray"):
        fitted.predict(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="at most 2 of the 4 cells"):
        fitted.predict(table.assign(size=None, weight=None, colour=None))


def test_what_is_held_out_teaches_the_schema_nothing():
    table = rows(100)
    table["colour"] = [f"c{k}" for k in range(20)] * 5
    table.loc[table["colour"] == "c7", "colour"] = "only once"
    for row in range(100):
        one = table.copy()
        one["colour"] = "red"
        one.loc[row, "colour"] = "rare"
        detector = dv.AnomalyDetector(dv.DELVM(dv.networks.ffnn((2,))), epochs=1, holdout=0.8)
        detector.fit(one)
        if "rare" not in detector.schema_.columns[3].values:
            return  # this row was held out, and its value is not known
    raise AssertionError("every row was trained on")


def test_a_plain_table_has_no_schema():
    table = rows(60)[["size", "on"]]
    detector = dv.AnomalyDetector(dv.DELVM(dv.networks.ffnn((2,))), epochs=1).fit(table)
    assert detector.schema_ is None
    np.testing.assert_allclose(
        detector.anomaly_score(table), detector.anomaly_score(table.astype(float)), rtol=1e-5
    )


def test_a_saved_detector_knows_its_schema(fitted, tmp_path):
    table = rows(20, seed=3)
    fitted.save(tmp_path / "detector")
    again = dv.load_detector(tmp_path / "detector")
    assert again.schema_ == fitted.schema_
    np.testing.assert_array_equal(again.anomaly_score(table), fitted.anomaly_score(table))


def test_an_exported_detector_takes_the_same_tables(fitted, tmp_path):
    table = rows(40, seed=4)
    served = dv.serving.load(dv.export_saved_model(fitted, tmp_path, explain=True))
    found = served.predict(table, "table")
    np.testing.assert_allclose(found["anomaly_score"], fitted.anomaly_score(table), rtol=1e-5)
    np.testing.assert_array_equal(found["is_anomaly"], fitted.is_anomaly(table))
    np.testing.assert_allclose(found["p_value"], fitted.p_value(table), rtol=1e-5)
    encoded = fitted.schema_.encode(table)
    np.testing.assert_allclose(
        served.predict(encoded)["anomaly_score"], fitted.anomaly_score(table), rtol=1e-4
    )
    explained = fitted.explain(table)
    assert explained.contributions.shape == encoded.shape
    total = explained.contributions.sum(axis=1) + explained.baseline
    np.testing.assert_allclose(total, fitted.anomaly_score(table), rtol=1e-4, atol=1e-4)


def test_labels_go_with_tables():
    table = rows(200)
    y = np.ones(200)
    y[:20] = -1
    table.loc[:19, "weight"] = 300.0
    model = dv.DELVM(dv.networks.ffnn((4,), seed=0), normalization="zscore")
    detector = dv.AnomalyDetector(model, "best_f1", epochs=2).fit(table, y)
    assert detector.is_anomaly(table[:20]).all()
    assert detector.is_anomaly(table[20:]).mean() < 0.2


def test_dates_and_units(tmp_path):
    table = rows(80).assign(day=pd.date_range("2026-01-01", periods=80))
    small = dv.DELVM(dv.networks.ffnn((2,)), normalization="zscore")
    with pytest.raises(TypeError, match="'day' holds dates or times"):
        dv.AnomalyDetector(small, epochs=1).fit(table)
    detector = dv.AnomalyDetector(small, epochs=1, dates="numbers", units={"size": "cm"})
    detector.fit(table).save(tmp_path / "detector")
    again = dv.load_detector(tmp_path / "detector")
    assert again.schema_.columns[0].unit == "cm"
    assert again.schema_.columns[4].date
    assert again.get_params()["units"] == {"size": "cm"}
    np.testing.assert_array_equal(again.anomaly_score(table), detector.anomaly_score(table))
    folder = dv.export_saved_model(again, tmp_path / "served")
    assert dv.serving.load(folder).card.schema.columns[0].unit == "cm"
    plain = dv.AnomalyDetector(small, epochs=1, units={"size": "cm"}).fit(table[["size", "on"]])
    assert plain.schema_.columns[0].unit == "cm"
    with pytest.raises(ValueError, match="units go with tables with named columns, got ndarray"):
        plain.fit(np.zeros((9, 2)))


class Streamed:
    """A table of a library that is not known, with Arrow's stream."""

    def __init__(self, table):
        self._table = pa.Table.from_pandas(table, preserve_index=False)

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("names", [["size", "on"], ["size", "on", "colour"]])
def test_tables_of_any_library_are_taken(names):
    table = rows(60)[names]
    small = dv.DELVM(dv.networks.ffnn((2,), seed=0), normalization="zscore")
    detector = dv.AnomalyDetector(small, epochs=1).fit(Streamed(table))
    assert list(detector.feature_names_in_) == names
    found = detector.anomaly_score(Streamed(table))
    np.testing.assert_allclose(found, detector.anomaly_score(table), rtol=1e-5)
    assert detector.explain(Streamed(table[:2])).contributions.shape[0] == 2


@pytest.mark.parametrize("text", [False, True])
def test_warnings_call_columns_by_their_names(text):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"heat": rng.normal(size=80), "still": np.ones(80), "far": 1e9})
    table["far"] += rng.normal(size=80)
    if text:
        table["site"] = rng.choice(["north", "south"], 80)
    model = dv.DELVM(dv.networks.ffnn((4,), seed=0), normalization="zscore")
    detector = dv.AnomalyDetector(model, epochs=1)
    others = ", 'site is another'" if text else ""
    constant = rf"features are constant over the training data \(first: 'still'{others}\)"
    far = r"spreads away from zero \(first: 'far'\)"
    with pytest.warns(UserWarning, match=constant), pytest.warns(UserWarning, match=far):
        detector.fit(table)
    with pytest.raises(ValueError, match=r"in 1 of \d features \(first: 'far'\); choose another"):
        detector.fit(table.assign(far=table["far"] * 1e30))
