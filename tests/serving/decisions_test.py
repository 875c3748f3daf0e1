"""The same rows give the same decisions wherever they are made."""

import json

import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.serving.scoring import score_files

LARGE = np.float32(1e15)


@pytest.fixture
def x(rng):
    return rng.normal(size=(64, 4)).astype(np.float32)


@pytest.fixture
def model(x):
    """Its first unit overflows early: energies of large rows are NaN or an infinity."""
    model = dv.DELVM(dv.networks.ffnn((3,), activation="relu", seed=0), normalization="none")
    model.adapt(x)
    kernel, bias = model.network.get_weights()
    kernel[:, 0] = [0, 1e10, 0, 0]
    kernel[1] = np.abs(kernel[1])
    bias[0] = -1e12  # so that no row of x reaches it
    model.network.set_weights([kernel, bias])
    return model


def decisions(detector, x, folder):
    """By path: scores and decisions, (n,) each."""
    exported = dv.export_saved_model(detector, folder / "saved", warmup=())
    raw = tf.saved_model.load(str(exported)).signatures["serving_default"](x=tf.constant(x))
    found = {
        "detector": (detector.anomaly_score(x), detector.is_anomaly(x)),
        "predict": (-detector.score_samples(x), detector.predict(x) == -1),
        "decision function": (detector.anomaly_score(x), detector.decision_function(x) < 0),
        "SavedModel": (raw["anomaly_score"].numpy(), raw["is_anomaly"].numpy()),
    }
    served = dv.serving.load(exported)
    outputs = served.predict(x)
    found["dv.serving.load"] = (outputs["anomaly_score"], outputs["is_anomaly"])
    np.testing.assert_array_equal(outputs["threshold"], np.float32(detector.threshold_))
    assert served.card.threshold["value"] == detector.threshold_
    assert served.card.threshold["rule"] == detector.threshold_rule_
    return found, served


