import numpy as np
import pytest

from delvm_tf.datasets import load
from trainers.evaluation.generation.classifier import ImageClassifier
from trainers.evaluation.generation.judge import Judge


@pytest.fixture(scope="module")
def digits():
    return load("digits", protocol="classification")


@pytest.fixture(scope="module")
def judge(digits):
    classifier = ImageClassifier(100, features=32, filters=(8, 16), rate=5e-3)
    classifier.fit(digits.x_train, digits.y_train)
    return Judge(classifier.extractor_, digits.x_train, digits.x_test, steps=20)


def test_real_images_are_told_from_all_that_is_wrong(digits, judge, rng):
    own = rng.permutation(len(digits.x_train))[:360]
    real = judge.figures(digits.x_train[own], own)
    copies = judge.figures(digits.x_train[own])
    collapsed = judge.figures(np.repeat(digits.x_train[:1], 360, axis=0))

    assert real["frechet"] < 0.2 * collapsed["frechet"]
    assert real["frechet"] == pytest.approx(copies["frechet"])
    assert min(real["precision"], real["recall"]) > 0.9
    assert collapsed["recall"] < 0.01
    assert real["told_by_features"] < 0.6
    assert min(collapsed["told_by_features"], collapsed["told_by_pixels"]) > 0.85
    for kind in ("pixels", "features"):
        assert real[f"nearer_5_{kind}"] < 0.12
        assert real[f"copies_{kind}"] < 0.02
        assert copies[f"nearer_1_{kind}"] == copies[f"copies_{kind}"] == copies[f"ks_{kind}"] == 1
    assert all(isinstance(value, float) for value in real.values())


def test_another_number_of_images_and_broken_ones_are_refused(digits, judge):
    with pytest.raises(ValueError, match=r"as many images as real ones.* got \(359, 8, 8, 1\)"):
        judge.figures(digits.x_test[1:])
    with pytest.raises(ValueError, match="not finite"):
        judge.figures(np.full(digits.x_test.shape, np.nan))
