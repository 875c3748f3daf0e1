"""P-values and thresholds promise what they promise: by counting, and by simulation."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import false_discovery_control

import delvm_tf as dv
from delvm_tf.detection.conformal import count_reaching


class FirstColumn:
    """A model whose energy is the first column."""

    def energy(self, x):
        return tf.cast(x[:, 0], tf.float32)


def fitted(normal, **kwargs):
    return dv.AnomalyDetector(FirstColumn(), **kwargs).fit(np.reshape(normal, (-1, 1)))


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 100])
def test_the_search_counts_what_a_loop_counts(rng, count):
    reference = np.sort(np.round(rng.normal(size=count), 1)).astype(np.float32)
    scores = np.concatenate([reference, rng.normal(size=50), [-np.inf, np.inf]]).astype(np.float32)
    found = tf.function(lambda s: count_reaching(s, reference))(tf.constant(scores))
    np.testing.assert_array_equal(found, [(reference >= s).sum() for s in scores])


def test_a_p_value_counts_the_normal_scores_that_reach_it():
    detector = fitted([3.0, 1.0, 2.0, 2.0])
    x = np.array([[0.0], [2.0], [2.5], [9.0]])
    np.testing.assert_array_equal(detector.p_value(x), np.array([5, 4, 2, 1]) / 5)


@pytest.mark.parametrize("digits", [6, 0])
def test_p_values_of_normal_rows_are_small_no_more_often_than_they_say(rng, digits):
    """Among m + 1 exchangeable rows, over draws of all of them; `digits` 0 makes ties."""
    levels, hits, runs = np.array([0.05, 0.1, 0.25, 0.5]), np.zeros(4), 400
    for _ in range(runs):
        scores = np.round(rng.normal(size=59), digits)
        p = fitted(scores[:19], contamination=0.5).p_value(scores[19:, None])
        hits += (p[:, None] <= levels).mean(axis=0)
    error = 3 * np.sqrt(levels * (1 - levels) / runs)
    assert (hits / runs <= levels + error).all()
    if digits:  # and not much more seldom
        assert (hits / runs >= levels - error).all()


def test_selected_rows_hold_no_more_false_ones_than_they_say(rng):
    shares, found = [], 0
    for _ in range(200):
        detector = fitted(rng.normal(size=200))
        x = np.concatenate([rng.normal(size=45), rng.normal(size=5) + 4])[:, None]
        chosen = detector.select(x, fdr=0.2)
        shares.append(chosen[:45].sum() / max(chosen.sum(), 1))
        found += chosen[45:].sum()
        expected = false_discovery_control(detector.p_value(x)) <= 0.2
        np.testing.assert_array_equal(chosen, expected)
    assert np.mean(shares) <= 0.2 * 0.9 + 3 * np.std(shares) / np.sqrt(200)
    assert found > 800
    with pytest.raises(ValueError, match="fdr must lie between 0 and 1"):
        detector.select(x, fdr=1.5)


def test_the_threshold_and_the_p_value_say_the_same(rng):
    detector = fitted(rng.normal(size=199), contamination=0.05)
    x = rng.normal(size=(500, 1)) * 2
    np.testing.assert_array_equal(detector.is_anomaly(x), detector.p_value(x) <= 0.05)


def test_rows_that_were_trained_on_give_no_p_values(rng):
    x = rng.normal(size=(40, 3))
    trained = dv.AnomalyDetector(dv.DELVM(dv.networks.ffnn((3,))), epochs=1, holdout=0).fit(x)
    given = dv.AnomalyDetector(trained.model_, holdout=0).fit(x)
    for method in (trained.p_value, trained.select, given.p_value):
        with pytest.raises(ValueError, match="fit with holdout > 0"):
            method(x)
    assert dv.AnomalyDetector(trained.model_).fit(x).p_value(x).shape == (40,)
