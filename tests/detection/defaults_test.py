"""A detector without settings: what it trains, and on which rows."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import delvm_tf as dv
from delvm_tf.detection.levels.level_detector import LevelDetector
from delvm_tf.detection.parts import parted_stream


@pytest.fixture(scope="module")
def data():
    """Rows near a plane, in units of their own, then abnormal ones, and which they are."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(2, 6))
    normal = rng.normal(size=(600, 2)) @ mixing + 0.2 * rng.normal(size=(600, 6))
    abnormal = 2 * rng.normal(size=(60, 6)) * normal[:500].std(axis=0)
    x = np.concatenate([normal, abnormal]) * [1, 1e3, 1, 1e-3, 1, 1] + [0, 5e4, 0, 0, 7, 0]
    return x, np.repeat([1, -1], [600, 60])


@pytest.fixture(scope="module")
def detector(data):
    return dv.AnomalyDetector().fit(data[0][:500])


def test_it_finds_what_is_abnormal_and_keeps_to_its_rate(detector, data):
    x, y = data
    assert roc_auc_score(y[500:] == -1, detector.anomaly_score(x[500:])) > 0.9
    assert detector.is_anomaly(x[500:600]).mean() <= 0.05
    assert detector.threshold_rule_ == "contamination"
    assert isinstance(detector.model_, LevelDetector)
    assert len(detector.normal_scores_) == 100


def test_held_out_rows_are_not_trained_on(detector, data):
    """The training rows alone set the units of the model."""
    x = data[0][:500]
    order = np.random.default_rng(0).permutation(500)
    np.testing.assert_allclose(detector.model_.views_.mean, x[order[100:]].mean(axis=0), rtol=1e-5)
    held = np.sort(detector.anomaly_score(x[order[:100]]))
    np.testing.assert_allclose(detector.normal_scores_, held, rtol=1e-5, atol=1e-5)


def test_it_repeats_itself_and_another_seed_does_not(data):
    x = data[0][:500]
    first, again, other = (
        dv.AnomalyDetector(random_state=seed, epochs=1).fit(x).anomaly_score(x)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(again, first)
    assert not np.allclose(other, first)


def quick(**kwargs):
    return dv.AnomalyDetector(**{"epochs": 1, "contamination": 0.1, **kwargs})


def test_frames_lists_images_and_streams(data):
    x = data[0][:200]
    expected = quick().fit(x).anomaly_score(x)
    frame = pd.DataFrame(x, columns=[*"abcdef"])
    fitted = quick().fit(frame)
    np.testing.assert_allclose(fitted.anomaly_score(frame), expected, rtol=1e-4)
    assert fitted.feature_names_in_.tolist() == [*"abcdef"]
    np.testing.assert_allclose(quick().fit(x.tolist()).anomaly_score(x), expected, rtol=1e-4)
    images = np.random.default_rng(0).integers(0, 256, size=(60, 6, 6, 1), dtype=np.uint8)
    assert quick().fit(images).predict(images).shape == (60,)
    stream = tf.data.Dataset.from_tensor_slices(x).shuffle(200).batch(50)
    streamed = quick().fit(stream)
    assert 20 <= len(streamed.normal_scores_) <= 60
    assert streamed.anomaly_score(x).shape == (200,)


def test_a_row_of_a_stream_stays_on_its_side_in_whatever_order(rng):
    x = rng.normal(size=(2000, 3)).astype("float32")
    stream = tf.data.Dataset.from_tensor_slices((x, np.zeros(2000))).shuffle(2000).batch(64)
    training, held = parted_stream(stream, 0.2)

    def rows(part):
        return {tuple(row) for batch in part for row in batch.numpy()}

    first, second = rows(training), rows(training)
    assert first == second
    assert not first & rows(held)
    assert len(first) + len(rows(held)) == 2000
    assert len(rows(held)) == pytest.approx(400, abs=60)


def test_streams_that_cannot_be_used_are_refused(data):
    endless = tf.data.Dataset.from_tensor_slices(data[0]).batch(10).repeat()
    with pytest.raises(ValueError, match="the data set is infinite"):
        dv.AnomalyDetector().fit(endless)


def test_labels_leave_abnormal_rows_out_of_training_and_weigh_the_rest(data):
    x, y = data
    fitted = quick(threshold="best_f1").fit(x, y)
    assert len(fitted.normal_scores_) == 120
    order = np.random.default_rng(0).permutation(600)
    np.testing.assert_allclose(fitted.model_.views_.mean, x[order[120:]].mean(axis=0), rtol=1e-5)


def test_scikit_learns_tools(data):
    x, y = data
    folds = [next(StratifiedKFold(2).split(x, y))]
    search = GridSearchCV(quick(), {"criterion": ["energy", "reconstruction_error"]}, cv=folds)
    assert search.fit(x, y).best_score_ > 0.5
    assert np.isfinite(
        cross_val_score(make_pipeline(StandardScaler(), quick()), x, y, cv=folds)
    ).all()
    frame = pd.DataFrame(x, columns=[*"abcdef"]).assign(kind=["u", "v", "v"] * 220)
    columns = ColumnTransformer(
        [("kind", OneHotEncoder(), ["kind"])], remainder="passthrough", sparse_threshold=0
    )
    pipeline = make_pipeline(columns, quick()).fit(frame)
    assert pipeline.predict(frame).shape == (660,)
    assert set(quick().fit_predict(x)) == {1, -1}
    assert clone(quick(contamination=0.2)).get_params()["contamination"] == 0.2
    with pytest.raises(NotFittedError):
        clone(pipeline[-1]).predict(x)


def test_progress_is_shown_when_asked_for(data, capfd):
    quick().fit(data[0][:100])
    assert capfd.readouterr().out == ""
    quick(verbose=1).fit(data[0][:100])
    assert "loss" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs=0 takes a model that is trained already"),
        ({"holdout": 1.0}, "holdout must be a share from 0 to below 1, got 1.0"),
        ({"holdout": "0.2"}, "holdout must be a share"),
        ({"random_state": 0.5}, "random_state must be an integer of at least 0, got 0.5"),
        ({"holdout": 0.99}, "2 normal examples are too few to hold out a share of 0.99"),
    ],
)
def test_settings_that_make_no_sense_are_refused(arguments, message, data):
    with pytest.raises(ValueError, match=message):
        dv.AnomalyDetector(**arguments).fit(data[0][:2])