def with_onnx(detector, x, folder):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    path = dv.export_onnx(detector, folder / "model.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, {"x": x}), strict=True))
    properties = {p.key: json.loads(p.value) for p in onnx.load(path).metadata_props}
    assert properties["threshold"]["value"] == detector.threshold_
    assert properties["threshold"]["rule"] == detector.threshold_rule_
    return outputs["anomaly_score"], outputs["is_anomaly"]


def test_rows_that_overflow_are_abnormal_on_every_path_and_the_others_are_not_touched(
    model, x, tmp_path
):
    detector = dv.AnomalyDetector(model, "contamination", "energy", 0.1).fit(x)
    minus = LARGE * np.array([[0, 1, 0, 0]], np.float32)  # its energy is -inf
    plus = 1e25 * np.array([[0, -1, 0, 0]], np.float32)
    nan = 1e25 * np.array([[0, 1, 0, 0]], np.float32)
    raw = model.energy(np.concatenate([minus, plus, nan])).numpy()
    np.testing.assert_array_equal(raw, [-np.inf, np.inf, np.nan])

    rows = np.concatenate([x[:3], minus, x[3:6], plus, nan, x[6:]])
    bad = np.isin(np.arange(len(rows)), [3, 7, 8])
    expected = model.energy(x).numpy()
    found, served = decisions(detector, rows, tmp_path)
    found["ONNX"] = with_onnx(detector, rows, tmp_path)
    for path, (scores, flags) in found.items():
        assert np.isposinf(scores[bad]).all(), path
        assert flags[bad].all(), path
        np.testing.assert_allclose(scores[~bad], expected, rtol=1e-4, atol=1e-4, err_msg=path)
        np.testing.assert_array_equal(flags[~bad], expected > detector.threshold_, err_msg=path)
    assert np.isneginf(detector.decision_function(rows)[bad]).all()

    parquet = pytest.importorskip("pyarrow.parquet")
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame(rows, columns=[*"abcd"]).to_parquet(tmp_path / "rows.parquet", index=False)
    summary = score_files(served, str(tmp_path / "rows.parquet"), tmp_path / "scores.parquet")
    table = parquet.read_table(tmp_path / "scores.parquet").to_pydict()
    np.testing.assert_array_equal(table["is_anomaly"], detector.is_anomaly(rows))
    assert summary.abnormal == detector.is_anomaly(rows).sum()
    assert summary.drift.rows == len(rows)


@pytest.mark.parametrize("offset", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_threshold_set_by_hand_decides_on_every_path(model, x, tmp_path, offset):
    detector = dv.AnomalyDetector(model, "mean_std", "energy").fit(x)
    scores = detector.anomaly_score(x)
    low = float(np.quantile(scores, 0.3))
    if offset:
        detector.offset_ = -low
    else:
        detector.threshold_ = low
    assert detector.threshold_ == -detector.offset_ == np.float32(low)
    found, served = decisions(detector, x, tmp_path)
    found["ONNX"] = with_onnx(detector, x, tmp_path)
    for path, (_, flags) in found.items():
        np.testing.assert_array_equal(flags, scores > low, err_msg=path)
    assert 0.6 < np.mean(detector.is_anomaly(x)) < 0.8
    assert served.card.threshold == {
        "value": np.float32(low), "rule": "set by hand", "criterion": "energy"
    }  # fmt: skip


def test_arguments_changed_after_fit_change_neither_decisions_nor_the_card(model, x, tmp_path):
    detector = dv.AnomalyDetector(model, "contamination", "energy", 0.3).fit(x)
    before = decisions(detector, x, tmp_path / "a")[0]
    other = dv.DELVM(dv.networks.ffnn((3,)))
    detector.set_params(
        threshold="mean_std",
        contamination=0.9,
        criterion="reconstruction_error",
        model=other,
        epochs=3,
    )
    after, served = decisions(detector, x, tmp_path / "b")
    for path, (scores, flags) in after.items():
        np.testing.assert_array_equal(scores, before[path][0], err_msg=path)
        np.testing.assert_array_equal(flags, before[path][1], err_msg=path)
    assert served.card.threshold["rule"] == "contamination"
    assert served.card.criterion == served.card.threshold["criterion"] == "energy"


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "float64"])
def test_scores_at_the_threshold_are_normal_on_every_path(x, tmp_path, dtype):
    model = dv.DELVM(dv.networks.ffnn((3,), seed=0, dtype=dtype), dtype=dtype)
    model.adapt(x)
    exact = np.sort(np.asarray(model.energy(x), np.float64))
    for step, value in enumerate([exact[20], (exact[30] + exact[31]) / 2]):
        detector = dv.AnomalyDetector(model, float(value), "energy").fit(x)
        assert detector.threshold_rule_ == "number"
        found, _ = decisions(detector, x, tmp_path / str(step))
        expected = np.float32(model.energy(x)) > np.float32(value)
        for path, (_, flags) in found.items():
            np.testing.assert_array_equal(flags, expected, err_msg=f"{path} {step}")


def test_the_trained_model_is_exported_and_not_the_one_that_was_given(x, tmp_path):
    given = dv.DELVM(dv.networks.ffnn((3,), seed=0))
    detector = dv.AnomalyDetector(given, epochs=1)
    with pytest.raises(ValueError, match="the detector has no threshold yet"):
        dv.export_saved_model(detector, tmp_path / "none")
    detector.fit(x)
    assert not given.built
    found, _ = decisions(detector, x, tmp_path)
    for path, (scores, _) in found.items():
        np.testing.assert_allclose(
            scores, detector.model_.reconstruction_error(x), rtol=1e-4, err_msg=path
        )


def test_tables_of_integers_and_truth_values_are_rows_on_every_path(x, tmp_path):
    pandas = pytest.importorskip("pandas")
    whole = np.round(3 * x)
    model = dv.DELVM(dv.networks.ffnn((3,), seed=0))
    model.adapt(whole)
    detector = dv.AnomalyDetector(model, "contamination", contamination=0.5).fit(whole)
    served = dv.serving.load(dv.export_saved_model(detector, tmp_path, warmup=()))
    plain = pandas.DataFrame(whole)
    for table in (plain.astype("Int64"), plain.astype(object), plain > 0):
        expected = detector.is_anomaly(table.to_numpy(dtype="float32"))
        np.testing.assert_array_equal(detector.is_anomaly(table), expected)
        np.testing.assert_array_equal(served.predict(table)["is_anomaly"], expected)
