import numpy as np
import pytest

from delvm_tf.datasets import files, load
from delvm_tf.datasets.archive import Arrays


def made_up():
    """Random images, as many of each class as there are, which take no time to read and verify."""
    rng = np.random.default_rng(0)
    parts = {"train": 50_000, "test": 10_000}
    x = {f"x_{k}": rng.integers(0, 256, (n, 32, 32, 3), "uint8") for k, n in parts.items()}
    y = {f"y_{k}": rng.permutation(np.arange(n) % 10) for k, n in parts.items()}
    return Arrays(**x, **y)


@pytest.fixture(scope="module", params=["made up", pytest.param("real", marks=pytest.mark.slow)])
def images(request):
    if request.param == "real":
        yield request.getfixturevalue("cifar10_arrays")
        return
    arrays = made_up()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "find", lambda archive, data_dir=None: arrays)
        yield arrays


@pytest.fixture(scope="module")
def paper(images):
    return load("cifar10", "paper")


def pictures(x):
    return {row.tobytes() for row in x}


@pytest.mark.slow
def test_classification(cifar10_arrays):
    data = load("cifar10")
    assert data.x_train.shape == (50_000, 32, 32, 3)
    assert np.bincount(data.y_train).tolist() == [5000] * 10
    assert np.bincount(data.y_test).tolist() == [1000] * 10
    # published channel means of the training pixels on [0, 1]: red, green, blue
    np.testing.assert_allclose(
        data.x_train.mean(axis=(0, 1, 2)) / 255, [0.4914, 0.4822, 0.4465], atol=5e-5
    )
    assert np.shares_memory(data.x_train, cifar10_arrays.x_train)  # no copy of 150 MB


@pytest.mark.slow
def test_class_names(cifar10_arrays):
    # sky and sea: of all classes, airplanes and ships have the bluest pictures
    data = load("cifar10")
    blueness = (data.x_test[..., 2].astype(int) - data.x_test[..., 0]).mean(axis=(1, 2))
    means = np.array([blueness[data.y_test == label].mean() for label in range(10)])
    assert {data.class_names[label] for label in np.argsort(means)[-2:]} == {"airplane", "ship"}


def test_one_vs_rest(images):
    data = load("cifar10", "one-vs-rest", normal_class=3)
    assert data.x_train.shape == (5000, 32, 32, 3)
    assert data.y_test.sum() == 9000
    assert data.class_names == ("cat", "rest")


def test_paper_counts(paper):
    assert len(paper.x_calibration) + len(paper.x_test) == 22_200
    assert len(paper.x_test) == 6660
    normal = (paper.y_test == 0).sum()
    assert len(paper.x_train) + normal == 6000
    assert (paper.y_calibration == 1).sum() + (paper.y_test == 1).sum() == 16_200
    # hypergeometric: 1,800 ± 30 of the held-out images are normal; the paper's draw had 1,777
    assert abs(normal - 1800) < 4 * 30


def test_paper_labels(paper, images):
    airplanes = pictures(images.x_train[images.y_train == 0])
    airplanes |= pictures(images.x_test[images.y_test == 0])
    assert pictures(paper.x_train) | pictures(paper.x_test[paper.y_test == 0]) == airplanes
    assert not pictures(paper.x_test[paper.y_test == 1]) & airplanes


def test_paper_depends_on_the_seed_alone(paper):
    again, other = load("cifar10", "paper", seed=0), load("cifar10", "paper", seed=1)
    np.testing.assert_array_equal(paper.x_test, again.x_test)
    np.testing.assert_array_equal(paper.y_test, again.y_test)
    held_out, other_held_out = pictures(paper.x_test), pictures(other.x_test)
    anomalies = pictures(paper.x_calibration[paper.y_calibration == 1])
    other_anomalies = pictures(other.x_calibration[other.y_calibration == 1])
    # independent draws share 30% of the anomalies, times the share that is trained on
    assert len(held_out & other_held_out) < 0.5 * 6660
    assert len(anomalies & other_anomalies) < 0.5 * len(anomalies)


def test_paper_validation_never_sees_the_test(paper):
    split = paper.validation_split()
    test = pictures(paper.x_test)
    assert not pictures(split.x_test) & test
    assert not pictures(split.x_calibration) & test
