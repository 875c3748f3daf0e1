import numpy as np
import pytest
from sklearn.metrics import f1_score

from delvm_tf.detection import THRESHOLDS
from delvm_tf.detection.thresholds import best_f1, mean_std, quantile


def best_f1_of_all_cuts(y, scores):
    """The best F1 over every way of calling the k highest scores abnormal, ties kept together."""
    cuts = [-np.inf, *np.unique(scores)]
    return max(f1_score(y, scores > cut, zero_division=0.0) for cut in cuts)


def test_mean_std_is_that_of_numpy_over_the_count(rng):
    scores = rng.gamma(2.0, size=100)
    expected = scores.sum() / 100 + np.sqrt(np.square(scores - scores.mean()).sum() / 100)
    assert mean_std(scores, None, 0.9) == pytest.approx(expected, rel=1e-12)


def test_quantile_leaves_that_fraction_of_normal_scores_below(rng):
    scores = rng.normal(size=1000)
    threshold = quantile(scores, None, 0.9)
    assert threshold == np.quantile(scores, 0.9)
    assert np.mean(scores <= threshold) == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("name", ["mean_std", "quantile"])
def test_abnormal_examples_do_not_move_the_thresholds_of_normal_ones(rng, name):
    normal, abnormal = rng.normal(size=50), rng.normal(size=30) + 100
    scores, y = np.concatenate([normal, abnormal]), np.repeat([0, 1], [50, 30])
    order = rng.permutation(80)
    expected = THRESHOLDS[name](normal, None, 0.8)
    assert THRESHOLDS[name](scores[order], y[order], 0.8) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_best_f1_beats_or_equals_every_other_cut(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, size=60)
    scores = np.round(rng.normal(size=60) + y * rng.uniform(0, 2), 1)  # with ties
    threshold = best_f1(scores, y, 0.5)
    assert f1_score(y, scores > threshold) == best_f1_of_all_cuts(y, scores)


def test_best_f1_lies_midway_between_the_scores_it_parts():
    scores, y = np.array([1.0, 2.0, 5.0, 9.0]), np.array([0, 0, 1, 1])
    assert best_f1(scores, y, 0.5) == 3.5


@pytest.mark.parametrize("scores", [[1.0, 2.0, 3.0, 4.0], [-4.0, -3.0, 0.0, 0.0], [0.0] * 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_best_f1_can_call_everything_abnormal(scores, dtype):
    scores, y = np.array(scores), np.array([1, 1, 1, 0])
    assert best_f1_of_all_cuts(y, scores) == f1_score(y, np.ones(4))
    threshold = best_f1(scores, y, 0.5)
    assert (scores.astype(dtype) > dtype(threshold)).all()


@pytest.mark.parametrize("y", [None, np.zeros(4, int), np.ones(4, int)])
def test_best_f1_needs_both_classes(y):
    with pytest.raises(ValueError, match="'best_f1' needs labelled calibration data with both"):
        best_f1(np.arange(4.0), y, 0.5)


@pytest.mark.parametrize("threshold", [mean_std, quantile])
def test_there_must_be_a_normal_example(threshold):
    with pytest.raises(ValueError, match="no normal example"):
        threshold(np.arange(4.0), np.ones(4, int), 0.5)


def test_one_normal_example_has_no_spread():
    with pytest.raises(ValueError, match=r"at least 2 normal examples .*got 1"):
        mean_std(np.arange(3.0), np.array([0, 1, 1]), 0.5)


@pytest.mark.parametrize("value", [0.1, 1 / 3, -7.7, 0.0, 1e300])
@pytest.mark.parametrize("threshold", [mean_std, quantile])
def test_none_of_equal_scores_lies_above(threshold, value):
    for count in (3, 7, 10, 1000):
        scores = np.full(count, value)
        assert threshold(scores, None, 0.95) == value


def test_great_scores_do_not_overflow():
    scores = 1e300 * np.array([1.0, 2.0, 3.0])
    assert mean_std(scores, None, 0.9) == pytest.approx(1e300 * (2 + np.sqrt(2 / 3)), rel=1e-12)
    labels = np.array([0, 0, 1])
    assert 1.5e308 <= best_f1(np.array([1.0, 1.5, 1.7]) * 1e308, labels, 0.9) < 1.7e308


def test_quantile_of_ties_and_of_one():
    assert quantile(np.array([1.0, 2.0, 2.0, 2.0, 9.0]), None, 0.5) == 2.0
    assert quantile(np.array([4.0]), None, 0.9) == 4.0


def test_the_best_cut_is_one_in_float32_too():
    """Between neighbours there is no middle, and rounding must not let the upper one through."""
    lower = np.float32(1.0)
    for _ in range(4):
        upper = np.nextafter(lower, np.float32(2))
        cut = best_f1(np.array([lower, upper], np.float64), np.array([0, 1]), 0.9)
        assert lower <= np.float32(cut) < upper
        lower = upper
