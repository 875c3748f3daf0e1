"""A model goes to servers as it was fitted."""

import shutil

import numpy as np
import pandas as pd
import pytest

import delvm_tf as dv


def test_versions_follow_each_other_and_keep_what_is_known(delvm_json, fitted, tmp_path):
    for version in ("1", "2"):
        found = delvm_json("export", fitted / "model", "-o", "saved_models/mine")
        assert found["written"] == f"saved_models/mine/{version}"
    served = dv.serving.load(tmp_path / "saved_models" / "mine")
    table = pd.read_csv(fitted / "machines.csv", sep=";", decimal=",")
    own = dv.serving.load(fitted / "model" / "serving").predict(table, "table")
    found = served.predict(table, "table")
    np.testing.assert_allclose(found["anomaly_score"], own["anomaly_score"], rtol=1e-5, atol=1e-5)
    assert "explain" in served.card.signatures
    info = delvm_json("info", "saved_models/mine")
    assert info["protocol"] == delvm_json("info", fitted / "model")["protocol"]


def test_onnx(delvm_json, fitted, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    found = delvm_json("export", fitted / "model", "-o", "deep/mine.onnx", "--onnx")
    session = onnxruntime.InferenceSession(tmp_path / found["written"])
    detector = dv.load_detector(fitted / "model")
    table = pd.read_csv(fitted / "machines.csv", sep=";", decimal=",")
    inputs = detector.schema_.inputs
    cells = dict(zip(inputs, detector.schema_.cells(table).values(), strict=True))
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, cells), strict=True))
    np.testing.assert_allclose(
        outputs["anomaly_score"], detector.anomaly_score(table), rtol=1e-3, atol=1e-3
    )


def test_a_score_without_gradient_serves_no_explanations(delvm_json, tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    detector = dv.AnomalyDetector(Floor().fit(x), contamination=0.1).fit(x)
    detector.save(tmp_path / "floor")
    found = delvm_json("export", "floor", "-o", "served")
    assert any("serves no explanations" in note for note in found["notes"])
    assert "explain" not in dv.serving.load(tmp_path / "served").card.signatures


class Floor(dv.detection.Criterion):
    """A score of steps."""

    def fit(self, X, y=None):
        self.offset_ = 1.0
        return self

    def anomaly(self, x):
        import tensorflow as tf

        return tf.reduce_sum(tf.floor(tf.cast(x, tf.float32)), axis=1) + self.offset_


def test_an_exported_model_is_no_detector(delvm, fitted, tmp_path):
    shutil.copytree(fitted / "model" / "serving", tmp_path / "served")
    done = delvm("export", "served", "-o", "again")
    assert done.returncode == 1
    assert "served is no detector; export takes a folder that delvm fit" in done.stderr
