"""The detector that images get: a task with a known answer, and all that detectors promise."""

import pickle

import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.datasets.streams import stream
from delvm_tf.detection import ImageDetector, NeighbourDistance
from delvm_tf.detection.images import image_detector, pooled_codes


@pytest.fixture(scope="module", autouse=True)
def few_patches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooled_codes, "PATCHES", 3000)
        yield


@pytest.fixture(scope="module")
def digits():
    return dv.datasets.load("digits", protocol="one-vs-rest", normal_class=8)


@pytest.fixture(scope="module")
def detector(digits):
    return dv.AnomalyDetector(contamination=0.1).fit(digits.x_train)


def png(x):
    return [tf.io.encode_png(np.asarray(image, np.uint8)).numpy() for image in x]


def test_digits_are_told_apart_better_than_by_their_pixels(digits, detector):
    assert isinstance(detector.model_, ImageDetector)
    labels = np.where(digits.y_test == 1, -1, 1)
    pixels = dv.AnomalyDetector(NeighbourDistance(3), contamination=0.1, epochs=1)
    pixels.fit(digits.x_train.reshape(len(digits.x_train), -1))
    by_pixels = pixels.score(digits.x_test.reshape(len(digits.x_test), -1), labels)
    assert detector.score(digits.x_test, labels) > max(0.97, by_pixels)
    false_alarms = detector.is_anomaly(digits.x_test)[digits.y_test == 0]
    assert false_alarms.mean() < 0.3
    assert detector.p_value(digits.x_test)[digits.y_test == 1].mean() < 0.06


def test_images_of_a_stream_and_without_channels_get_it_too(digits, detector):
    x = digits.x_train
    same = dv.AnomalyDetector(contamination=0.1).fit(x[..., 0])
    assert isinstance(same.model_, ImageDetector)
    expected = detector.anomaly_score(x[:50])
    np.testing.assert_allclose(same.anomaly_score(x[:50, ..., 0]), expected, rtol=1e-3, atol=1e-3)
    ds = tf.data.Dataset.from_tensor_slices(x).batch(32)
    streamed = dv.AnomalyDetector(contamination=0.1).fit(ds)
    assert isinstance(streamed.model_, ImageDetector)
    both = [each.anomaly_score(digits.x_test) for each in (streamed, detector)]
    assert np.corrcoef(both)[0, 1] > 0.95
    assert streamed.explain(x[:1]).contributions.shape == (1, 8, 8, 1)


def test_units_do_not_matter(digits, detector):
    """By a power of two, which rounds nothing, so that filters between two groups stay there."""
    other = dv.AnomalyDetector(contamination=0.1).fit(digits.x_train / 1024)
    expected = detector.anomaly_score(digits.x_test)
    np.testing.assert_allclose(
        other.anomaly_score(digits.x_test / 1024), expected, rtol=1e-3, atol=1e-3
    )


def test_heat_maps_add_up_to_the_scores(digits, detector):
    x = digits.x_test[:3]
    contributions, baseline, expected = detector.explain(x)
    assert contributions.shape == x.shape
    assert expected is None
    total = contributions.sum(axis=(1, 2, 3)) + baseline
    np.testing.assert_allclose(total, detector.anomaly_score(x), rtol=1e-4, atol=1e-4)
    of_mean = detector.anomaly_score(detector.mean_[np.newaxis])
    np.testing.assert_allclose(baseline, [*of_mean] * 3, atol=1e-4)


def test_a_heat_map_shows_where_a_spot_is():
    rng = np.random.default_rng(0)
    x = 100 + rng.normal(0, 10, (60, 16, 16))
    spotted = x[:1].copy()
    spotted[:, 9:14, 2:7] += 80 * rng.normal(size=(5, 5))
    detector = dv.AnomalyDetector(holdout=0, contamination=0.1).fit(x)
    heat = detector.explain(spotted).contributions[0]
    quarters = heat.reshape(2, 8, 2, 8).sum(axis=(1, 3))
    assert quarters[1, 0] > 1
    assert quarters[1, 0] == quarters.max()


