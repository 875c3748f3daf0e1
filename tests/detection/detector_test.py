import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import delvm_tf as dv


class SquaredNorm:
    """Scores without training: ‖x‖² as error, Σx as energy. Remembers what it was trained on."""

    compiled = False

    def reconstruction_error(self, x):
        return np.square(x).sum(axis=1)

    def energy(self, x):
        return np.sum(x, axis=1)

    def adapt(self, x):
        self.adapted_on = x

    def compile(self):
        self.compiled = True

    def fit(self, x, **kwargs):
        self.trained_on, self.training = x, kwargs


class Broken:
    def reconstruction_error(self, x):
        return [np.nan, np.inf, *np.ones(len(x) - 2)]


@pytest.fixture
def data(rng):
    """Normal rows near a line, abnormal ones off it, and their labels, 1 = abnormal."""
    normal = rng.normal(size=(120, 1)) * [3.0, -3.0, 3.0, 3.0] + 0.3 * rng.normal(size=(120, 4))
    abnormal = rng.normal(size=(40, 4)) * 3.0
    return np.concatenate([normal, abnormal]).astype(np.float32), np.repeat([0, 1], [120, 40])


def small_model():
    return dv.DELVM(dv.networks.ffnn((8,), activation="softplus", seed=0), scale=3.0)


def test_the_signs_follow_scikit_learn(data):
    x, y = data
    detector = dv.AnomalyDetector(SquaredNorm(), "mean_std").fit(x[y == 0])
    error = np.square(x).sum(axis=1)
    normal = error[y == 0]
    threshold = normal.mean() + normal.std()

    np.testing.assert_allclose(detector.threshold_, threshold, rtol=1e-6)
    assert detector.offset_ == -detector.threshold_
    np.testing.assert_allclose(detector.anomaly_score(x), error)
    np.testing.assert_allclose(detector.score_samples(x), -error)
    np.testing.assert_allclose(detector.decision_function(x), threshold - error, atol=1e-4)
    np.testing.assert_array_equal(detector.predict(x), np.where(error > threshold, -1, 1))
    np.testing.assert_array_equal(detector.is_anomaly(x), error > threshold)
    assert set(detector.predict(x)) == {-1, 1}
    assert detector.n_features_in_ == 4


def test_a_score_at_the_threshold_is_normal():
    x = np.array([[1.0], [2.0], [3.0]])
    detector = dv.AnomalyDetector(SquaredNorm(), threshold=4).fit(x)
    np.testing.assert_array_equal(detector.predict(x), [1, 1, -1])


def test_training_and_scoring_a_model_finds_the_abnormal(data):
    x, y = data
    detector = dv.AnomalyDetector(small_model(), epochs=20, batch_size=20).fit(x[y == 0])
    error = detector.model_.reconstruction_error(x).numpy()
    np.testing.assert_array_equal(detector.score_samples(x), -error)
    assert roc_auc_score(y, detector.anomaly_score(x)) > 0.9
    assert roc_auc_score(y, -detector.decision_function(x)) > 0.9


def test_energy_can_be_the_score(data):
    x, _ = data
    model = small_model()
    model.adapt(x)
    detector = dv.AnomalyDetector(model, criterion="energy", contamination=0.05).fit(x)
    np.testing.assert_array_equal(detector.anomaly_score(x), model.energy(x))
    energies = np.sort(model.energy(x))
    assert energies[152] <= detector.threshold_ < energies[153]  # ⌈161 · 0.95⌉ = 153


def test_labels_choose_the_best_f1(data):
    x, y = data
    detector = dv.AnomalyDetector(SquaredNorm(), threshold="best_f1", criterion="energy")
    detector.fit(x, np.where(y == 1, -1, 1))
    total = x.sum(axis=1)
    best = max(f1_score(y, total > cut) for cut in [-np.inf, *total])
    assert f1_score(y, detector.is_anomaly(x)) == best


def of_type(labels, kind):
    if kind == "list":
        return labels.tolist()
    if kind == "series":
        return pd.Series(labels, index=np.arange(len(labels))[::-1])
    return labels.astype(kind)


