import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import delvm_tf as dv
from delvm_tf.detection import FeatureDetector, NeighbourDistance, PrincipalGaussian


def squares(x):
    return np.square(np.asarray(x)).reshape(len(x), -1)


def test_features_decide_what_is_seen(rng):
    x = rng.normal(size=(300, 2, 2))
    outside = rng.choice([-4.0, 4.0], size=(50, 2, 2))
    detector = FeatureDetector(squares, make_pipeline(StandardScaler(), PrincipalGaussian(2)))
    labels = np.repeat([0, 1], [300, 50])
    scores = detector.fit(x).score_samples(np.concatenate([x, outside]))
    assert roc_auc_score(labels, -scores) > 0.99
    expected = PrincipalGaussian(2).fit(StandardScaler().fit_transform(squares(x)))
    np.testing.assert_allclose(
        scores[:300],
        expected.score_samples(StandardScaler().fit_transform(squares(x))),
    )
    assert not hasattr(detector.detector.steps[1][1], "pca_")  # a clone was fitted


def test_a_models_features_behind_a_threshold(rng):
    x = rng.normal(size=(80, 6, 6, 1)).astype("float32")
    model = dv.DELVM(dv.networks.cnn(3, 3))
    model.adapt(x)
    inner = FeatureDetector(model.features, NeighbourDistance(2))
    detector = dv.AnomalyDetector(inner, epochs=1, holdout=0).fit(x)
    assert detector.predict(x).shape == (80,)
    features = np.asarray(model.features(x))
    expected = NeighbourDistance(2).fit(features).score_samples(features)
    np.testing.assert_allclose(detector.score_samples(x), expected, rtol=1e-5, atol=1e-6)


def test_an_energy_model_of_features(rng):
    x = rng.normal(size=(120, 4, 4))
    second = dv.AnomalyDetector(dv.DELVM(dv.networks.ffnn(4)), criterion="energy", epochs=1)
    detector = FeatureDetector(squares, second).fit(x)
    model = detector.detector_.model_
    np.testing.assert_allclose(
        detector.score_samples(x), -np.asarray(model.energy(squares(x))), rtol=1e-5
    )


@pytest.mark.parametrize(
    "detector",
    [PrincipalGaussian(), NeighbourDistance(), FeatureDetector(squares, PrincipalGaussian())],
)
def test_scoring_needs_fitting(detector, rng):
    with pytest.raises(NotFittedError):
        detector.score_samples(rng.normal(size=(3, 4)))
    assert not hasattr(clone(detector), "detector_")


@pytest.mark.parametrize(
    ("detector", "x", "message"),
    [
        (PrincipalGaussian(0), np.eye(4), "n_components must be positive, got 0"),
        (PrincipalGaussian(2), np.eye(4)[:1], "a minimum of 2 is required"),
        (PrincipalGaussian(2), np.ones((4, 4)), "all 4 examples are the same"),
        (NeighbourDistance(0), np.eye(4), "n_neighbors and n_components must be positive"),
        (NeighbourDistance(1, 0), np.eye(4), "n_neighbors and n_components must be positive"),
        (FeatureDetector(lambda x: x[0], PrincipalGaussian()), np.eye(4), r"shape \(4, d\)"),
        (FeatureDetector(lambda x: x / 0 * 0, PrincipalGaussian()), np.eye(4), "NaN or infinite"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_input(detector, x, message):
    with pytest.raises(ValueError, match=message):
        detector.fit(x)
