import dataclasses

import numpy as np
import pytest

from delvm_tf.datasets.dataset import Dataset


def rows(start, count):
    """Rows that tell where they come from: row i holds i."""
    return np.arange(start, start + count, dtype="float32")[:, None]


@pytest.fixture
def anomaly():
    """50 normal training rows 0..49, 11 abnormal ones 50..60, test rows from 1000."""
    return Dataset(
        "toy",
        "standard",
        3,
        x_train=rows(0, 50),
        y_train=np.zeros(50, int),
        x_test=rows(1000, 20),
        y_test=np.repeat([0, 1], 10),
        x_calibration=rows(0, 61),
        y_calibration=np.repeat([0, 1], [50, 11]),
        description="Toy.",
    )


@pytest.fixture
def classes():
    """60 training rows of class 0, 30 of class 1, 10 of class 2."""
    y = np.repeat([0, 1, 2], [60, 30, 10])
    return Dataset("toy", "classification", 0, rows(0, 100), y, rows(1000, 20), np.arange(20) % 3)


def values(x):
    return set(x[:, 0].tolist())


def test_anomaly_validation_split(anomaly):
    split = anomaly.validation_split(0.2, seed=4)
    normal, abnormal = set(range(50)), set(range(50, 61))
    assert len(split.x_train) == 40
    assert not split.y_train.any()
    assert values(split.x_train) <= normal
    np.testing.assert_array_equal(split.y_test, split.x_test[:, 0] >= 50)
    np.testing.assert_array_equal(split.y_calibration, split.x_calibration[:, 0] >= 50)
    assert split.y_test.sum() == 6
    assert split.y_calibration.sum() == 5
    # nothing twice, nothing lost, nothing of the test set
    assert values(split.x_calibration) & normal == values(split.x_train)
    assert not values(split.x_calibration) & values(split.x_test)
    assert values(split.x_calibration) | values(split.x_test) == normal | abnormal
    assert len(split.x_calibration) + len(split.x_test) == 61


def test_stratified_validation_split(classes):
    split = classes.validation_split(0.2, seed=4)
    assert np.bincount(split.y_test).tolist() == [12, 6, 2]
    assert np.bincount(split.y_train).tolist() == [48, 24, 8]
    assert not values(split.x_train) & values(split.x_test)
    assert values(split.x_train) | values(split.x_test) == set(range(100))
    np.testing.assert_array_equal(
        split.y_test, np.digitize(split.x_test[:, 0], [60, 90])
    )  # labels stay with their rows
    assert split.x_calibration is None


@pytest.mark.parametrize("kind", ["anomaly", "classes"])
def test_validation_split_is_drawn_from_its_seed(kind, request):
    data = request.getfixturevalue(kind)
    first, again, other = (data.validation_split(0.3, seed=seed).x_test for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert values(first) != values(other)


def test_validation_split_says_what_it_is(anomaly):
    split = anomaly.validation_split(0.2, seed=4)
    assert (split.name, split.protocol, split.seed) == ("toy", "standard", 3)
    assert split.is_anomaly
    assert split.description == (
        "Toy. Validation split of the training rows (fraction 0.2, seed 4)."
    )


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_fraction_outside_the_unit_interval(anomaly, fraction):
    with pytest.raises(ValueError, match=r"fraction must lie strictly between 0 and 1, got"):
        anomaly.validation_split(fraction)


@pytest.mark.parametrize(("fraction", "count"), [(0.001, 0), (0.999, 50)])
def test_fraction_that_leaves_one_side_empty(anomaly, fraction, count):
    with pytest.raises(
        ValueError, match=rf"fraction {fraction} of 50 normal training rows is {count} rows"
    ):
        anomaly.validation_split(fraction)


@pytest.mark.parametrize(
    "change",
    [
        {"x_calibration": None, "y_calibration": None},
        {"y_calibration": np.zeros(61, int)},
    ],
)
def test_no_abnormal_training_rows(anomaly, change):
    data = dataclasses.replace(anomaly, **change)
    with pytest.raises(
        ValueError,
        match=r"toy under protocol 'standard' has no abnormal training rows.*tune on a criterion "
        r"without labels.*another protocol.*x_calibration",
    ):
        data.validation_split()


def test_properties(anomaly, classes):
    assert anomaly.is_anomaly
    assert not classes.is_anomaly
    images = np.zeros((2, 4, 5, 3))
    y = np.zeros(2, int)
    assert Dataset("toy", "mine", 0, images, y, images, y).input_shape == (4, 5, 3)


def test_repr_is_one_short_line(anomaly):
    assert repr(anomaly) == (
        "Dataset('toy', 'standard', seed=3, x_train=float32[50, 1], x_test=float32[20, 1], "
        "x_calibration=float32[61, 1])"
    )


def test_arrays_cannot_be_written_to(anomaly):
    for data in (anomaly, anomaly.validation_split()):
        for field in ("x_train", "y_train", "x_test", "y_test", "x_calibration", "y_calibration"):
            with pytest.raises(ValueError, match="read-only"):
                getattr(data, field)[0] = 1


def test_callers_keep_their_right_to_write():
    x, y = rows(0, 5), np.zeros(5, int)
    Dataset("toy", "mine", 0, x, y, x, y)
    x[0] = 7
    assert x[0] == 7


def test_rows_and_labels_must_match(anomaly):
    with pytest.raises(
        ValueError, match=r"y_test must have one label per row, shape \(20,\), got \(19,\)"
    ):
        dataclasses.replace(anomaly, y_test=np.zeros(19, int))
    with pytest.raises(ValueError, match=r"x_test has shape \(2,\), one of x_train \(1,\)"):
        dataclasses.replace(anomaly, x_test=np.zeros((20, 2)))
    with pytest.raises(ValueError, match="x_calibration and y_calibration go together"):
        dataclasses.replace(anomaly, y_calibration=None)
