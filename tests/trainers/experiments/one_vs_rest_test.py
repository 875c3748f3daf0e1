import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import delvm_tf as dv
from delvm_tf.catalog import Specification
from delvm_tf.datasets import load
from trainers.experiments.one_vs_rest import (
    PatchSettings,
    baseline_scores,
    class_table,
    contrast_normalized,
    default_scores,
    feature_detectors,
    load_one_vs_rest,
    model_scores,
    norm_scores,
    patch_scores,
    score_tables,
)
from trainers.experiments.patches import PatchRecipe


@pytest.fixture(scope="module")
def digits():
    return load_one_vs_rest("digits", 0)


def rows_of(x):
    return {row.tobytes() for row in np.ascontiguousarray(x)}


def test_without_validation_it_is_the_protocol(digits):
    same = load("digits", protocol="one-vs-rest", normal_class=0)
    np.testing.assert_array_equal(digits.x_train, same.x_train)
    np.testing.assert_array_equal(digits.x_test, same.x_test)
    np.testing.assert_array_equal(digits.y_test, same.y_test)


def test_validation_scores_training_rows_that_are_not_trained_on():
    whole = load("digits", protocol="classification", seed=1)
    data = load_one_vs_rest("digits", 3, seed=1, validation=True)
    training, test = rows_of(whole.x_train), rows_of(whole.x_test)
    assert rows_of(data.x_train) | rows_of(data.x_test) <= training
    assert not rows_of(data.x_test) & test
    assert not rows_of(data.x_train) & rows_of(data.x_test)
    label = {row.tobytes(): y for row, y in zip(whole.x_train, whole.y_train, strict=True)}
    assert {label[row.tobytes()] for row in data.x_train} == {3}
    expected = [int(label[row.tobytes()] != 3) for row in data.x_test]
    np.testing.assert_array_equal(data.y_test, expected)
    own = np.sum(whole.y_train == 3)
    assert np.sum(data.y_test == 0) == round(0.2 * own) == own - len(data.x_train)
    assert np.mean(data.y_test) == pytest.approx(np.mean(whole.y_train != 3), abs=0.01)