@pytest.mark.parametrize("kind", [float, np.int8, object, "list", "series"])
def test_labels_are_those_of_scikit_learn_in_any_type(data, kind):
    x, y = data
    detector = dv.AnomalyDetector(SquaredNorm()).fit(x, of_type(np.where(y == 1, -1, 1), kind))
    assert detector.threshold_ == dv.AnomalyDetector(SquaredNorm()).fit(x[y == 0]).threshold_


@pytest.mark.parametrize("kind", [bool, int, float, "list", "series"])
def test_zero_and_one_are_understood_with_a_warning(data, kind):
    x, y = data
    with pytest.warns(UserWarning, match="0 = normal and 1 = abnormal, .* scikit-learn's scorers"):
        detector = dv.AnomalyDetector(SquaredNorm()).fit(x, of_type(y, kind))
    assert detector.threshold_ == dv.AnomalyDetector(SquaredNorm()).fit(x[y == 0]).threshold_


def test_a_failed_fit_leaves_the_detector_as_it_was(data):
    """Half new, it would check other columns than its model knows."""
    table = pd.DataFrame(data[0], columns=[f"c{i}" for i in range(data[0].shape[1])])
    turned = table[table.columns[::-1]]
    detector = dv.AnomalyDetector(IsolationForest(n_estimators=3), epochs=1).fit(table)
    expected = detector.predict(table)
    for x, y in [(turned, np.arange(3)), (turned.iloc[:, :1], ["a"] * len(table))]:
        with pytest.raises(ValueError, match="labels"):
            detector.fit(x, y)
    np.testing.assert_array_equal(detector.predict(table), expected)
    with pytest.raises(ValueError, match="same order"):
        detector.predict(turned)
    fresh = dv.AnomalyDetector(IsolationForest(n_estimators=3), epochs=1)
    with pytest.raises(ValueError, match="labels"):
        fresh.fit(table, np.arange(3))
    assert not hasattr(fresh, "n_features_in_")


def test_data_are_named_for_what_they_are(data):
    x, y = data
    detector = dv.AnomalyDetector(SquaredNorm())
    table = pd.DataFrame(x).add_prefix("c")
    for bad, message in [
        (table.assign(day=pd.Timestamp("2026-01-01")), r"columns 'day' \(datetime64"),
        (table.assign(kind="a"), "columns 'kind'"),
        ({"a": x}, "X must be an array of numbers, got dict"),
        ((x, y), "X is a tuple of arrays"),
        (iter([x]), "X must be an array of numbers, got list_iterator"),
    ]:
        with pytest.raises(TypeError, match=message):
            detector.fit(bad)
    with pytest.raises(TypeError, match="SquaredNorm takes arrays only, got _BatchDataset"):
        detector.fit(tf.data.Dataset.from_tensor_slices(x).batch(10))


def test_settings_of_a_keras_model_are_no_parameters():
    with pytest.raises(ValueError, match=r"'model__scale' cannot be set: .*'model': \[model_a"):
        dv.AnomalyDetector(dv.DELVM(dv.networks.ffnn((3,)))).set_params(model__scale=2.0)
    forest = dv.AnomalyDetector(IsolationForest()).set_params(model__n_estimators=7)
    assert forest.model.n_estimators == 7
    with pytest.raises(ValueError, match="got the class DELVM"):
        dv.AnomalyDetector(dv.DELVM).fit(np.ones((3, 2)))


def test_numbers_that_are_no_labels_are_ignored_with_a_warning(data):
    x, _ = data
    with pytest.warns(UserWarning, match=r"values \[0.0, 1.0, 2.0\] of y .* are ignored"):
        detector = dv.AnomalyDetector(SquaredNorm()).fit(x, np.arange(len(x)) % 3)
    assert detector.threshold_ == dv.AnomalyDetector(SquaredNorm()).fit(x).threshold_


