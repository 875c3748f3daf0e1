"""Training by a detector starts anew, as scikit-learn's habits want it."""

import copy
import io
import pickle

import joblib
import keras
import numpy as np
import pytest
from parity_checks.kinds import KINDS, fitted
from sklearn.base import clone, is_outlier_detector
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import delvm_tf as dv
from delvm_tf.detection import ModelEnsemble


@pytest.fixture
def data(rng):
    """Rows near a line and ones off it, in any order, and labels +1 normal, −1 abnormal."""
    normal = rng.normal(size=(90, 1)) * [3.0, -3.0, 3.0, 3.0] + 0.3 * rng.normal(size=(90, 4))
    x = np.concatenate([normal, 3.0 * rng.normal(size=(45, 4))]).astype(np.float32)
    order = rng.permutation(len(x))
    return x[order], np.repeat([1, -1], [90, 45])[order]


def network():
    return dv.networks.ffnn((5,), activation="softplus", seed=0)


def detector_of(model=None, **kwargs):
    model = model or dv.DELVM(network(), scale=2.0)
    return dv.AnomalyDetector(model, **{"epochs": 2, "batch_size": 200, **kwargs})


def test_fitting_twice_gives_what_fitting_once_gives(data):
    x, _ = data
    detector = detector_of().fit(x)
    first = detector.anomaly_score(x)
    weights = detector.model_.get_weights()
    detector.fit(x)
    np.testing.assert_allclose(detector.anomaly_score(x), first, rtol=1e-5)
    for a, b in zip(detector.model_.get_weights(), weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_given_model_stays_as_it_was_and_lends_no_weights(data):
    x, _ = data
    model = dv.DELVM(network(), scale=2.0)
    model.adapt(x)
    model.compile(keras.optimizers.Adam(0.3))
    model.fit(x, epochs=20, verbose=0)
    before = model.get_weights()
    steps = int(model.optimizer.iterations)
    detector = detector_of(model).fit(x)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(model.optimizer.iterations) == steps
    # The weights are those of a model that nobody had trained, and so is the optimizer.
    fresh = dv.DELVM(network(), scale=2.0)
    fresh.compile(keras.optimizers.Adam(0.3))
    expected = detector_of(fresh).fit(x)
    np.testing.assert_allclose(detector.anomaly_score(x), expected.anomaly_score(x), rtol=1e-5)
    assert int(detector.model_.optimizer.iterations) == 2
    assert float(detector.model_.optimizer.learning_rate) == pytest.approx(0.3)


def test_a_refit_may_have_another_width(data):
    x, _ = data
    detector = detector_of().fit(x)
    detector.fit(x[:, :3])
    assert detector.n_features_in_ == 3
    assert detector.predict(x[:, :3]).shape == (len(x),)
    model = dv.DELVM(network())
    model.adapt(x)  # built for four
    assert detector_of(model).fit(x[:, :2]).predict(x[:, :2]).shape == (len(x),)


def test_a_warm_start_goes_on_from_the_weights_there_are(data):
    x, _ = data
    model = dv.DELVM(network(), scale=2.0)
    model.adapt(x)
    model.compile("adam")
    model.fit(x, epochs=3, batch_size=200, verbose=0)
    before = model.get_weights()
    detector = detector_of(model, epochs=1, warm_start=True, holdout=0).fit(x)
    assert int(detector.model_.optimizer.iterations) == 4
    detector.fit(x)
    assert int(detector.model_.optimizer.iterations) == 5
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(x, epochs=2, batch_size=200, verbose=0)
    np.testing.assert_allclose(
        detector.anomaly_score(x), model.reconstruction_error(x), rtol=1e-4, atol=1e-5
    )


def test_a_warm_start_keeps_the_units_that_the_weights_were_trained_in(data):
    x, _ = data
    detector = detector_of(warm_start=True).fit(x)
    shift = detector.model_.normalization.shift.numpy()
    detector.fit(x + 1)
    np.testing.assert_array_equal(detector.model_.normalization.shift, shift)


def test_frozen_layers_are_not_filled_with_random_weights(data):
    x, _ = data
    model = dv.DELVM(network())
    model.adapt(x)
    model.network.layers[0].trainable = False
    with pytest.raises(ValueError, match=r"frozen, .*warm_start=True"):
        detector_of(model).fit(x)


def test_a_clone_of_a_trained_detector_has_seen_nothing(data):
    x, _ = data
    detector = detector_of().fit(x)
    cloned = clone(detector)
    assert not cloned.model.built
    with pytest.raises(NotFittedError):
        cloned.anomaly_score(x)
    expected = detector_of().fit(x[:60]).anomaly_score(x)
    np.testing.assert_allclose(cloned.fit(x[:60]).anomaly_score(x), expected, rtol=1e-5)


def test_a_clone_that_does_not_train_keeps_what_was_learned(data):
    x, _ = data
    forest = IsolationForest(n_estimators=5, random_state=0).fit(x)
    ensemble = dv.AnomalyDetector(forest)
    np.testing.assert_allclose(
        clone(ensemble).fit(x).score_samples(x), forest.score_samples(x), rtol=1e-6
    )
    assert clone(ensemble).model is not forest
    model = dv.DELVM(network())
    model.adapt(x)
    cloned = clone(dv.AnomalyDetector(model)).fit(x)
    np.testing.assert_array_equal(cloned.anomaly_score(x), model.reconstruction_error(x))


class Layer(keras.layers.Dense):
    """Not registered with Keras."""


def test_layers_that_keras_does_not_know_are_copied_too(data):
    x, _ = data
    model = dv.DELVM(keras.Sequential([Layer(3, activation="softplus")]))
    model.adapt(x)
    detector = clone(detector_of(model)).fit(x)
    assert type(detector.model_.network.layers[0]) is Layer


def forest():
    return dv.AnomalyDetector(IsolationForest(n_estimators=30, random_state=0), epochs=1)


def test_folds_start_from_models_that_have_not_seen_the_test_rows(data):
    x, y = data
    cv = StratifiedKFold(2)
    untouched = cross_val_score(detector_of(), x, y, cv=cv)
    after_fit = cross_val_score(detector_of().fit(x), x, y, cv=cv)
    np.testing.assert_allclose(after_fit, untouched, atol=1e-6)


def test_scorers_agree_for_scikit_learns_labels(data):
    x, y = data
    y = np.where(x[:, 2] > 2, -1, 1)
    cv = StratifiedKFold(3)
    by_name = cross_val_score(forest(), x, y, scoring="roc_auc", cv=cv)
    assert by_name.min() > 0.8
    np.testing.assert_allclose(cross_val_score(forest(), x, y, cv=cv), by_name, rtol=1e-9)
    detector = forest().fit(x, y)
    expected = roc_auc_score(y == -1, detector.anomaly_score(x))
    assert detector.score(x, y) == pytest.approx(expected, rel=1e-9)
    assert detector.score(x, np.where(y == 1, 0, 1)) == pytest.approx(expected, rel=1e-9)
    assert roc_auc_score(y, detector.decision_function(x)) == pytest.approx(expected, rel=1e-9)


def test_zero_and_one_give_the_same_score_and_a_warning(data):
    x, y = data
    cv = StratifiedKFold(3)
    expected = cross_val_score(forest(), x, y, cv=cv)
    with pytest.warns(UserWarning, match="scikit-learn's scorers"):
        found = cross_val_score(forest(), x, np.where(y == 1, 0, 1), cv=cv)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore:y is read")
@pytest.mark.parametrize("scoring", ["roc_auc", "average_precision", "accuracy", "f1"])
@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: make_pipeline(StandardScaler(), d)])
def test_scorers_that_would_turn_labels_round_are_refused(data, scoring, wrap):
    """The greater label of 0 and 1 is abnormal, the greater decision normal: 1 - AUROC."""
    x, y = data
    cv = StratifiedKFold(3)
    given = {"cv": cv, "scoring": scoring, "error_score": "raise"}
    assert np.isfinite(cross_val_score(wrap(forest()), x, y, **given)).all()
    with pytest.raises(AttributeError, match=r"pass np.where\(y == 1, -1, 1\) as y"):
        cross_val_score(wrap(forest()), x, np.where(y == 1, 0, 1), **given)
    fitted = forest().fit(x, np.where(y == 1, 0, 1))
    assert set(fitted.predict(x)) == {1, -1}
    assert not is_outlier_detector(fitted)
    assert is_outlier_detector(fitted.fit(x, y))


