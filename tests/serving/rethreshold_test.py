"""A new version of an exported detector has another threshold, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf
from parity_checks import kinds

import delvm_tf as dv
from delvm_tf.serving import DamagedModelError, set_threshold


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A detector, rows, and the folder of its versions."""
    x = np.random.default_rng(0).normal(3, 2, size=(300, 6)).astype("float32")
    detector = dv.AnomalyDetector(kinds.model(x), contamination=0.1).fit(x)
    folder = tmp_path_factory.mktemp("models")
    dv.export_saved_model(detector, folder, about={"data": "rows"})
    return detector, x, folder


def test_the_threshold_decides_and_the_rest_stays(exported):
    detector, x, folder = exported
    scores = detector.anomaly_score(x)
    value = float(np.float32(np.median(scores))) + 1e-3
    version = set_threshold(folder, value, version=1)
    assert version.parent == folder
    before, after = (dv.serving.load(f) for f in (folder / "1", version))
    assert after.card.threshold == {
        **before.card.threshold, "value": np.float32(value), "rule": "set by hand"
    }  # fmt: skip
    assert after.card.about == {"data": "rows"}
    assert after.card.checksums["saved_model.pb"] == before.card.checksums["saved_model.pb"]
    for name in ("serving_default", "energy"):
        old, new = before.predict(x, name), after.predict(x, name)
        for output in {*old} - {"is_anomaly", "threshold"}:
            np.testing.assert_array_equal(new[output], old[output], output)
    found = tf.saved_model.load(str(version)).signatures["serving_default"](x=tf.constant(x))
    np.testing.assert_array_equal(found["is_anomaly"], scores > value)
    assert set(found["threshold"].numpy()) == {np.float32(value)}
    assert before.card.threshold["value"] == detector.threshold_
    assert not list(folder.glob(".partial*"))


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3])
def test_a_rate_gives_the_threshold_of_a_detector_with_it(exported, rate):
    detector, x, folder = exported
    served = dv.serving.load(set_threshold(folder, contamination=rate, version=1))
    expected = dv.AnomalyDetector(detector.model, contamination=rate).fit(x)
    assert served.card.threshold["value"] == expected.threshold_
    assert served.card.threshold["rule"] == "contamination"
    np.testing.assert_array_equal(served.predict(x)["is_anomaly"], expected.is_anomaly(x))


def test_what_cannot_be_set_is_refused(exported, tmp_path):
    detector, x, folder = exported
    before = {path.name for path in folder.iterdir()}
    for arguments, message in (
        ({}, "give a threshold, or contamination="),
        ({"value": 1.0, "contamination": 0.1}, "give a threshold, or contamination="),
        ({"value": np.nan}, "must be a finite number"),
        ({"contamination": 1.5}, "must lie between 0 and 1"),
        ({"contamination": 1e-4}, "takes 9999 normal scores, and the detector has 300"),
    ):
        with pytest.raises(ValueError, match=message):
            set_threshold(folder, **arguments)
    assert {path.name for path in folder.iterdir()} == before
    model = dv.export_saved_model(detector.model, tmp_path / "model", warmup=())
    with pytest.raises(ValueError, match="it is a model, and no detector"):
        set_threshold(model, 1.0)
    seen = dv.AnomalyDetector(detector.model, holdout=0).fit(x)
    seen = dv.export_saved_model(seen, tmp_path / "seen", warmup=())
    with pytest.raises(ValueError, match="was not trained on, and this detector has none"):
        set_threshold(seen, contamination=0.1)
    (seen / "variables" / "variables.index").write_bytes(b"")
    with pytest.raises(DamagedModelError, match="altered"):
        set_threshold(seen, 1.0)


def test_a_detector_without_weights(tmp_path):
    detector, x = kinds.fitted("isolation forest")
    folder = dv.export_saved_model(detector, tmp_path, warmup=())
    value = float(np.median(detector.anomaly_score(x))) + 1e-4
    found = dv.serving.load(set_threshold(folder, value)).predict(x)
    np.testing.assert_array_equal(found["is_anomaly"], found["anomaly_score"] > np.float32(value))
