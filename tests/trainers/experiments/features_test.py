"""What the programs on features share."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import delvm_tf as dv
from delvm_tf.catalog import Specification
from trainers.evaluation.probe import LinearProbe
from trainers.experiments.features import (
    model_features,
    principal_components,
    raw_pixels,
    score_features,
)


@pytest.fixture(scope="module")
def digits():
    return dv.datasets.load("digits", protocol="classification", seed=0)


def test_the_accuracy_is_that_of_logistic_regression(digits):
    scored = score_features(raw_pixels, digits, LinearProbe(0.01, seed=0))
    assert (scored.features, scored.l2) == (64, 0.01)
    scaler = StandardScaler().fit(raw_pixels(digits.x_train))
    reference = LogisticRegression(C=100 / len(digits.y_train), max_iter=1000)
    reference.fit(scaler.transform(raw_pixels(digits.x_train)), digits.y_train)
    exact = reference.score(scaler.transform(raw_pixels(digits.x_test)), digits.y_test)
    assert scored.accuracy == pytest.approx(exact, abs=0.012)


def test_principal_components_are_those_of_scikit_learn_without_the_flat_ones(digits):
    found = principal_components(digits.x_train, 256, 0)(digits.x_test)
    pixels = raw_pixels(digits.x_train).astype(np.float64)
    kept = np.linalg.matrix_rank(pixels - pixels.mean(axis=0))
    exact = PCA(kept).fit(pixels).transform(raw_pixels(digits.x_test))
    assert found.shape[1] <= kept
    np.testing.assert_allclose(np.abs(found[:, :5]), np.abs(exact[:, :5]), atol=1e-3)


def test_models_without_convolutions_see_vectors(digits):
    for settings, width in (({"filters": [3]}, 3 * 16), ({"units": [7]}, 7)):
        images = "filters" in settings
        x = digits.x_train if images else digits.x_train.reshape(len(digits.x_train), -1)
        model = Specification("delvm", model_settings=settings).adapted(x, seed=0)
        assert model_features(model, images)(digits.x_test[:5]).shape == (5, width)