def test_sizes_and_contrast():
    plain = load_one_vs_rest("digits", 1, train_size=50, test_size=100)
    data = contrast_normalized(plain)
    np.testing.assert_array_equal(data.y_test, plain.y_test)
    assert (len(data.x_train), len(data.x_test)) == (50, 100)
    assert 0 < np.sum(data.y_test == 0) < 20
    np.testing.assert_allclose(data.x_test.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(data.x_test.std(axis=(1, 2, 3)), 1, atol=1e-4)


def test_bad_choices():
    with pytest.raises(ValueError, match="unknown normal_class 10"):
        load_one_vs_rest("digits", 10)
    with pytest.raises(ValueError, match="one-vs-rest"):
        load_one_vs_rest("ecg5000", 0)
    with pytest.raises(ValueError, match="size of the training part"):
        load_one_vs_rest("digits", 0, train_size=10**6)


def with_pixels(x_train, x_test, y_test):
    return dataclasses.replace(
        load("digits", protocol="one-vs-rest"),
        x_train=x_train, y_train=np.zeros(len(x_train), int), x_test=x_test, y_test=y_test,
    )  # fmt: skip


def test_detectors_of_features_see_an_outlier_and_scale_does_not_matter(rng):
    train, test = rng.normal(size=(200, 6)), rng.normal(size=(100, 6))
    test[:50] += 3
    labels = np.repeat([1, 0], 50)
    pixels = with_pixels(rng.normal(size=(200, 4)), rng.normal(size=(100, 4)), labels)
    plain = score_tables(train, test, pixels, 0, seconds=7.0)
    assert list(plain) == list(feature_detectors(6, 0))
    stretched = score_tables(train * 1000, test * 1000, pixels, 0)
    for name, scored in plain.items():
        assert roc_auc_score(labels, scored.scores) > 0.9, name
        assert scored.seconds >= 7.0
        np.testing.assert_allclose(scored.scores, stretched[name].scores, rtol=1e-2, atol=1e-2)


def test_only_the_combination_with_pixels_sees_pixels(rng):
    train, test = rng.normal(size=(200, 6)), rng.normal(size=(100, 6))
    labels = np.repeat([1, 0], 50)
    outside = rng.normal(size=(100, 4))
    outside[:50] += 5
    found = score_tables(
        train, test, with_pixels(rng.normal(size=(200, 4)), outside, labels), 0
    )  # fmt: skip
    for name, scored in found.items():
        seen = roc_auc_score(labels, scored.scores) > 0.9
        assert seen == (name == "neighbours and pixels"), name


def test_baselines_find_other_digits(digits):
    found = baseline_scores(digits, 0)
    assert set(found) == {*dv.detection.BASELINES}
    for name, scored in found.items():
        assert roc_auc_score(digits.y_test, scored.scores) > 0.85, name


def test_norms_are_compared_with_the_mean_norm(digits):
    norms = [np.sqrt(np.sum(np.square(x), axis=(1, 2, 3))) for x in (digits.x_train, digits.x_test)]
    expected = np.abs(norms[1] - np.mean(norms[0])) / np.std(norms[0])
    (scored,) = norm_scores(digits).values()
    np.testing.assert_allclose(scored.scores, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "settings", "extra"),
    [
        ("delvm", {"filters": [4, 4], "kernel_size": 3}, {"energies of layers"}),
        pytest.param("dem", {"units": [8]}, set(), marks=pytest.mark.slow),
        ("autoencoder", {"units": [8]}, None),
    ],
)
def test_every_score_of_a_model_and_of_the_untrained_one(digits, model, settings, extra):
    spec = Specification(model=model, model_settings=settings, epochs=1)
    found = model_scores(spec, digits, 0, pool=4)
    own = {name.removeprefix(f"{spec.title}, ") for name in found if "features" not in name}
    energies = {"energy", "sum of error and energy", "errors at noise levels"}
    assert own == {"reconstruction error"} | (set() if extra is None else energies | extra)
    for title in (spec.title, f"untrained {spec.title}"):
        for name in feature_detectors(1, 0):
            assert f"{title} features, {name}" in found
    for scored in found.values():
        assert scored.scores.shape == digits.y_test.shape
        assert np.isfinite(scored.scores).all()


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("random", PatchRecipe(name="random", encoder="rectifier", threshold=0.25)),
        (
            "sm-delvm",
            PatchRecipe(
                model_settings={"units": [8], "normalization": "none"}, epochs=1, encoder="hidden",
                threshold=0.0,
            ),
        ),
    ],
)  # fmt: skip
def test_patches_find_other_digits(digits, name, recipe):
    settings = PatchSettings(size=3, patches=500, filters=8, grid=2)
    found = patch_scores(name, recipe, digits, contrast_normalized(digits), 0, settings)
    assert set(found) == {f"{recipe.title} of patches, {each}" for each in feature_detectors(1, 0)}
    for scored in found.values():
        assert roc_auc_score(digits.y_test, scored.scores) > 0.8


def test_the_table_of_classes_has_means():
    rows = [
        {"method": m, "class": c, "seed": s, "auroc": 0.1 * i + 0.01 * s + (0.2 if m == "b" else 0)}
        for s in (0, 1) for i, c in enumerate(("0 cat", "1 dog")) for m in ("a", "b")
    ]  # fmt: skip
    table = class_table(rows)
    assert [(line["method"], line["seed"]) for line in table] == [
        ("a", 0), ("b", 0), ("a", 1), ("b", 1)
    ]  # fmt: skip
    assert list(table[0]) == ["method", "seed", "0 cat", "1 dog", "mean"]
    assert table[3]["mean"] == pytest.approx(0.26)


def test_the_default_detector_is_that_of_images_without_settings(digits):
    found = default_scores(digits, seed=0)
    (scored,) = found.values()
    expected = dv.detection.ImageDetector(0).fit(digits.x_train).anomaly(digits.x_test)
    np.testing.assert_allclose(scored.scores, expected, rtol=1e-5, atol=1e-5)
    assert roc_auc_score(digits.y_test, scored.scores) > 0.98
