"""A detector's anomaly score is one function, in Python and as a part of a graph."""

import numpy as np
import pytest
import tensorflow as tf
from detector_kinds import KINDS, OF_TABLES, fitted, table
from sklearn.base import BaseEstimator
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

import delvm_tf as dv
from delvm_tf.detection import Criterion, NeighbourDistance, anomaly_function


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


@pytest.mark.parametrize("kind", ["one-class SVM", "isolation forest", "distance to mean"])
def test_scores_are_those_of_the_estimator_itself(kind):
    detector, x = fitted(kind)
    expected = -detector.model_.score_samples(x)
    np.testing.assert_allclose(detector.anomaly_score(x), expected, rtol=1e-6, atol=1e-7)
    far = 10 * x
    np.testing.assert_allclose(
        detector.anomaly_score(far), -detector.model_.score_samples(far), rtol=1e-6, atol=1e-7
    )


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
