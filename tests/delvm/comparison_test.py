"""Simple methods learn from the same rows and set their thresholds in the same way."""

import numpy as np
import pytest

import delvm_tf as dv
from delvm.comparison import compared, simple_methods
from delvm_tf.metrics.anomaly import anomaly_metrics


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)) * [1, 100, 1]  # of which one would drown the others
    test = np.concatenate([rng.normal(size=(50, 3)) * [1, 100, 1], np.full((10, 3), 4.0)])
    return x, np.ones(400), test, np.repeat([0, 1], [50, 10])


def test_the_first_is_the_detector_and_the_others_see_z_scores(data):
    x, y, test, abnormal = data
    mean = dv.detection.DistanceToMean().fit(x)
    detector = dv.AnomalyDetector(mean, contamination=0.1).fit(x)
    scores = detector.anomaly_score(test)
    own, *simple = compared(detector, x, y, test, abnormal, scores, "ours")
    assert own == {"method": "ours", **anomaly_metrics(abnormal, scores, detector.threshold_)}
    assert [each["method"] for each in simple] == [*simple_methods(3, 0)]
    by_name = {each["method"]: each for each in simple}
    assert by_name["distance to the mean"]["auroc"] > own["auroc"] + 0.2
    assert by_name["nearest neighbours (5)"]["recall"] == 1


def test_one_number_has_no_residual():
    assert not any("PCA" in name for name in simple_methods(1, 0))