def test_the_model_is_trained_on_normal_rows_alone(data):
    x, y = data
    order = np.random.default_rng(1).permutation(len(x))
    x, y = x[order], y[order]
    given = SquaredNorm()
    detector = dv.AnomalyDetector(given, epochs=3, batch_size=7, holdout=0).fit(
        x, np.where(y == 1, -1, 1)
    )
    model = detector.model_
    assert not hasattr(given, "trained_on")
    np.testing.assert_array_equal(model.adapted_on, x[y == 0])
    np.testing.assert_array_equal(model.trained_on, x[y == 0])
    assert (model.training["epochs"], model.training["batch_size"]) == (3, 7)
    assert model.compiled


def test_no_epochs_leave_the_model_alone(data):
    model = SquaredNorm()
    detector = dv.AnomalyDetector(model).fit(data[0])
    assert detector.model_ is model
    assert not hasattr(model, "trained_on")


def test_a_pipeline_trains_and_predicts(data):
    x, y = data
    detector = dv.AnomalyDetector(small_model(), epochs=10, batch_size=20)
    pipeline = make_pipeline(StandardScaler(), detector).fit(x[y == 0])
    scaled = StandardScaler().fit(x[y == 0]).transform(x)
    assert detector.model_.compiled
    np.testing.assert_allclose(pipeline.score_samples(x), detector.score_samples(scaled))
    np.testing.assert_array_equal(pipeline.predict(x), detector.predict(scaled))
    assert roc_auc_score(y, -pipeline.decision_function(x)) > 0.85


def test_a_clone_has_the_same_arguments_but_neither_threshold_nor_shared_weights(data):
    x, _ = data
    model = small_model()
    model.adapt(x)
    detector = dv.AnomalyDetector(
        model, threshold="contamination", contamination=0.2, epochs=1
    ).fit(x)
    copy = clone(detector)
    assert (copy.threshold, copy.contamination, copy.epochs) == ("contamination", 0.2, 1)
    assert not hasattr(copy, "threshold_")
    before = detector.model_.get_weights()
    copy.fit(x[:50])
    for weight, same in zip(before, detector.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
    assert not np.allclose(copy.model_.get_weights()[0], detector.model_.get_weights()[0])


def test_a_scikit_learn_detector_keeps_its_own_ordering_and_decisions(rng):
    x = rng.normal(size=(300, 3))
    forest = IsolationForest(n_estimators=20, contamination=0.1, random_state=0).fit(x)
    detector = dv.AnomalyDetector(forest, threshold="contamination", contamination=0.1).fit(x)
    np.testing.assert_allclose(detector.score_samples(x), forest.score_samples(x), rtol=1e-6)
    np.testing.assert_allclose(
        detector.decision_function(x), forest.decision_function(x), atol=0.01
    )
    assert np.mean(detector.predict(x) == forest.predict(x)) > 0.99
    assert np.mean(detector.is_anomaly(x)) == pytest.approx(0.1, abs=0.01)


def test_a_scikit_learn_detector_is_trained_if_epochs_say_so(rng):
    x = rng.normal(size=(100, 3))
    forest = IsolationForest(n_estimators=5, random_state=0)
    with pytest.raises(NotFittedError):
        dv.AnomalyDetector(forest).fit(x)
    detector = dv.AnomalyDetector(forest, epochs=1, holdout=0).fit(x)
    assert detector.criterion_ == "score_samples"
    expected = clone(forest).fit(x).score_samples(x)
    np.testing.assert_allclose(detector.anomaly_score(x), -expected, rtol=1e-6)
    assert not hasattr(forest, "estimators_")


def test_images_and_bytes_are_scored(rng):
    x = rng.integers(0, 256, size=(20, 6, 6, 1), dtype=np.uint8)
    detector = dv.AnomalyDetector(dv.DELVM(dv.networks.cnn(3, 3)), epochs=1).fit(x)
    assert detector.predict(x).shape == (20,)
    assert detector.n_features_in_ == 36


@pytest.mark.parametrize("method", ["predict", "decision_function", "is_anomaly"])
def test_deciding_needs_a_threshold(data, method):
    with pytest.raises(NotFittedError, match="AnomalyDetector instance is not fitted yet"):
        getattr(dv.AnomalyDetector(SquaredNorm()), method)(data[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"threshold": "median"},
            "unknown threshold 'median'; expected a number or one of contamination",
        ),
        (
            {"criterion": "loss"},
            "unknown criterion 'loss'; expected one of reconstruction_error, energy",
        ),
        ({"criterion": "score_samples"}, "SquaredNorm has no method score_samples"),
        ({"contamination": 0.0}, "contamination must lie between 0 and 1, got 0.0"),
        ({"contamination": 1.0}, "contamination must lie between 0 and 1, got 1.0"),
        ({"contamination": 95}, "contamination must lie between 0 and 1, got 95"),
        ({"contamination": np.nan}, "contamination must lie between 0 and 1, got nan"),
        ({"contamination": "0.9"}, "contamination must lie between 0 and 1, got '0.9'"),
        ({"threshold": np.nan}, "the threshold must be a finite number, .* got nan"),
        ({"threshold": np.inf}, "the threshold must be a finite number, .* got inf"),
        ({"threshold": True}, "the threshold must be a finite number, .* got True"),
        ({"threshold": None}, "the threshold must be a finite number, .* got None"),
        ({"threshold": [1.0]}, r"the threshold must be a finite number, .* got \[1.0\]"),
        ({"epochs": -1}, "epochs must be an integer of at least 0, got -1"),
        ({"epochs": 1.5}, "epochs must be an integer of at least 0, got 1.5"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
    ],
)
def test_unknown_arguments_are_refused(data, arguments, message):
    with pytest.raises(ValueError, match=message):
        dv.AnomalyDetector(SquaredNorm(), **arguments).fit(data[0])


