import dataclasses

import numpy as np
import pytest
from sklearn.metrics import f1_score

from delvm_tf.datasets import Dataset, load
from trainers.experiments.held_out import hold_out


@pytest.fixture
def data(rng):
    x = np.concatenate([rng.normal(size=(50, 2)), rng.normal(3, size=(150, 2))])
    y = np.repeat([0, 1], [50, 150])
    return Dataset(
        "made", "up", 0, x_train=x[:50], y_train=y[:50], x_test=rng.normal(size=(20, 2)),
        y_test=np.tile([0, 1], 10), x_calibration=x, y_calibration=y,
    )  # fmt: skip


def test_all_training_rows_are_used_once(data):
    held = hold_out(data, 0.2, seed=1)
    assert len(held.data.x_train) == 40
    np.testing.assert_array_equal(held.y_calibration, np.repeat([0, 1], [10, 150]))
    rows = np.concatenate([held.data.x_train, held.data.x_test[:10]])
    np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(data.x_train, axis=0))
    np.testing.assert_array_equal(held.data.x_test[10:160], data.x_calibration[50:])
    np.testing.assert_array_equal(held.of_test(held.data.x_test), data.x_test)
    np.testing.assert_array_equal(held.of_test(held.data.y_test), data.y_test)


def test_the_threshold_is_the_best_with_the_shares_of_the_training_set(data):
    held = hold_out(data, 0.2)
    scores = held.data.x_test.sum(axis=1)
    own, labels = scores[:160], held.y_calibration
    weights = np.where(labels == 0, 5.0, 1.0)
    figures = {
        t: f1_score(labels, own > t, sample_weight=weights) for t in np.concatenate([[-9], own])
    }
    found = f1_score(labels, own > held.threshold(scores), sample_weight=weights)
    assert found == pytest.approx(max(figures.values()))
    unweighted = held._replace(weight=1.0)
    assert unweighted.threshold(scores) < held.threshold(scores)  # fewer normal rows to spare


def test_bad_choices(data):
    with pytest.raises(ValueError, match="no abnormal training rows"):
        hold_out(load("digits", protocol="one-vs-rest"))
    with pytest.raises(ValueError, match="no abnormal training rows"):
        hold_out(dataclasses.replace(data, y_calibration=np.zeros(200, int)))
    with pytest.raises(ValueError, match=r"a share of 0.01 of 50 .* is 0"):
        hold_out(data, 0.01)
