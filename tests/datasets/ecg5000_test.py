import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from delvm_tf.datasets import load


@pytest.fixture(scope="module")
def classes():
    """Class of each of the 5,000 beats, by its values."""
    data = np.load(_bundled())
    x = np.concatenate([data["x_train"], data["x_test"]])
    y = np.concatenate([data["y_train"], data["y_test"]])
    table = {row.tobytes(): int(label) for row, label in zip(x, y, strict=True)}
    assert len(table) == 5000  # no beat is there twice, so membership can be tested by value
    return table


def _bundled():
    from importlib import resources

    return resources.files("delvm_tf.datasets.data") / "ecg5000.npz"


def beats(x):
    return {row.tobytes() for row in x}


def labels(x, classes):
    return np.array([classes[row.tobytes()] for row in x])


def test_paper_counts(classes):
    data = load("ecg5000", "paper")
    assert data.x_train.shape == (1639, 140)
    assert data.y_test.sum() == 560
    assert (data.y_test == 0).sum() == 440
    # what the paper calls abnormal is the normal rhythm
    np.testing.assert_array_equal(data.y_test, labels(data.x_test, classes) == 1)
    assert (labels(data.x_train, classes) != 1).all()
    assert len(data.x_calibration) == 3998


def test_paper_is_the_tutorials_split():
    archive = np.load(_bundled())
    raw = np.concatenate([archive["x_train"], archive["x_test"]])[:4998]
    label = np.concatenate([archive["y_train"], archive["y_test"]])[:4998] == 1
    x_train, x_test, label_train, label_test = train_test_split(
        raw, label, test_size=0.2, random_state=21
    )
    for seed in (0, 5):
        data = load("ecg5000", "paper", seed=seed)
        assert data.seed == seed
        np.testing.assert_array_equal(data.x_train, x_train[~label_train])
        np.testing.assert_array_equal(data.x_test, x_test)
        np.testing.assert_array_equal(data.y_test, label_test)


@pytest.mark.parametrize("seed", [0, 9])
def test_standard(seed, classes):
    data = load("ecg5000", "standard", seed=seed)
    assert data.x_test.shape == (1000, 140)
    assert data.x_calibration.shape == (3998, 140)
    # ecg.csv has 2,919 normal beats
    assert len(data.x_train) + (data.y_test == 0).sum() == 2919
    assert (labels(data.x_train, classes) == 1).all()
    np.testing.assert_array_equal(data.y_test, labels(data.x_test, classes) != 1)
    np.testing.assert_array_equal(data.y_calibration, labels(data.x_calibration, classes) != 1)
    assert not beats(data.x_calibration) & beats(data.x_test)
    assert beats(data.x_train) < beats(data.x_calibration)


def test_standard_depends_on_the_seed_alone():
    first, again, other = (load("ecg5000", seed=seed).x_test for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert beats(first) != beats(other)


def test_ucr(classes):
    data = load("ecg5000", "ucr")
    assert data.x_train.shape == (292, 140)
    assert data.x_calibration.shape == (500, 140)
    assert data.x_test.shape == (4500, 140)
    assert (data.y_test == 0).sum() + 292 == 2919
    np.testing.assert_array_equal(data.y_test, labels(data.x_test, classes) != 1)
    assert not beats(data.x_calibration) & beats(data.x_test)


@pytest.mark.parametrize("protocol", ["standard", "paper", "ucr"])
def test_raw_units(protocol):
    data = load("ecg5000", protocol)
    assert data.x_train.dtype == np.float32
    # standardised per beat by the archive, with the sample standard deviation
    np.testing.assert_allclose(data.x_test.mean(axis=1), 0, atol=1e-3)
    np.testing.assert_allclose(data.x_test.std(axis=1, ddof=1), 1, atol=1e-3)


@pytest.mark.parametrize("protocol", ["standard", "paper", "ucr"])
def test_validation_never_sees_the_test(protocol):
    data = load("ecg5000", protocol)
    split = data.validation_split()
    assert not (beats(split.x_calibration) | beats(split.x_test)) & beats(data.x_test)
    assert not beats(split.x_calibration) & beats(split.x_test)
    assert beats(split.x_calibration) | beats(split.x_test) == beats(data.x_calibration)


def test_needs_no_folder(monkeypatch):
    monkeypatch.delenv("DELVM_DATA_DIR", raising=False)
    assert len(load("ecg5000", data_dir="/nonexistent").x_test) == 1000