def test_saved_and_pickled_ones_score_the_same(digits, detector, tmp_path):
    expected = detector.anomaly_score(digits.x_test[:40])
    loaded = dv.load_detector(detector.save(tmp_path / "detector"))
    np.testing.assert_array_equal(loaded.anomaly_score(digits.x_test[:40]), expected)
    copied = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(copied.anomaly_score(digits.x_test[:40]), expected)
    assert loaded.threshold_ == detector.threshold_


def test_what_is_served_is_what_python_says(digits, detector, tmp_path):
    x = np.round(digits.x_test[:40])
    version = dv.export_saved_model(detector, tmp_path / "served", explain=True, white=255)
    served = dv.serving.load(version)
    answer = served.predict(x)
    expected = detector.anomaly_score(x)
    np.testing.assert_allclose(answer["anomaly_score"], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(answer["p_value"], detector.p_value(x), atol=1e-6)
    np.testing.assert_array_equal(answer["is_anomaly"], detector.is_anomaly(x))
    encoded = served.predict(np.array(png(x), object), "encoded_images")
    np.testing.assert_allclose(encoded["anomaly_score"], expected, rtol=1e-4, atol=1e-4)
    heat = served.predict(x[:2], "explain")
    found = detector.explain(x[:2]).contributions
    np.testing.assert_allclose(heat["contributions"], found, atol=1e-3)
    with pytest.raises(Exception, match="expected an image of shape"):
        served.predict(np.array(png(np.zeros((1, 9, 8, 1))), object), "encoded_images")


@pytest.mark.parametrize(
    "shape", [(6, 9, 8, 4), (5, 20, 24, 2), (4, 70, 100), (3, 65, 64, 3), (2, 8, 8, 1)]
)
def test_sizes_and_channels(shape):
    x = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    detector = ImageDetector().fit(x)
    assert max(detector.seen_[0]) <= image_detector.LONGEST
    assert len(detector.seen_) == (2 if min(detector.seen_[0]) >= 16 else 1)
    scores = detector.anomaly(x).numpy()
    assert scores.shape == (shape[0],)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("value", [0, 255])
def test_constant_images(value):
    x = np.full((12, 10, 10), value, np.uint8)
    detector = dv.AnomalyDetector(contamination=0.5).fit(x)
    noise = np.random.default_rng(0).integers(0, 256, (3, 10, 10)).astype(np.uint8)
    assert not detector.is_anomaly(x).any()
    assert detector.is_anomaly(noise).all()


def test_of_many_images_a_part_is_learned_from(monkeypatch):
    monkeypatch.setattr(image_detector, "MOST_IMAGES", 5)
    detector = ImageDetector().fit(np.random.default_rng(0).normal(size=(9, 8, 8)))
    assert detector.near_[0].memory.kept_.shape[0] == 5


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match="sides of 8 pixels or more, got"):
        ImageDetector().fit(np.zeros((4, 7, 9)))
    with pytest.raises(ValueError, match="sides of 8 pixels or more, got"):
        ImageDetector().fit(np.zeros((4, 64)))
    with pytest.raises(ValueError, match="minimum of 2"):
        ImageDetector().fit(np.zeros((1, 8, 8)))
    with pytest.raises(ValueError, match="NaN"):
        ImageDetector().fit(np.full((4, 8, 8), np.nan))


def test_other_images_are_refused(detector):
    with pytest.raises(ValueError, match="fitted on"):
        detector.anomaly_score(np.zeros((2, 8, 9, 1)))


def test_folders_of_images_are_streams(tmp_path):
    rng = np.random.default_rng(0)
    for k, image in enumerate(png(rng.integers(0, 256, (20, 12, 12, 3)))):
        (tmp_path / f"{k}.png").write_bytes(image)
    detector = dv.AnomalyDetector(contamination=0.5).fit(stream(str(tmp_path)))
    assert isinstance(detector.model_, ImageDetector)
    assert detector.mean_.shape == (12, 12, 3)
    (tmp_path / "99.png").write_bytes(png(np.zeros((1, 12, 13, 3)))[0])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"99\.png"):
        dv.AnomalyDetector(contamination=0.5).fit(stream(str(tmp_path)))
