import numpy as np
import pytest

from delvm_tf.datasets import load


def pictures(x):
    return {row.tobytes() for row in x}


def test_classification():
    data = load("digits")
    assert data.x_train.shape == (1437, 8, 8, 1)
    assert data.x_test.shape == (360, 8, 8, 1)
    assert data.x_train.dtype == np.float32
    assert data.x_train.max() == 16
    assert data.x_train.min() == 0
    # stratified: 1,797 images of about 180 per class, a fifth of each in the test
    total = np.bincount(data.y_train) + np.bincount(data.y_test)
    assert total.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.abs(np.bincount(data.y_test) - total / 5).max() < 1
    assert not pictures(data.x_train) & pictures(data.x_test)


def test_labels_stay_with_their_images():
    # a nearest-neighbour classifier gets 98% of this data right, and 10% of shuffled labels
    data = load("digits", seed=1)
    train, test = (x.reshape(len(x), -1) for x in (data.x_train, data.x_test))
    nearest = ((test[:, None] - train[None]) ** 2).sum(axis=-1).argmin(axis=1)
    assert (data.y_train[nearest] == data.y_test).mean() > 0.95


def test_split_depends_on_the_seed_alone():
    first, again, other = (load("digits", seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.x_train, again.x_train)
    assert pictures(first.x_test) != pictures(other.x_test)


@pytest.mark.parametrize("normal_class", [0, 7])
def test_one_vs_rest(normal_class):
    labelled = load("digits", seed=2)
    data = load("digits", "one-vs-rest", seed=2, normal_class=normal_class)
    np.testing.assert_array_equal(data.x_train, labelled.x_train[labelled.y_train == normal_class])
    np.testing.assert_array_equal(data.x_test, labelled.x_test)
    np.testing.assert_array_equal(data.y_test, labelled.y_test != normal_class)
    assert data.class_names == (str(normal_class), "rest")
    with pytest.raises(ValueError, match="digits under protocol 'one-vs-rest' has no abnormal"):
        data.validation_split()
