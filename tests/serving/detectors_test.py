"""Every kind of detector decides the same wherever it is served."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from parity_checks.kinds import KINDS, OF_IMAGES, OF_TABLES, written
from parity_checks.servers import GrpcServer, RestServer
from parity_test import CLIENT, assert_close
from pyarrow import parquet

import delvm_tf as dv
from delvm_tf.serving.scoring import score_files

OUTPUTS = ("anomaly_score", "is_anomaly", "p_value")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """By kind: the detector, its rows, and the folder of its SavedModel."""
    return written(KINDS, dv.export_saved_model, tmp_path_factory.mktemp("detectors"))


def same(found, detector, x, what):
    assert_close(np.asarray(found["anomaly_score"]), detector.anomaly_score(x), what)
    np.testing.assert_array_equal(found["is_anomaly"], detector.is_anomaly(x), what)
    np.testing.assert_allclose(found["p_value"], detector.p_value(x), rtol=1e-6, err_msg=what)


def test_bare_tensorflow_and_the_loader_of_tensorflow_serving(exported, tmp_path):
    jobs = []
    for number, (_, x, version) in enumerate(exported.values()):
        np.save(tmp_path / f"{number}.npy", x)
        jobs.append([str(version), *(str(tmp_path / f"{number}.{end}") for end in ("npy", "npz"))])
    code = CLIENT.replace(
        'name in ("encoded_images", "decide")', 'name != "serving_default"'
    ).replace(
        'name in ("encoded_images", "decide", "__saved_model_init_op")', 'name != "serving_default"'
    )
    result = subprocess.run(
        [sys.executable, "-c", code, json.dumps(jobs)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    for number, (kind, (detector, x, _)) in enumerate(exported.items()):
        with np.load(tmp_path / f"{number}.npz") as found:
            for way in ("eager", "session"):
                outputs = {name: found[f"{way}/serving_default/{name}"] for name in OUTPUTS}
                same(outputs, detector, x, f"{kind}, {way}")


@pytest.mark.parametrize("kind", KINDS)
def test_the_checked_loader(exported, kind):
    detector, x, folder = exported[kind]
    served = dv.serving.load(folder)
    same(served.predict(x), detector, x, kind)
    assert served.card.threshold["value"] == detector.threshold_
    assert served.card.model["class"]
    assert served.card.scores is not None


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_runtime(exported, kind, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    detector, x, _ = exported[kind]
    path = dv.export_onnx(detector, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for rows in (x, x[:1]):
        found = dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"x": rows}), strict=True))
        same(found, detector, rows, kind)


@pytest.mark.parametrize("server", [RestServer, GrpcServer])
def test_the_client(exported, server):
    for kind in ("ensemble", "combination", "layers", "isolation forest", "patches"):
        detector, x, folder = exported[kind]
        running = server(folder)
        try:
            with dv.serving.Client(running.address, "ecg") as client:
                same(client.predict(x), detector, x, kind)
        finally:
            running.close()


def test_files(exported, tmp_path):
    for kind in OF_TABLES:
        detector, x, folder = exported[kind]
        np.savetxt(tmp_path / "x.csv", x, delimiter=",", header=",".join("abcdef"), comments="")
        summary = score_files(
            dv.serving.load(folder), str(tmp_path / "x.csv"), tmp_path / "scores.parquet"
        )
        same(parquet.read_table(tmp_path / "scores.parquet").to_pydict(), detector, x, kind)
        assert summary.abnormal == detector.is_anomaly(x).sum()
        assert summary.drift.rows == len(x)


@pytest.mark.parametrize("kind", OF_IMAGES)
def test_encoded_images(exported, kind):
    detector, x, folder = exported[kind]
    encoded = [tf.io.encode_png(image.astype(np.uint8)).numpy() for image in x]
    served = dv.serving.load(folder)
    assert served.card.white == 255
    same(served.predict(encoded, "encoded_images"), detector, x, kind)


def test_features_of_a_feature_detector_are_served(exported):
    detector, x, folder = exported["patches"]
    served = dv.serving.load(folder)
    expected = np.asarray(detector.model_.features(x))
    np.testing.assert_allclose(
        served.predict(x, "features")["features"], expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("kind", ["ensemble", "neighbours"])
def test_rows_that_overflow_are_abnormal(exported, kind):
    detector, x, folder = exported[kind]
    rows = np.concatenate([x[:3], np.full((1, 6), 3e38, np.float32), x[3:5]])
    assert detector.is_anomaly(rows)[3]
    found = dv.serving.load(folder).predict(rows)
    assert found["is_anomaly"][3]
    np.testing.assert_array_equal(found["is_anomaly"], detector.is_anomaly(rows))
