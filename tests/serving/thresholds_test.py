"""Another threshold for a detector that is served already, wherever it is asked."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from parity_checks.servers import GrpcServer, RestServer
from pyarrow import parquet
from tables_test import cells_of, new_rows, rows

import delvm_tf as dv
from delvm_tf.serving.scoring import score_files

CLIENT = """
import json, sys
sys.modules["delvm_tf"] = sys.modules["keras"] = None
import numpy as np
import tensorflow as tf

folder, name, inputs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    loaded = tf.compat.v1.saved_model.load(session, ["serve"], folder)
    signature = loaded.signature_def[name]
    feed = {signature.inputs[name].name: np.array(value) for name, value in inputs.items()}
    outputs = {key: tensor.name for key, tensor in signature.outputs.items()}
    found = session.run(outputs, feed)
print(json.dumps({key: value.tolist() for key, value in found.items()}))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A detector of mixed columns and the folder of its SavedModel."""
    table = rows(120)
    detector = dv.AnomalyDetector(criterion="energy", epochs=2, contamination=0.1).fit(table)
    return detector, dv.export_saved_model(detector, tmp_path_factory.mktemp("model"))


def other(detector, table):
    """A threshold in the middle of the scores, and what is above it."""
    scores = np.sort(detector.anomaly_score(table))
    threshold = float(scores[11] + scores[12]) / 2
    assert not np.array_equal(detector.is_anomaly(table), detector.anomaly_score(table) > threshold)
    return threshold, detector.anomaly_score(table) > threshold


def same(found, detector, table, threshold, expected):
    np.testing.assert_array_equal(found["is_anomaly"], expected)
    np.testing.assert_allclose(found["threshold"], threshold, rtol=1e-6)
    np.testing.assert_allclose(found["anomaly_score"], detector.anomaly_score(table), rtol=1e-5)
    np.testing.assert_allclose(found["p_value"], detector.p_value(table), rtol=1e-6)


def test_the_loader(served):
    detector, folder = served
    table = new_rows()
    threshold, expected = other(detector, table)
    model = dv.serving.load(folder)
    same(model.predict(table, "table", 7, threshold), detector, table, threshold, expected)
    x = detector.schema_.encode(table).astype("float32")
    with pytest.warns(UserWarning, match="feature names"):
        found = model.predict(x, threshold=threshold)
    np.testing.assert_array_equal(found["is_anomaly"], found["anomaly_score"] > threshold)
    with pytest.raises(ValueError, match="'energy' has none"):
        model.predict(x, "energy", threshold=1.0)
    for wrong in (np.nan, 1e39, "high"):
        with pytest.raises(ValueError, match="must be a finite number of float32"):
            model.predict(table, "table", threshold=wrong)
    with pytest.raises(ValueError, match="pass threshold= with serving_default or table"):
        model.predict(table, "decide_table")


@pytest.mark.parametrize("server", [RestServer, GrpcServer])
def test_the_client(served, server):
    detector, folder = served
    table = new_rows()
    threshold, expected = other(detector, table)
    running = server(folder)
    try:
        with dv.serving.Client(running.address, "ecg", batch_size=8) as client:
            found = client.predict(table, "table", threshold)
            same(found, detector, table, threshold, expected)
            with pytest.raises(ValueError, match="'energy' has none"):
                client.predict(np.zeros((1, 8)), "energy", threshold)
    finally:
        running.close()


@pytest.mark.parametrize(
    "signature", [pytest.param("decide", marks=pytest.mark.slow), "decide_table"]
)
def test_bare_tensorflow_decides_row_by_row(served, signature):
    detector, folder = served
    table = new_rows()
    threshold, expected = other(detector, table)
    thresholds = np.full(len(table), threshold)
    thresholds[:2] = 1e9, -1e9
    expected[:2] = False, True
    schema = detector.schema_
    if signature == "decide":
        inputs = {"x": schema.encode(table).tolist()}
    else:
        inputs = {name: values.tolist() for name, values in cells_of(schema, table).items()}
    given = json.dumps({**inputs, "threshold": thresholds.tolist()})
    result = subprocess.run(
        [sys.executable, "-c", CLIENT, str(folder), signature, given],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout.splitlines()[-1])
    if signature == "decide":  # whose float32 inputs round the great offset of a column
        expected = np.array(found["anomaly_score"]) > thresholds
    np.testing.assert_array_equal(found["is_anomaly"], expected)
    np.testing.assert_allclose(found["threshold"], thresholds, rtol=1e-6)


@pytest.mark.parametrize(
    ("threshold", "message"),
    [([1.0], "give one threshold for each row"), ([1.0, np.nan], "a threshold is NaN or infinite")],
)
def test_thresholds_that_do_not_fit_are_refused_in_the_graph(served, threshold, message):
    decide = tf.saved_model.load(str(served[1])).signatures["decide"]
    x = tf.zeros((2, len(served[0].schema_.outputs)))
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decide(x=x, threshold=tf.constant(threshold))


def test_a_column_of_that_name_keeps_it(tmp_path):
    table = rows(60).rename(columns={"when": "threshold"})
    detector = dv.AnomalyDetector(criterion="energy", epochs=1, contamination=0.1).fit(table)
    folder = dv.export_saved_model(detector, tmp_path)
    function = tf.saved_model.load(str(folder)).signatures["decide_table"]
    cells = {name: tf.constant(v) for name, v in cells_of(detector.schema_, table).items()}
    found = function(**cells, threshold_2=tf.fill([60], 1e9))
    assert not found["is_anomaly"].numpy().any()


def test_files(served, tmp_path):
    detector, folder = served
    x = detector.schema_.encode(new_rows())
    np.savez(tmp_path / "x.npz", x=x)
    model = dv.serving.load(folder)
    scores = model.predict(x)["anomaly_score"]
    threshold = float(np.median(scores)) + 1e-3
    summary = score_files(
        model, f"{tmp_path}/x.npz", tmp_path / "s.parquet", threshold=threshold, p_values=False
    )
    found = parquet.read_table(tmp_path / "s.parquet")
    np.testing.assert_array_equal(found["is_anomaly"], scores > threshold)
    assert summary.abnormal == int(np.sum(scores > threshold))
    assert "p_value" not in found.column_names
