"""Every kind of detector decides the same wherever it is served; see `benchmarks/parity.py`."""

import numpy as np
import pytest
import tensorflow as tf
from parity_checks.cases import NAMES, REASONS, REBUILT, SET, Case, difference
from parity_checks.kinds import OF_IMAGES
from parity_checks.ways import NOT_GIVEN, InC, NotAskedError, ways

import delvm_tf as dv

# Some kinds are asked each time, and all in the long tests. The detector by default, which takes
# longest, is asked each time where its tables are tested.
SOME = ("patches", "columns: all of these", "ensemble and neighbours")
# Clients send images in their own tests, and each operation is tested as ONNX.
ELSEWHERE = {("patches", "ONNX"), ("patches", "REST"), ("patches", "gRPC")}
WAYS = ("TensorFlow", "session", "load", "ONNX", "score", "REST", "gRPC")
NOT_ASKED = {("ONNX", SET), ("score", REASONS), ("score", REBUILT)}


def some_of(kinds):
    return [pytest.param(k, marks=() if k in SOME else pytest.mark.slow) for k in kinds]


@pytest.fixture(scope="module")
def cases(request, tmp_path_factory):
    """By kind that is tested: the detector, its rows, its SavedModel, and what Python says."""
    folder = tmp_path_factory.mktemp("detectors")
    tests = [item for item in request.session.items if item.path == request.path]
    wanted = {item.callspec.params.get("kind") for item in tests if hasattr(item, "callspec")}
    return {
        kind: Case.of(kind, folder / str(k) / "model") for k, kind in enumerate(NAMES)
        if kind in wanted or kind == "patches"
    }  # fmt: skip


@pytest.fixture(scope="module")
def asked(cases, tmp_path_factory):
    return ways([*cases.values()], tmp_path_factory.mktemp("ways"))


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        pytest.param(k, w, marks=pytest.mark.slow if k not in SOME or (k, w) in ELSEWHERE else ())
        for k in NAMES for w in WAYS
    ],
)  # fmt: skip
def test_every_way_says_what_python_says(cases, asked, kind, way):
    case = cases[kind]
    for name, request in case.requests.items():
        try:
            found = asked[way](case, request)
        except NotAskedError:
            assert (way, name) in NOT_ASKED
            assert name != REASONS or kind in OF_IMAGES
            continue
        assert {*request.expected} - {*found} <= NOT_GIVEN.get(way, set()), name
        expected = {output: value for output, value in request.expected.items() if output in found}
        largest, same = difference(found, expected)
        assert largest < 1e-5, name
        assert same, name


def test_all_ways_are_there(asked):
    assert {*asked} >= {*WAYS}
    assert ("C" in asked) == (InC.missing() is None)


def test_a_difference_is_seen():
    expected = {"anomaly_score": np.float64([1.0, 4.0]), "is_anomaly": np.array([True, False])}
    found = {"anomaly_score": [1.0, 4.1], "is_anomaly": [True, True]}
    largest, same = difference(found, expected)
    assert largest == pytest.approx(0.025)
    assert not same
    assert np.isnan(difference({**found, "anomaly_score": [1.0, np.nan]}, expected).largest)
    with pytest.raises(KeyError):
        difference({}, expected)


@pytest.mark.parametrize("kind", some_of(NAMES))
def test_the_card(cases, kind):
    detector, _, folder = of(cases[kind])
    card = dv.serving.load(folder).card
    assert card.threshold["value"] == detector.threshold_
    assert card.model["class"]
    assert card.scores is not None


def of(case):
    return case.detector, case.rows, case.folder


def same(found, detector, x, what):
    expected = {
        "anomaly_score": detector.anomaly_score(x), "is_anomaly": detector.is_anomaly(x),
        "p_value": detector.p_value(x),
    }  # fmt: skip
    largest, agree = difference(found, expected)
    assert largest < 1e-5, what
    assert agree, what


@pytest.mark.parametrize("kind", some_of(OF_IMAGES))
def test_encoded_images(cases, kind):
    detector, x, folder = of(cases[kind])
    encoded = [tf.io.encode_png(image.astype(np.uint8)).numpy() for image in x]
    served = dv.serving.load(folder)
    assert served.card.white == 255
    same(served.predict(encoded, "encoded_images"), detector, x, kind)


def test_features_of_a_feature_detector_are_served(cases):
    detector, x, folder = of(cases["patches"])
    served = dv.serving.load(folder)
    expected = np.asarray(detector.model_.features(x))
    np.testing.assert_allclose(
        served.predict(x, "features")["features"], expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("kind", ["ensemble", "neighbours", "ensemble and neighbours"])
def test_rows_that_overflow_are_abnormal(cases, kind):
    detector, x, folder = of(cases[kind])
    rows = np.concatenate([x[:3], np.full((1, 6), 3e38, np.float32), x[3:5]])
    assert detector.is_anomaly(rows)[3]
    found = dv.serving.load(folder).predict(rows)
    assert found["is_anomaly"][3]
    np.testing.assert_array_equal(found["is_anomaly"], detector.is_anomaly(rows))
