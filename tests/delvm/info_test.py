"""What a model is, is told without running it."""

import numpy as np
import pytest

import delvm_tf as dv

ABOUT = {
    "site": "north", "test": {"auroc": 0.98765}, "recipe": {"settings": {"units": [8, 4]}}
}  # fmt: skip


def test_a_fitted_model(delvm, fitted):
    done = delvm("info", fitted / "model")
    assert done.returncode == 0, done.stderr
    for text in (
        "320 rows, 3 columns", "Temperatur (°C)", "DSM-DELVM, energy", "trained on 192",
        "which at most 2.04 % of new normal rows exceed", "tensorflow 2.", "isolation forest",
        "serving/1/saved_model.pb",
    ):  # fmt: skip
        assert text in done.stdout, text


@pytest.fixture
def detector():
    x = np.random.default_rng(0).normal(size=(60, 3))
    mean = dv.detection.DistanceToMean().fit(x)
    detector = dv.AnomalyDetector(mean, contamination=0.1).fit(x)
    detector.threshold_ = 2.5
    return detector


@pytest.mark.parametrize("kind", ["saved", "exported"])
def test_a_detector_of_python(kind, detector, delvm, delvm_json, tmp_path):
    if kind == "saved":
        detector.save(tmp_path / "model")
    else:
        dv.export_saved_model(detector, tmp_path / "model", about=ABOUT, warmup=())
    found = delvm_json("info", "model")
    assert found["threshold"]["value"] == 2.5
    assert found["threshold_rows"] == 60
    assert found["columns"] is None
    assert found["versions"]["keras"]
    said = delvm("info", "model").stdout
    assert "2.5, set by hand" in said
    for line in (
        "about site:    north",
        "about test auroc: 0.9877",
        "about recipe settings units: 8, 4",
    ):
        assert (line in said.splitlines()) == (kind == "exported")
    assert "{" not in said


def test_what_was_written_beside_a_fit_is_told_too(delvm, fitted, tmp_path):
    card = dv.serving.load(fitted / "model" / "serving").card
    detector = dv.load_detector(fitted / "model")
    dv.export_saved_model(detector, tmp_path / "served", about={**card.about, **ABOUT}, warmup=())
    said = delvm("info", "served").stdout
    assert "320 rows, 3 columns" in said
    assert "about recipe settings units: 8, 4" in said
    assert "{" not in said


def test_the_columns_of_a_schema(delvm, fitted, tmp_path):
    dv.load_detector(fitted / "model").save(tmp_path / "plain")
    said = delvm("info", "plain").stdout
    assert "Maschine (category), Temperatur (°C) (number), Druck (number)" in said


def test_a_damaged_model_is_an_error(delvm, fitted, tmp_path):
    import shutil

    shutil.copytree(fitted / "model", tmp_path / "model")
    card = tmp_path / "model" / "serving" / "1" / "model_card.json"
    card.write_text(card.read_text().replace("delvm", "DELVM", 1))
    done = delvm("info", "model")
    assert done.returncode == 1
    assert "model_card.json is altered" in done.stderr


@pytest.mark.parametrize("command", ["info", "score"])
def test_a_folder_without_a_model_is_called_so(delvm, tmp_path, command):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.csv").write_text("a,b\n1,2\n")
    more = () if command == "info" else ("photos", "-o", "s.csv")
    done = delvm(command, "photos", *more)
    assert done.returncode == 1
    assert "photos holds no model" in done.stderr
    assert "delvm fit or delvm export wrote" in done.stderr
