"""Fewer rows, drawn by label and seed."""

import numpy as np
import pytest

import delvm_tf as dv
from trainers.experiments.subsets import subset


@pytest.fixture(scope="module")
def digits():
    return dv.datasets.load("digits", protocol="classification", seed=0)


@pytest.fixture(scope="module")
def beats():
    return dv.datasets.load("ecg5000", protocol="paper", seed=0)


def test_the_labels_keep_their_shares_and_the_seed_decides(digits):
    some, again, other = (subset(digits, 500, 100, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(some.x_train, again.x_train)
    assert not np.array_equal(some.x_train, other.x_train)
    assert (len(some.x_train), len(some.x_test)) == (500, 100)
    shares = np.bincount(digits.y_train) / len(digits.y_train)
    np.testing.assert_allclose(np.bincount(some.y_train) / 500, shares, atol=0.003)


def test_zero_keeps_all_rows_in_order(digits):
    whole = subset(digits, 0, 0, 3)
    np.testing.assert_array_equal(whole.x_train, digits.x_train)
    np.testing.assert_array_equal(whole.y_test, digits.y_test)


def test_of_anomalies_the_normal_ones_of_the_labelled_rows_are_trained_on(beats):
    some = subset(beats, 1000, 200, 0)
    assert (len(some.x_calibration), len(some.x_test)) == (1000, 200)
    np.testing.assert_array_equal(some.x_train, some.x_calibration[some.y_calibration == 0])
    assert not some.y_train.any()
    assert some.y_calibration.mean() == pytest.approx(beats.y_calibration.mean(), abs=1e-3)
    assert some.y_test.mean() == pytest.approx(0.56, abs=5e-3)


@pytest.mark.parametrize(("train", "test", "part"), [(5, 0, "training"), (0, 10**6, "test")])
def test_impossible_sizes_are_refused(digits, train, test, part):
    with pytest.raises(ValueError, match=f"size of the {part} part must lie between 20 and"):
        subset(digits, train, test, 0)
