"""Fixtures shared by all tests."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import pytest
import tensorflow as tf

from delvm_tf import datasets

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


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


@pytest.fixture
def load_or_skip():
    """A function that loads a data set from $DELVM_DATA_DIR, or skips the test with a reason."""

    def load(name):
        folder = os.environ.get("DELVM_DATA_DIR", "")
        if not (Path(folder) / f"{name}.npz").exists():
            pytest.skip(f"{name}.npz is not in $DELVM_DATA_DIR ({folder or 'unset'})")
        return datasets.load(name)

    return load
