"""ONNX files of detectors take the columns of tables as they are, text too."""

import numpy as np
import onnx
import onnxruntime
import pytest
from tables_test import cells_of, rows

import delvm_tf as dv

FLOATS = {"rtol": 1e-5, "atol": 1e-5}


def table(n, seed=0):
    made = rows(n, seed)
    made["when"] -= 1.7e9
    made.loc[3, "colour"] = "violet" if seed else "red"
    return made


@pytest.fixture(
    scope="module", params=[None, pytest.param("reconstruction_error", marks=pytest.mark.slow)]
)
def detector(request):
    return dv.AnomalyDetector(criterion=request.param, epochs=2, contamination=0.1).fit(table(120))


@pytest.fixture(scope="module")
def of_tables(detector, tmp_path_factory):
    """The file that takes the columns of a table."""
    return dv.export_onnx(detector, tmp_path_factory.mktemp("onnx") / "a.onnx", "table")


def run(path, inputs):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def test_named_columns_give_what_python_gives(detector, of_tables):
    onnx.checker.check_model(str(of_tables), full_check=True)
    frame = table(40, seed=1)
    for some in (frame, frame.iloc[:1]):
        found = run(of_tables, cells_of(detector.schema_, some))
        np.testing.assert_allclose(found["anomaly_score"], detector.anomaly_score(some), **FLOATS)
        np.testing.assert_array_equal(found["is_anomaly"], detector.is_anomaly(some))
        np.testing.assert_allclose(found["p_value"], detector.p_value(some), rtol=1e-6)


@pytest.mark.parametrize(
    "signature", [pytest.param("decide", marks=pytest.mark.slow), "decide_table"]
)
def test_another_threshold(detector, tmp_path, signature):
    path = dv.export_onnx(detector, tmp_path / "a.onnx", signature)
    frame = table(40, seed=1)
    schema = detector.schema_
    inputs = {"x": schema.encode(frame).astype(np.float32)}
    if signature == "decide_table":
        inputs = cells_of(schema, frame)
    thresholds = np.full(40, np.median(detector.anomaly_score(frame)) + 1e-3, np.float32)
    thresholds[:3] = 1e9, -1e9, np.nan
    found = run(path, {**inputs, "threshold": thresholds})
    expected = detector.anomaly_score(frame) > thresholds
    expected[2] = True  # what cannot be compared is abnormal
    np.testing.assert_array_equal(found["is_anomaly"], expected)


def test_explanations(detector, tmp_path):
    folder = dv.export_saved_model(detector, tmp_path / "saved", explain=True)
    frame = table(20, seed=1)
    served = dv.serving.load(folder).predict(frame, "explain_table")
    path = dv.export_onnx(detector, tmp_path / "a.onnx", "explain_table")
    found = run(path, cells_of(detector.schema_, frame))
    assert {*found} == {*served}
    scale = max(np.abs(v).max() for name, v in served.items() if name.startswith("contribution_"))
    for name, value in served.items():
        if value.dtype == object:
            np.testing.assert_array_equal(found[name], value, name)
        else:
            atol = 1e-5 * max(scale, np.abs(value).max())
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=atol, err_msg=name)
    assert {*served["expected_colour"]} <= {"red", "blue", "another", ""}


def test_rows_that_a_server_would_refuse_are_abnormal(detector, of_tables):
    frame = table(20, seed=1)
    cells = {name: values.copy() for name, values in cells_of(detector.schema_, frame).items()}
    cells["when"][4] = np.inf
    cells["when"][5] = cells["on"][5] = np.nan
    cells["colour"][5] = ""
    found = run(of_tables, cells)
    bad = np.isin(np.arange(20), [4, 5])
    assert np.isnan(found["anomaly_score"][bad]).all()
    assert found["is_anomaly"][bad].all()
    expected = detector.anomaly_score(frame)[~bad]
    np.testing.assert_allclose(found["anomaly_score"][~bad], expected, **FLOATS)


def test_text_that_names_the_others_is_no_value(detector, of_tables):
    frame = table(4, seed=2).assign(colour=["another", "violet", "red", "blue"])
    found = run(of_tables, cells_of(detector.schema_, frame))
    np.testing.assert_allclose(found["anomaly_score"], detector.anomaly_score(frame), **FLOATS)
