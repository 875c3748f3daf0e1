import warnings

import numpy as np
import pytest
from sklearn.metrics import f1_score

from delvm_tf.detection import THRESHOLDS
from delvm_tf.detection.conformal import kept_rate
from delvm_tf.detection.thresholds import best_f1, contamination, mean_std


def best_f1_of_all_cuts(y, scores):
    """The best F1 over every way of calling the k highest scores abnormal, ties kept together."""
    cuts = [-np.inf, *np.unique(scores)]
    return max(f1_score(y, scores > cut, zero_division=0.0) for cut in cuts)


def test_mean_std_is_that_of_numpy_over_the_count(rng):
    scores = rng.gamma(2.0, size=100)
    expected = scores.sum() / 100 + np.sqrt(np.square(scores - scores.mean()).sum() / 100)
    assert mean_std(scores, None, 0.9) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.29, 0.5])
def test_contamination_bounds_the_rate_of_new_normal_scores(rng, rate):
    """Of all m + 1 exchangeable scores each is the new one once: count those above the others."""
    m = 99
    scores = rng.normal(size=m + 1)
    above = [new > contamination(np.delete(scores, i), None, rate) for i, new in enumerate(scores)]
    assert np.mean(above) == pytest.approx(rate)
    ties = np.round(scores)
    above = [new > contamination(np.delete(ties, i), None, rate) for i, new in enumerate(ties)]
    assert np.mean(above) <= rate


@pytest.mark.parametrize(("m", "kept"), [(24, 1 / 25), (98, 1 / 99), (99, 0.01), (500, 0.01)])
@pytest.mark.filterwarnings("ignore:.*too few")
def test_the_rate_that_is_kept_is_told_where_the_one_asked_for_takes_more_scores(rng, m, kept):
    """Of all m + 1 exchangeable scores, as above."""
    assert kept_rate(m, 0.01) == pytest.approx(kept)
    scores = rng.normal(size=m + 1)
    above = [new > contamination(np.delete(scores, i), None, 0.01) for i, new in enumerate(scores)]
    assert np.mean(above) == pytest.approx(kept, rel=0.01)


def test_too_few_scores_for_a_rate_are_told():
    with pytest.warns(UserWarning, match="98 normal rows are too few for .* 0.01, which takes 99"):
        assert contamination(np.arange(98.0), None, 0.01) == pytest.approx(97.0, rel=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert contamination(np.arange(99.0), None, 0.01) == pytest.approx(98.0, rel=1e-4)


@pytest.mark.parametrize("name", ["mean_std", "contamination"])
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


@pytest.mark.parametrize("threshold", [mean_std, contamination])
def test_there_must_be_a_normal_example(threshold):
    with pytest.raises(ValueError, match="no normal example"):
        threshold(np.arange(4.0), np.ones(4, int), 0.5)


def test_one_normal_example_has_no_spread():
    with pytest.raises(ValueError, match=r"at least 2 normal examples .*got 1"):
        mean_std(np.arange(3.0), np.array([0, 1, 1]), 0.5)


@pytest.mark.parametrize("value", [0.1, 1 / 3, -7.7, 0.0, 1e300])
@pytest.mark.parametrize("threshold", [mean_std, contamination])
def test_none_of_equal_scores_lies_above(threshold, value):
    for count in (3, 7, 10, 1000):
        scores = np.full(count, value)
        found = threshold(scores, None, 0.95)
        assert found >= value
        assert found == pytest.approx(value, rel=2e-5)


def test_great_scores_do_not_overflow():
    scores = 1e300 * np.array([1.0, 2.0, 3.0])
    assert mean_std(scores, None, 0.9) == pytest.approx(1e300 * (2 + np.sqrt(2 / 3)), rel=1e-12)
    labels = np.array([0, 0, 1])
    assert 1.5e308 <= best_f1(np.array([1.0, 1.5, 1.7]) * 1e308, labels, 0.9) < 1.7e308


def test_rows_that_are_left_out_count_for_the_best_f1(rng):
    """A part of the normal scores, weighted, stands for all of them."""
    normal, abnormal = rng.normal(size=30), rng.normal(size=40) + 1
    both, few = np.concatenate([np.tile(normal, 5), abnormal]), np.concatenate([normal, abnormal])
    cut = best_f1(both, np.repeat([0, 1], [150, 40]), 0.5)
    assert best_f1(few, np.repeat([0, 1], [30, 40]), 0.5, normal_weight=5.0) == cut
    assert best_f1(few, np.repeat([0, 1], [30, 40]), 0.5) != cut


def test_the_best_cut_is_one_in_float32_too():
    """Between neighbours there is no middle, and rounding must not let the upper one through."""
    lower = np.float32(1.0)
    for _ in range(4):
        upper = np.nextafter(lower, np.float32(2))
        cut = best_f1(np.array([lower, upper], np.float64), np.array([0, 1]), 0.9)
        assert lower <= np.float32(cut) < upper
        lower = upper
