import sys
import types

import numpy as np
import pytest

from delvm_tf.datasets import files, tfds


@pytest.fixture
def fake(monkeypatch, shuffled):
    """A `tensorflow_datasets` that knows `tiny` and serves it in batches of three."""
    module = types.ModuleType("tensorflow_datasets")
    module.requests = []

    def load(name, split, batch_size, as_supervised):
        module.requests.append((name, split, as_supervised))
        assert batch_size > 0  # -1 would ask for one batch of everything
        if name != "tiny":
            raise RuntimeError(f"Dataset {name} not found")
        return [("dataset", half) for half in split]

    def as_numpy(dataset):
        kind, half = dataset
        assert kind == "dataset"
        x, y = shuffled[f"x_{half}"], shuffled[f"y_{half}"]
        return ((x[i : i + 3], y[i : i + 3]) for i in range(0, len(x), 3))

    module.load, module.as_numpy = load, as_numpy
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    return module


def test_fetch_joins_the_batches(fake, shuffled):
    fetched = tfds.fetch("tiny")
    assert fetched.keys() == shuffled.keys()
    for key, array in shuffled.items():
        np.testing.assert_array_equal(fetched[key], array)
    assert fake.requests == [("tiny", ["train", "test"], True)]


def test_find_verifies_what_was_fetched(fake, archive, arrays, monkeypatch):
    monkeypatch.delenv("DELVM_DATA_DIR", raising=False)
    found = files.find(archive)
    np.testing.assert_array_equal(found.x_train, arrays["x_train"][found.y_train])
    assert found.x_train.shape == (7, 3, 2)


def test_unknown_to_tfds(fake, archive, monkeypatch):
    monkeypatch.delenv("DELVM_DATA_DIR", raising=False)
    with pytest.raises(FileNotFoundError, match="RuntimeError: Dataset other not found"):
        files.find(type(archive)("other", (3, 2), "uint8", archive.train, archive.test))


def test_without_tfds():
    with pytest.raises(ImportError, match="tensorflow_datasets"):
        tfds.fetch("tiny")
