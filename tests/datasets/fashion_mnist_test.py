import keras
import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.datasets import load

pytestmark = pytest.mark.usefixtures("fashion_mnist_arrays")


def test_classification():
    data = load("fashion_mnist")
    assert data.x_train.shape == (60_000, 28, 28, 1)
    assert data.x_test.shape == (10_000, 28, 28, 1)
    assert data.x_train.dtype == np.uint8
    assert np.bincount(data.y_train).tolist() == [6000] * 10
    assert np.bincount(data.y_test).tolist() == [1000] * 10
    # published statistics of the training pixels on [0, 1]
    assert data.x_train.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
    assert data.x_train.std() / 255 == pytest.approx(0.3530, abs=5e-5)


def test_class_names():
    # trousers are narrow: of all classes, their left and right borders are the emptiest
    data = load("fashion_mnist")
    border = data.x_test[:, :, :6].mean(axis=(1, 2, 3))
    means = [border[data.y_test == label].mean() for label in range(10)]
    assert data.class_names[int(np.argmin(means))] == "trouser"


def test_one_vs_rest():
    data = load("fashion_mnist", "one-vs-rest", normal_class=9)
    assert data.x_train.shape == (6000, 28, 28, 1)
    assert data.y_test.sum() == 9000
    assert data.class_names == ("ankle boot", "rest")


def test_validation_never_sees_the_test():
    data = load("fashion_mnist")
    split = data.validation_split()
    pictures = [{row.tobytes() for row in x} for x in (data.x_train, split.x_train, split.x_test)]
    assert pictures[0] == pictures[1] | pictures[2]
    assert np.bincount(split.y_test).tolist() == [1200] * 10
    assert np.bincount(split.y_train).tolist() == [4800] * 10


def test_read_only_arrays_are_good_enough_for_training():
    data = load("fashion_mnist")
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(data.x_train[:50], data.y_train[:50], batch_size=25, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    ds = tf.data.Dataset.from_tensor_slices(data.x_test[:10]).batch(10)
    np.testing.assert_array_equal(next(iter(ds)), data.x_test[:10])
