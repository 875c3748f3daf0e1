import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

import delvm_tf as dv
from delvm_tf.detection.levels.level_detector import LevelDetector


def ring(rng, n):
    angle = rng.uniform(0, 2 * np.pi, n)
    code = rng.integers(0, 3, n) * 2.0
    radius = 2 + 0.1 * rng.normal(size=n)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), code])


@pytest.fixture(scope="module")
def fitted():
    return LevelDetector(steps=150).fit(ring(np.random.default_rng(0), 500))


def test_what_lies_in_a_ring_or_between_codes_is_abnormal(fitted, rng):
    normal, inside, between = ring(rng, 200), ring(rng, 200), ring(rng, 200)
    inside[:, :2] *= 0.4
    between[:, 2] = 3.0
    usual = -fitted.score_samples(normal)
    for abnormal in (inside, between):
        labels = np.repeat([0, 1], 200)
        scores = np.concatenate([usual, -fitted.score_samples(abnormal)])
        assert roc_auc_score(labels, scores) > 0.97


def remembered_error(x, rows, sigma):
    """‖x − x̂‖²/σ², with x̂ the mean of all rows but x itself, in float64."""
    errors = []
    for point in x:
        squares = np.square(point - rows).sum(axis=1)
        kernels = np.where(squares > 1e-10, np.exp(-(squares - squares.min()) / 2 / sigma**2), 0)
        mean = kernels @ rows / kernels.sum()
        errors.append(np.square(point - mean).sum() / sigma**2)
    return errors


def test_the_score_joins_the_evidence_of_errors_in_all_spaces(rng):
    train, x = ring(rng, 150), ring(rng, 40) * 1.1
    detector = LevelDetector(steps=40).fit(train)
    spaces = {k: v.numpy().astype(float) for k, v in detector.views_(x).items()}
    rows = {k: v.numpy().astype(float) for k, v in detector.views_(train).items()}
    energies = detector.energies_
    sigmas = {name: memory.sigma for name, memory in energies.memories.items()}
    levels = np.log(energies.model.noise_levels)
    level = np.abs(levels - np.log(sigmas["sizes"])).argmin()
    learned = energies.model.errors(spaces["sizes"].astype("float32")).numpy()[:, level]
    found = [remembered_error(spaces[name], rows[name], sigma) for name, sigma in sigmas.items()]
    assert list(sigmas) == ["sizes", "noises", "ranks"]
    evidence = energies.evidence(np.column_stack([*found, learned])).numpy()
    sizes = (evidence[:, 0] + evidence[:, 3]) / 2
    others = evidence[:, 1], evidence[:, 2]
    expected = np.log(sum(np.exp(3 * each) for each in (sizes, *others))) / 3
    np.testing.assert_allclose(-detector.score_samples(x), expected, rtol=2e-3, atol=2e-3)


def test_rows_that_are_all_the_same_are_normal_however_many_are_asked():
    detector = dv.AnomalyDetector(epochs=1).fit(np.ones((50, 2)))
    for rows in (1, 2, 5, 50):
        x = np.ones((rows, 2))
        assert (detector.predict(x) == 1).all()
        x[-1, 0] = 2
        assert detector.predict(x)[-1] == -1


def test_the_same_seed_gives_the_same_scores_and_units_play_no_part(fitted, rng):
    x = ring(np.random.default_rng(0), 500)
    stretch, offset = np.array([100.0, 0.01, 7.0]), np.array([-1e3, 5.0, 1e4])
    again = LevelDetector(steps=150).fit(x * stretch + offset)
    new = ring(rng, 50)
    np.testing.assert_allclose(
        again.score_samples(new * stretch + offset), fitted.score_samples(new), rtol=0.02
    )


def test_served_scores_are_those_of_python(fitted, rng, tmp_path):
    detector = dv.AnomalyDetector(fitted).fit(ring(rng, 300))
    new = ring(rng, 40).astype("float32")
    folder = dv.export_saved_model(detector, tmp_path / "served")
    found = tf.saved_model.load(str(folder)).signatures["serving_default"](tf.constant(new))
    np.testing.assert_allclose(found["anomaly_score"], detector.anomaly_score(new), rtol=1e-5)
    detector.save(tmp_path / "saved")
    loaded = dv.load_detector(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.anomaly_score(new), detector.anomaly_score(new))


def test_one_that_another_version_saved_with_other_levels_is_refused(rng, tmp_path):
    detector = dv.AnomalyDetector(epochs=1, contamination=0.2).fit(ring(rng, 40))
    del detector.model_.energies_.memories["ranks"].sigma
    detector.save(tmp_path / "saved")
    with pytest.raises(dv.serving.DamagedModelError, match="has no sigma: another version"):
        dv.load_detector(tmp_path / "saved")


