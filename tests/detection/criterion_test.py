"""A detector's anomaly score is one function, in Python and as a part of a graph."""

import numpy as np
import pytest
import tensorflow as tf
from parity_checks.kinds import KINDS, OF_TABLES, fitted, table
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

import delvm_tf as dv
from delvm_tf.detection import (
    Criterion,
    DistanceToMean,
    FeatureDetector,
    ModelEnsemble,
    NeighbourDistance,
    ScoreCombination,
    anomaly_function,
    transform_function,
)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_and_decisions_in_a_graph_are_those_in_python(kind):
    detector, x = fitted(kind)
    spec = tf.TensorSpec((None, *x.shape[1:]), tf.float32)
    decision = detector.decision_
    graph = tf.function(lambda rows: decision.of(decision.scores(rows)), input_signature=[spec])
    expected = detector.anomaly_score(x)
    assert 0 < detector.is_anomaly(x).sum() < len(x)
    scale = np.abs(expected).max()
    for rows in (slice(None), slice(3, 4)):
        found = graph(x[rows])
        np.testing.assert_allclose(
            found["anomaly_score"], expected[rows], rtol=1e-5, atol=1e-5 * scale
        )
        np.testing.assert_array_equal(found["is_anomaly"], detector.is_anomaly(x[rows]))
    np.testing.assert_array_equal(-detector.score_samples(x), expected)


