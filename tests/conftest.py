"""Fixtures shared by all tests."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

sys.path.insert(0, str(Path(__file__).parent))  # for modules that several tests share
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # for checks that both make

import keras
import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.datasets import files

# Folders of tests that build models, of whose cases the short run takes CASES of each test.
BUILDING = {
    "catalog", "curvature", "detection", "models", "networks", "objectives", "serving", "trainers",
    "training",
}  # fmt: skip
CASES = 4

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Of a test with many cases some, evenly spaced, are short; the others are long ones."""
    cases = {}
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in BUILDING and item.get_closest_marker("slow") is None:
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for of_one in cases.values():
        kept = {place * len(of_one) // CASES for place in range(CASES)}
        for place, item in enumerate(of_one):
            if len(of_one) > CASES and place not in kept:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state and leaves no Keras state behind."""
    keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)
    keras.utils.clear_session(free_memory=False)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def require_data():
    """A function that skips the test, with a reason, where $DELVM_DATA_DIR has no such data set.

    The large data sets are not part of the project, so a bare machine cannot have them.
    """

    def require(name):
        folder = os.environ.get(files.VARIABLE)
        if not folder or not (Path(folder) / f"{name}.npz").is_file():
            pytest.skip(f"${files.VARIABLE} ({folder or 'not set'}) has no {name}.npz")

    return require
