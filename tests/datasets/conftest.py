"""Small archives with the digests to match, and the large data sets where they are at hand."""

import hashlib
import sys

import numpy as np
import pytest

from delvm_tf.datasets import cifar10, fashion_mnist, files
from delvm_tf.datasets.archive import Archive, Part


def reference_digest(x, y):
    rows = [
        hashlib.sha256(bytes([int(label)]) + row.tobytes()).digest()
        for row, label in zip(x, y, strict=True)
    ]
    return hashlib.sha256(b"".join(sorted(rows))).hexdigest()


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch):
    """Without a network TensorFlow Datasets takes minutes to fail: tests never ask the real one."""
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    files._download.cache_clear()
    yield
    files._download.cache_clear()


@pytest.fixture
def arrays():
    """Seven training and five test images of 3×2 pixels."""
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (7, 3, 2), dtype="uint8"),
        "y_train": np.arange(7, dtype="uint8"),
        "x_test": rng.integers(0, 256, (5, 3, 2), dtype="uint8"),
        "y_test": np.arange(5, dtype="uint8"),
    }


@pytest.fixture
def archive(arrays):
    """What `arrays` must be."""
    parts = [
        Part(len(arrays[f"x_{part}"]), reference_digest(arrays[f"x_{part}"], arrays[f"y_{part}"]))
        for part in ("train", "test")
    ]
    return Archive("tiny", (3, 2), "uint8", *parts)


@pytest.fixture
def shuffled(arrays):
    """The same rows as TensorFlow Datasets keeps them: another order, a channel axis, int64."""
    result = {}
    for part in ("train", "test"):
        order = np.random.default_rng(1).permutation(len(arrays[f"x_{part}"]))
        result[f"x_{part}"] = arrays[f"x_{part}"][order][..., None]
        result[f"y_{part}"] = arrays[f"y_{part}"][order].astype("int64")
    return result


@pytest.fixture(scope="session")
def fashion_mnist_arrays(require_data):
    require_data("fashion_mnist")
    return files.find(fashion_mnist.ARCHIVE)


@pytest.fixture(scope="session")
def cifar10_arrays(require_data):
    require_data("cifar10")
    return files.find(cifar10.ARCHIVE)
