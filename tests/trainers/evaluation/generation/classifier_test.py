import keras
import numpy as np
import pytest

from delvm_tf.datasets import load
from trainers.evaluation.generation.classifier import ImageClassifier, outputs

QUICK = {"steps": 100, "features": 32, "filters": (8, 16), "rate": 5e-3}


@pytest.fixture(scope="module")
def digits():
    return load("digits", protocol="classification")


@pytest.fixture(scope="module")
def fitted(digits):
    return ImageClassifier(**QUICK).fit(digits.x_train, digits.y_train)


def test_it_learns_digits_and_its_features_tell_them(digits, fitted):
    assert fitted.score(digits.x_test, digits.y_test) > 0.9
    features = outputs(fitted.extractor_, digits.x_test)
    assert features.shape == (360, 32)
    centers = np.stack([features[digits.y_test == c].mean(axis=0) for c in range(10)])
    nearest = np.linalg.norm(features[:, None] - centers, axis=2).argmin(axis=1)
    assert np.mean(nearest == digits.y_test) > 0.9


def test_features_are_in_standard_deviations_of_training_images(digits, fitted):
    features = outputs(fitted.extractor_, digits.x_train)
    assert features.var(axis=0).mean() == pytest.approx(1, rel=1e-4)


def test_it_follows_from_its_seed(digits, fitted):
    x = digits.x_test[:10]
    again = ImageClassifier(**QUICK).fit(digits.x_train, digits.y_train)
    first = outputs(again.model_, x)
    again.fit(digits.x_train, 9 - digits.y_train)
    assert np.abs(outputs(again.model_, x) - first).max() > 1
    again.fit(digits.x_train, digits.y_train)  # in the same graph
    np.testing.assert_allclose(outputs(again.model_, x), first, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        outputs(again.model_, x), outputs(fitted.model_, x), rtol=1e-3, atol=1e-3
    )
    other = ImageClassifier(**{**QUICK, "steps": 5}, seed=1).fit(digits.x_train, digits.y_train)
    assert np.abs(outputs(other.model_, x) - outputs(fitted.model_, x)).max() > 0.1


def test_its_extractor_is_saved_and_loaded(fitted, digits, tmp_path):
    fitted.extractor_.save(tmp_path / "e.keras")
    loaded = keras.models.load_model(tmp_path / "e.keras")
    x = digits.x_test[:300]
    np.testing.assert_array_equal(outputs(loaded, x), outputs(fitted.extractor_, x))


def test_images_in_whole_numbers_and_in_colour(rng):
    x = rng.integers(0, 256, (64, 20, 18, 3), dtype="uint8")
    y = (x[:, :10].mean(axis=(1, 2, 3)) > x[:, 10:].mean(axis=(1, 2, 3))).astype(int)
    classifier = ImageClassifier(3, features=4, filters=(2, 2)).fit(x, y)
    assert outputs(classifier.extractor_, x).shape == (64, 4)


def test_what_cannot_be_learned_is_refused(digits):
    with pytest.raises(ValueError, match="steps must be positive, got 0"):
        ImageClassifier(0)
    with pytest.raises(ValueError, match=r"expected images .* got \(1437, 64\)"):
        ImageClassifier().fit(digits.x_train.reshape(1437, 64), digits.y_train)
    with pytest.raises(ValueError, match="all pixels of all images are 0"):
        ImageClassifier().fit(np.zeros((4, 8, 8, 1)), np.arange(4))
