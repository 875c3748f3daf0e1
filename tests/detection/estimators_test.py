"""What scikit-learn demands of estimators, and what data frames are owed."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest
from sklearn.utils.estimator_checks import check_estimator

import delvm_tf as dv
from delvm_tf.detection import (
    FeatureDetector,
    ModelEnsemble,
    NeighbourDistance,
    PrincipalGaussian,
    ScoreCombination,
)
from delvm_tf.detection.baselines import DistanceToMean, PCAResidual

EXPECTED_FAILURES = {
    "check_fit_score_takes_y": "the AUROC needs labels of two classes, and is given three",
    "check_outliers_train": "contamination is the rate among new rows, not among those of fit",
    "check_outliers_fit_predict": "the same",
}


class Norm(BaseEstimator):
    """A model without training: the squared norm as its error."""

    def reconstruction_error(self, x):
        return np.square(np.asarray(x, float)).reshape(len(x), -1).sum(axis=1)


def squares(x):
    return np.square(np.asarray(x, float)).reshape(len(x), -1)


def around_a_model():
    model = dv.DELVM(dv.networks.ffnn((3,), seed=0))
    model.compile("adam", run_eagerly=True)
    return dv.AnomalyDetector(model, epochs=1, batch_size=1000)


def around_a_forest():
    forest = IsolationForest(n_estimators=5, random_state=0)
    return dv.AnomalyDetector(forest, epochs=1)


ESTIMATORS = {
    "detector of a forest": around_a_forest,
    "detector of a function": lambda: dv.AnomalyDetector(Norm()),
    "features": lambda: FeatureDetector(squares, NeighbourDistance()),
    "combination": lambda: ScoreCombination([DistanceToMean(), NeighbourDistance()], holdout=0.3),
    "ensemble": lambda: ModelEnsemble([Norm()], ("reconstruction_error",)),
    "ensemble and neighbours": lambda: ModelEnsemble(
        [Norm()], ("reconstruction_error",), beside=NeighbourDistance(leave_out=True)
    ),
    "Gaussian": lambda: PrincipalGaussian(2),
    "neighbours": NeighbourDistance,
    "distance to mean": DistanceToMean,
    "PCA residual": lambda: PCAResidual(1),
}


def failures(estimator):
    expected = EXPECTED_FAILURES if isinstance(estimator, dv.AnomalyDetector) else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(
            estimator, expected_failed_checks=expected, on_fail=None, on_skip=None
        )
    assert len(results) > 35
    return {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_scikit_learn_finds_nothing(name):
    assert failures(ESTIMATORS[name]()) == {}


@pytest.mark.slow
def test_scikit_learn_finds_nothing_around_a_model():
    assert failures(around_a_model()) == {}


@pytest.fixture
def table(rng):
    """A frame whose index is neither 0 to n − 1 nor sorted, and whose columns differ in scale."""
    x = rng.normal(size=(60, 3)) * [1, 10, 100] + [0, 5, 50]
    return pd.DataFrame(x, columns=["a", "b", "c"], index=rng.permutation(60) + 1000)


@pytest.mark.parametrize("name", [*ESTIMATORS, "detector of a model"])
def test_columns_are_known_by_name(name, table):
    estimator = ESTIMATORS.get(name, around_a_model)().fit(table)
    assert estimator.feature_names_in_.tolist() == ["a", "b", "c"]
    assert estimator.n_features_in_ == 3
    scores = estimator.score_samples(table)
    methods = [estimator.score_samples]
    if isinstance(estimator, dv.AnomalyDetector):
        methods += [estimator.predict, estimator.decision_function, estimator.anomaly_score]
        methods += [estimator.is_anomaly, lambda x: estimator.score(x, [1, -1] * 30)]
    for method in methods:
        with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
            method(table[["c", "a", "b"]])
        with pytest.raises(ValueError, match=r"unseen at fit time:\n- z"):
            method(table.rename(columns={"a": "z"}))
        with pytest.raises(ValueError, match="now missing"):
            method(table[["a", "b"]])
    with pytest.warns(UserWarning, match="not have (valid )?feature names"):
        np.testing.assert_allclose(estimator.score_samples(table.to_numpy()), scores, rtol=1e-5)


@pytest.mark.parametrize("name", [*ESTIMATORS, "detector of a model"])
def test_lists_frames_and_arrays_give_the_same(name, table):
    make = ESTIMATORS.get(name, around_a_model)
    x = table.to_numpy()
    expected = make().fit(x).score_samples(x)
    others = [table, x.tolist(), pl.from_pandas(table)]
    if name in ESTIMATORS:
        others += [table.astype(object), table.convert_dtypes()]
    for other in others:
        found = make().fit(other).score_samples(other)
        np.testing.assert_allclose(found, expected, rtol=1e-4, err_msg=type(other).__name__)


@pytest.mark.parametrize("name", ["detector of a forest", "detector of a model"])
def test_rows_of_frames_are_chosen_by_position(name, table):
    """Neither the index of the frame nor that of the labels plays a part."""
    make = ESTIMATORS.get(name, around_a_model)
    y = np.repeat([1, -1], [40, 20])
    labels = pd.Series(y, index=np.arange(60)[::-1])
    expected = make().fit(table.iloc[:40]).score_samples(table)
    np.testing.assert_allclose(make().fit(table, labels).score_samples(table), expected, rtol=1e-5)


def test_a_model_that_knows_its_columns_is_not_fitted_to_others(table):
    model = around_a_model().fit(table).model_
    assert model.feature_names_in_ == ("a", "b", "c")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        dv.AnomalyDetector(model, "mean_std").fit(table).predict(table)
        FeatureDetector(model.features, NeighbourDistance()).fit(table).score_samples(table)
        ModelEnsemble([model]).fit(table).score_samples(table)
    turned = table[["b", "a", "c"]]
    for estimator in (
        dv.AnomalyDetector(model),
        FeatureDetector(model.features, NeighbourDistance()),
        ModelEnsemble([model]),
    ):
        with pytest.raises(ValueError, match="same order"):
            estimator.fit(turned)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_frame_without_names_has_none(name, table):
    estimator = ESTIMATORS[name]().fit(pd.DataFrame(table.to_numpy()))
    assert not hasattr(estimator, "feature_names_in_")


@pytest.mark.parametrize("name", ["detector of a function", "distance to mean", "features"])
def test_images_are_of_one_shape(name, rng):
    estimator = ESTIMATORS[name]().fit(rng.normal(size=(20, 4, 4, 1)))
    assert estimator.n_features_in_ == 16
    assert estimator.score_samples(rng.normal(size=(3, 4, 4, 1))).shape == (3,)
    with pytest.raises(ValueError, match=r"examples of shape \(2, 8, 1\), but .* \(4, 4, 1\)"):
        estimator.score_samples(rng.normal(size=(3, 2, 8, 1)))
    with pytest.raises(ValueError, match="NaN"):
        estimator.score_samples(np.full((3, 4, 4, 1), np.nan))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_masked_values_are_not_data(name, table):
    masked = np.ma.masked_greater(table.to_numpy(), 100)
    with pytest.raises(ValueError, match="masked values"):
        ESTIMATORS[name]().fit(masked)
    with pytest.raises(ValueError, match="masked values"):
        ESTIMATORS[name]().fit(list(masked))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (PCAResidual(0), "n_components must be positive, got 0"),
        (ScoreCombination(DistanceToMean()), r"expected a list .* got DistanceToMean\(\)"),
        (ModelEnsemble(Norm()), r"models must be a list of models, got Norm\(\)"),
    ],
)
def test_settings_that_cannot_be_are_named(estimator, message, table):
    with pytest.raises(ValueError, match=message):
        estimator.fit(table)


class Overflowing:
    """Energies that are what the first column says, infinite or not."""

    def energy(self, x):
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(x[:, 0] < 100, x[:, 0], x[:, 1] / np.zeros(len(x)))

    def features(self, x):
        return np.stack([self.energy(x), x[:, 1]], axis=1)

    def score_samples(self, x):
        return -self.energy(x)


@pytest.mark.parametrize(
    "estimator",
    [
        dv.AnomalyDetector(Overflowing(), criterion="energy"),
        dv.AnomalyDetector(Overflowing(), criterion="score_samples"),
        ModelEnsemble([Overflowing()]),
        FeatureDetector(Overflowing().features, PrincipalGaussian(1)),
        ScoreCombination([Overflowing()], prefit=True),
        ScoreCombination([Overflowing(), Overflowing()], prefit=True, weights=(2, -1)),
    ],
    ids=["energy", "score_samples", "ensemble", "features", "sum", "difference"],
)
def test_a_score_that_overflows_is_the_most_abnormal_and_spoils_no_other(estimator, rng):
    x = rng.normal(size=(30, 2))
    estimator.fit(x)
    bad = np.array([[200.0, 1.0], [200.0, -1.0], [200.0, 0.0]])  # +inf, -inf and NaN
    scores = estimator.score_samples(np.concatenate([x[:5], bad, x[5:]]))
    assert np.isneginf(scores[5:8]).all()
    np.testing.assert_allclose(np.delete(scores, [5, 6, 7]), estimator.score_samples(x))
    detector = dv.AnomalyDetector(estimator).fit(x)
    np.testing.assert_array_equal(detector.predict(bad), [-1, -1, -1])
    assert np.isposinf(detector.anomaly_score(bad)).all()
    assert np.isneginf(detector.decision_function(bad)).all()
    with pytest.raises(ValueError, match="NaN or infinite"):
        estimator.fit(np.concatenate([x, bad]))