def test_folds_may_train_on_normal_rows_alone(data):
    x, y = data
    rows = np.flatnonzero(y == 1)[:60]
    rest = np.setdiff1d(np.arange(len(x)), rows)
    found = cross_val_score(forest(), x, y, cv=[(rows, rest)], scoring="roc_auc")
    detector = forest().fit(x[rows])
    assert found[0] == pytest.approx(roc_auc_score(y[rest], detector.decision_function(x[rest])))
    with pytest.raises(ValueError, match="fit was given nothing but 1"):
        forest().fit(x[rows], y[rows]).score(x, np.where(y == 1, 0, 1))


def test_a_warm_start_that_fails_leaves_the_weights(data):
    x, _ = data
    detector = detector_of(warm_start=True).fit(x)
    expected = detector.anomaly_score(x)
    detector.set_params(threshold="best_f1")
    with pytest.raises(ValueError, match="labelled"):
        detector.fit(x)
    np.testing.assert_array_equal(detector.anomaly_score(x), expected)


def test_a_score_without_both_classes_is_refused(data):
    x, _ = data
    detector = forest().fit(x)
    for labels, message in [
        (None, "needs labels y"),
        (np.full(len(x), -1), "all 135 are abnormal"),
        (np.ones(len(x)), "all 135 are normal"),
        (np.arange(len(x)) % 3, "labels must be"),
    ]:
        with pytest.raises(ValueError, match=message):
            detector.score(x, labels)


