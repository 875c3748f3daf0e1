import numpy as np
import pytest

from delvm_tf.datasets import splits
from delvm_tf.datasets.archive import Arrays

NAMES = ("a", "b", "c")


@pytest.fixture
def arrays():
    """Row i holds i; the class is i mod 3."""
    x = np.arange(30.0)[:, None]
    return Arrays(x[:21], np.arange(21) % 3, x[21:], np.arange(21, 30) % 3)


def test_classification(arrays):
    protocols = splits.of_classes("toy", lambda seed, data_dir: arrays, NAMES, "Toy.")
    data = protocols["classification"](5, None)
    assert (data.name, data.protocol, data.seed) == ("toy", "classification", 5)
    assert not data.is_anomaly
    assert data.x_calibration is None
    np.testing.assert_array_equal(data.y_test, data.x_test[:, 0] % 3)


def test_anomaly(arrays):
    data = splits.anomaly(
        "toy",
        "mine",
        5,
        (arrays.x_train, arrays.y_train == 2),
        (arrays.x_test, arrays.y_test == 2),
        ("fine", "bad"),
        "Toy.",
    )
    assert (data.protocol, data.seed, data.class_names) == ("mine", 5, ("fine", "bad"))
    assert len(data.x_train) == len(data.y_train) == 14
    assert not data.y_train.any()
    assert (data.x_train[:, 0] % 3 != 2).all()
    np.testing.assert_array_equal(data.x_calibration, arrays.x_train)
    np.testing.assert_array_equal(data.y_calibration, arrays.x_train[:, 0] % 3 == 2)
    np.testing.assert_array_equal(data.y_test, data.x_test[:, 0] % 3 == 2)


def test_one_vs_rest(arrays):
    data = splits.one_vs_rest("toy", 5, arrays, NAMES, 1, "Toy.")
    assert (data.protocol, data.class_names) == ("one-vs-rest", ("b", "rest"))
    assert data.x_train[:, 0].tolist() == [1, 4, 7, 10, 13, 16, 19]
    assert not data.y_train.any()
    np.testing.assert_array_equal(data.y_test, data.x_test[:, 0] % 3 != 1)
    assert data.x_calibration is None
    assert data.description == "Toy. Normal: class 1, b."


@pytest.mark.parametrize("normal_class", [-1, 3, 0.5, "a", None, True])
def test_unknown_class(arrays, normal_class):
    with pytest.raises(
        ValueError,
        match=r"unknown normal_class .* of toy; expected one of 0 \(a\), 1 \(b\), 2 \(c\)",
    ):
        splits.one_vs_rest("toy", 0, arrays, NAMES, normal_class, "Toy.")