def test_a_model_must_have_a_score(data):
    with pytest.raises(ValueError, match=r"object has no method .*must have one of reconstruction"):
        dv.AnomalyDetector(object()).fit(data[0])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(159), r"expected 160 labels y, one per example, got shape \(159,\)"),
        (np.zeros((160, 1)), r"expected 160 labels y, one per example, got shape \(160, 1\)"),
        (np.arange(160) % 3 - 1, r"labels must be \+1 .* or 0 .*values \[-1.0, 0.0, 1.0\]"),
        (np.repeat(["0", "1"], 80), r"labels must be \+1 .* values \['0', '1'\]"),
        (pd.Series(["a", "b"] * 80), r"labels must be \+1 .* values \['a', 'b'\]"),
        (np.full(160, np.nan), r"labels must be \+1 .*nan"),
        (np.ones(160, bool), "no normal example"),
        (np.ma.masked_array(np.ones(160), np.arange(160) < 3), "3 masked values"),
        (np.full(160, -1), "no normal example"),
    ],
)
def test_labels_are_checked(data, y, message):
    with pytest.raises(ValueError, match=message):
        dv.AnomalyDetector(SquaredNorm()).fit(data[0], y)


@pytest.mark.filterwarnings("ignore:y is read")
@pytest.mark.parametrize("y", [None, np.zeros(160), np.full(160, -1)])
def test_best_f1_needs_both_classes(data, y):
    with pytest.raises(ValueError, match="needs labelled calibration data with both classes"):
        dv.AnomalyDetector(SquaredNorm(), threshold="best_f1").fit(data[0], y)


def test_a_single_example_has_no_spread(data):
    with pytest.raises(ValueError, match=r"1 sample.* a minimum of 2 is required"):
        dv.AnomalyDetector(SquaredNorm(), "mean_std").fit(data[0][:1])
    with pytest.raises(ValueError, match=r"at least 2 normal examples .* got 1"):
        dv.AnomalyDetector(SquaredNorm(), "mean_std").fit(data[0][:2], [1, -1])


def test_scores_must_be_finite(data):
    with pytest.raises(ValueError, match="2 of 160 anomaly scores are NaN or infinite"):
        dv.AnomalyDetector(Broken()).fit(data[0])