def _adapted(x):
    model = dv.DELVM(network())
    model.adapt(x)
    return model


def test_grid_search_and_pipelines(data):
    x, y = data
    pipeline = make_pipeline(StandardScaler(), detector_of())
    search = GridSearchCV(
        pipeline,
        {"anomalydetector__criterion": ["energy"], "anomalydetector__epochs": [1]},
        cv=StratifiedKFold(2),
    ).fit(x, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(x).shape == (len(x),)
    assert search.score(x, y) == pytest.approx(
        roc_auc_score(y, search.decision_function(x)), rel=1e-9
    )


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            k, marks=pytest.mark.slow if k in ("model of features", "noise levels") else ()
        )
        for k in KINDS
    ],
)
def test_detectors_of_every_kind_can_be_copied(kind):
    detector, x = fitted(kind)
    expected = detector.anomaly_score(x)
    for copied in (
        copy.deepcopy(detector), pickle.loads(pickle.dumps(detector)), clone(detector).fit(x)
    ):  # fmt: skip
        np.testing.assert_array_equal(copied.anomaly_score(x), expected)


@pytest.mark.parametrize("way", ["joblib", "deepcopy"])
@pytest.mark.parametrize("kind", ["trained", "threshold only", "ensemble"])
def test_copies_of_a_fitted_detector_score_the_same(data, way, kind):
    x, _ = data
    if kind == "trained":
        detector = detector_of().fit(x)
    elif kind == "threshold only":
        detector = dv.AnomalyDetector(_adapted(x)).fit(x)
    else:
        ensemble = ModelEnsemble([_adapted(x), _adapted(x[:30])]).fit(x)
        detector = dv.AnomalyDetector(ensemble).fit(x)
    detector.threshold_ = float(np.median(detector.anomaly_score(x)))
    if way == "deepcopy":
        copied = copy.deepcopy(detector)
    else:
        buffer = io.BytesIO()
        joblib.dump(detector, buffer)
        buffer.seek(0)
        copied = joblib.load(buffer)
    np.testing.assert_array_equal(copied.anomaly_score(x), detector.anomaly_score(x))
    np.testing.assert_array_equal(copied.predict(x), detector.predict(x))
    assert copied.threshold_ == detector.threshold_
    assert copied.threshold_rule_ == "set by hand"