def test_strange_rows_among_those_it_was_fitted_on_are_as_strange_as_new_ones(rng):
    x = ring(rng, 400)
    strange = np.array([[0.1, 0.0, 0.0], [6.0, 0.0, 2.0], [1.5, 1.4, 3.0]])
    detector = LevelDetector(steps=50).fit(np.concatenate([x, strange]))
    within, usual = -detector.score_samples(strange), -detector.score_samples(x)
    assert (within > np.quantile(usual, 0.99)).all()
    new = -LevelDetector(steps=50).fit(x).score_samples(strange)
    assert (within > 0.7 * new).all()


def test_a_row_is_the_same_as_float32_numbers_and_no_further(rng):
    x = ring(rng, 400) * [1.0, 300.0, 1.0] + [0.0, 1e5, 0.0]
    x[:, 2] = np.round(x[:, 0], 3)  # ranks of these are steep
    detector = LevelDetector(steps=5).fit(x)
    seen = -detector.score_samples(x[:50])
    rounded = -detector.score_samples(x[:50].astype("float32").astype(float))
    np.testing.assert_allclose(rounded, seen, rtol=0.02)
    near = -detector.score_samples(x[:50] + 1e-3 * rng.normal(size=(50, 3)))
    assert np.median(near / seen) < 0.9


def test_rows_that_are_known_to_be_normal_count_as_seen(rng):
    x = ring(rng, 300)
    odd = np.array([[0.1, 0.0, 2.0]])
    seen = np.concatenate([x, odd])
    labels = np.ones(301, int)
    strange = dv.AnomalyDetector(epochs=5, holdout=0).fit(seen)
    normal = dv.AnomalyDetector(epochs=5, holdout=0).fit(seen, labels)
    assert (strange.anomaly_score(x) < strange.anomaly_score(odd)).mean() > 0.98
    assert (normal.anomaly_score(odd) < 0.6 * strange.anomaly_score(odd)).all()
    near = odd + 0.3  # and what is not the same does not
    assert (normal.anomaly_score(x) < normal.anomaly_score(near)).mean() > 0.98


def test_a_stream_without_rows_is_refused():
    empty = tf.data.Dataset.from_tensor_slices(np.zeros((0, 3), "float32")).batch(8)
    with pytest.raises(ValueError, match="the stream has no rows"):
        dv.AnomalyDetector(epochs=1).fit(empty)


def test_numbers_that_all_but_coincide_have_finite_scores(rng):
    x = np.column_stack([rng.choice([0.0, 5e-324, 1e-320, 1.0], 200), rng.normal(size=200)])
    assert np.isfinite(LevelDetector(steps=2).fit(x).score_samples(x)).all()


def test_contributions_sum_to_the_score(fitted, rng):
    detector = dv.AnomalyDetector(fitted).fit(ring(rng, 300))
    x = ring(rng, 5)
    explained = detector.explain(x)
    total = explained.contributions.sum(axis=1) + explained.baseline
    np.testing.assert_allclose(total, detector.anomaly_score(x), rtol=1e-4)


def test_a_detector_fits_it_on_a_part_of_the_rows(rng):
    x = ring(rng, 200)
    detector = dv.AnomalyDetector(LevelDetector(steps=5), epochs=1, contamination=0.1).fit(x)
    order = np.random.default_rng(0).permutation(200)
    np.testing.assert_allclose(detector.model_.views_.mean, x[order[40:]].mean(axis=0))
    assert len(detector.normal_scores_) == 40
    assert not hasattr(detector.model, "views_")


def test_the_column_that_is_wrong_is_blamed_and_told_what_it_should_be(fitted, rng):
    detector = dv.AnomalyDetector(fitted).fit(ring(rng, 300))
    x = ring(rng, 20)
    x[:, 2] = 9.0
    explained = detector.explain(x)
    assert (explained.contributions.argmax(axis=1) == 2).all()
    np.testing.assert_allclose(explained.expected[:, 2], 4.0, atol=0.1)  # the nearest code
    np.testing.assert_allclose(explained.expected[:, :2], x[:, :2], atol=1.0)


@pytest.mark.parametrize("rows", [2, pytest.param(3, marks=pytest.mark.slow), 12])
def test_few_rows_are_enough_to_say_something(rng, rows):
    detector = LevelDetector(steps=5).fit(ring(rng, rows))
    assert np.isfinite(detector.score_samples(ring(rng, 7))).all()