@pytest.mark.parametrize("kind", [
    "scaled one-class SVM", "one-class SVM", "isolation forest",
    "distance to mean",
])  # fmt: skip
def test_scores_are_those_of_the_estimator_itself(kind):
    detector, x = fitted(kind)
    expected = -detector.model_.score_samples(x)
    np.testing.assert_allclose(detector.anomaly_score(x), expected, rtol=1e-6, atol=1e-7)
    far = 10 * x
    np.testing.assert_allclose(
        detector.anomaly_score(far), -detector.model_.score_samples(far), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize(
    "estimator",
    [
        IsolationForest(n_estimators=10, max_features=0.5, bootstrap=True, random_state=0),
        IsolationForest(n_estimators=1, random_state=0),
        IsolationForest(n_estimators=3, max_samples=1, random_state=0),
        IsolationForest(n_estimators=3, max_samples=2, random_state=0),
        OneClassSVM(gamma="auto"),
        make_pipeline("passthrough", StandardScaler(with_mean=False), OneClassSVM(gamma=0.1)),
        make_pipeline(PCA(3, whiten=True), IsolationForest(n_estimators=5, random_state=0)),
    ],
)
def test_settings_of_scikit_learns_estimators_count(estimator):
    x = table().astype(np.float64)
    scores = anomaly_function(estimator.fit(x))(x)
    np.testing.assert_allclose(scores, -estimator.score_samples(x), rtol=1e-6)


def test_a_component_without_variance_is_not_divided_by_zero():
    x = table()
    x[:, 2] = 1.0
    pca = PCA(whiten=True).fit(x)
    pca.explained_variance_[-1] = 0.0
    assert np.isfinite(transform_function(pca)(x)).all()


@pytest.mark.parametrize("kind", OF_TABLES)
def test_rows_are_compared_with_those_that_the_parts_were_fitted_on(kind):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(table(), columns=[*"abcdef"])
    part = OF_TABLES[kind](frame)
    for other, message in ((frame[[*"bacdef"]], "same order"), (frame[["a"]], "match|fitted on")):
        with pytest.raises(ValueError, match=message):
            dv.AnomalyDetector(part).fit(other)
        with pytest.raises(ValueError, match=message):
            dv.AnomalyDetector(part).anomaly_score(other)
        with pytest.raises(ValueError, match=message):
            ScoreCombination([part], prefit=True).fit(other)
    with pytest.raises(ValueError, match=r"\(1,\)|\(60, 1\)"):
        dv.AnomalyDetector(OF_TABLES[kind](table())).fit(table()[:, :1])


class Of(Criterion):
    """The score by a given function of rows."""

    def __init__(self, function):
        self.function = function

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def anomaly(self, x):
        return self.function(tf.convert_to_tensor(x))

    reconstruction_error = anomaly


AROUND = {
    "itself": lambda part: part,
    "threshold": dv.AnomalyDetector,
    "combination": lambda part: ScoreCombination([part]),
    "features": lambda part: FeatureDetector(tf.convert_to_tensor, part),
    "ensemble": lambda part: ModelEnsemble([part], ["reconstruction_error"]),
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("axes", [{"axis": 1, "keepdims": True}, {"axis": 0}, {"axis": None}])
def test_there_is_one_score_for_each_row(around, axes):
    part = Of(lambda x: tf.reduce_sum(x, **axes)).fit(None)
    with pytest.raises(ValueError, match="one number for each row"):
        around(part).fit(table()).score_samples(table())


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_scores_may_be_integers(around):
    whole = Of(lambda x: tf.cast(tf.reduce_sum(tf.round(x), axis=1), tf.int32)).fit(None)
    real = Of(lambda x: tf.reduce_sum(tf.round(x), axis=1)).fit(None)
    found, expected = (around(part).fit(table()).score_samples(table()) for part in (whole, real))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", ["int32", "bool", "float64", "float16"])
def test_features_may_be_of_any_type(kind):
    x = np.round(table())

    def scores(*kinds):
        def features(x):
            for kind in kinds:
                x = tf.cast(x, kind)
            return x

        detector = FeatureDetector(features, DistanceToMean()).fit(x)
        np.testing.assert_array_equal(tf.function(detector.anomaly)(x), detector.anomaly(x))
        return detector.score_samples(x)

    np.testing.assert_allclose(scores(kind), scores(kind, "float32"), rtol=1e-6)


@pytest.mark.parametrize("kind", ["ensemble", "combination", "features", "neighbours"])
def test_names_of_columns_reach_every_part(kind):
    pandas = pytest.importorskip("pandas")
    _, x = fitted(kind)
    frame = pandas.DataFrame(x, columns=[*"abcdef"])
    detector = dv.AnomalyDetector(OF_TABLES[kind](frame)).fit(frame)
    plain = dv.AnomalyDetector(OF_TABLES[kind](x)).fit(x)
    np.testing.assert_allclose(detector.anomaly_score(frame), plain.anomaly_score(x), rtol=1e-5)
    with pytest.raises(ValueError, match="same order"):
        detector.anomaly_score(frame[[*"bacdef"]])


@pytest.mark.parametrize(
    "estimator",
    [
        LocalOutlierFactor(novelty=True),
        OneClassSVM(kernel="linear"),
        make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
    ],
)
def test_an_estimator_known_by_its_scores_alone_keeps_them_and_is_not_exported(estimator, tmp_path):
    x = table()
    detector = dv.AnomalyDetector(estimator.fit(x)).fit(x)
    np.testing.assert_array_equal(detector.score_samples(x), estimator.score_samples(x))
    with pytest.raises(TypeError, match="computes its scores in Python, so it cannot be exported"):
        dv.export_saved_model(detector, tmp_path)
    with pytest.raises(TypeError, match=r"anomaly_function\.register"):
        dv.export_onnx(detector, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_an_estimator_of_ones_own_joins():
    class FirstColumn(BaseEstimator):
        def score_samples(self, X):
            raise AssertionError("its function is known")

    @anomaly_function.register
    def _(fitted: FirstColumn):
        return lambda x: x[:, 0]

    x = table()
    detector = dv.AnomalyDetector(FirstColumn()).fit(x)
    np.testing.assert_array_equal(detector.anomaly_score(x), x[:, 0])


def test_a_criterion_of_ones_own_needs_fit_and_anomaly_only(tmp_path):
    class Largest(Criterion):
        def fit(self, X, y=None):
            self.n_features_in_ = X.shape[1]
            return self

        def anomaly(self, x):
            return tf.reduce_max(tf.convert_to_tensor(x), axis=1)

    x = table()
    detector = dv.AnomalyDetector(Largest(), epochs=1).fit(x)
    served = dv.serving.load(dv.export_saved_model(detector, tmp_path, warmup=()))
    np.testing.assert_allclose(served.predict(x)["anomaly_score"], x.max(axis=1))
    np.testing.assert_array_equal(served.predict(x)["is_anomaly"], detector.is_anomaly(x))


def test_numpy_where_tensorflow_is_needed_is_named(tmp_path):
    x = table()
    features = dv.detection.FeatureDetector(lambda x: np.cos(x), NeighbourDistance()).fit(x)
    with pytest.raises(TypeError, match="TensorFlow operations"):
        dv.export_saved_model(dv.AnomalyDetector(features).fit(x), tmp_path)
    for signature in ("serving_default", "features"):
        with pytest.raises(TypeError, match="TensorFlow operations"):
            dv.export_onnx(dv.AnomalyDetector(features).fit(x), tmp_path / "x.onnx", signature)
