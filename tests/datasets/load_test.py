import subprocess
import sys

import numpy as np
import pytest

from delvm_tf.datasets import digits, load, names, protocols


def test_names_and_protocols():
    assert names() == ["cifar10", "digits", "ecg5000", "fashion_mnist"]
    assert protocols("ecg5000") == ["standard", "paper", "ucr"]
    assert protocols("digits") == ["classification", "one-vs-rest"]
    assert protocols("fashion_mnist") == ["classification", "one-vs-rest"]
    assert protocols("cifar10") == ["classification", "one-vs-rest", "paper"]


def test_default_protocol_is_the_first():
    for name in ("ecg5000", "digits"):
        assert load(name).protocol == protocols(name)[0]


def test_seed_and_options_reach_the_protocol(monkeypatch):
    received = []

    def protocol(seed, data_dir, *, colour="red"):
        received.append((seed, data_dir, colour))

    monkeypatch.setitem(digits.PROTOCOLS, "mine", protocol)
    load("digits", "mine", seed=7, data_dir="somewhere", colour="blue")
    load("digits", "mine")
    assert received == [(7, "somewhere", "blue"), (0, None, "red")]


def test_unknown_protocol():
    with pytest.raises(
        ValueError,
        match="unknown protocol 'offical' of ecg5000; expected one of standard, paper, ucr",
    ):
        load("ecg5000", "offical")


@pytest.mark.parametrize("ask", [load, protocols])
def test_unknown_name(ask):
    with pytest.raises(ValueError, match="unknown data set 'ecg'; expected one of cifar10, digits"):
        ask("ecg")


def test_unknown_options():
    with pytest.raises(
        ValueError,
        match="unknown options normal_klass of digits under protocol 'one-vs-rest'; expected "
        "some of normal_class",
    ):
        load("digits", "one-vs-rest", normal_klass=1)
    with pytest.raises(
        ValueError,
        match="unknown options a, b of ecg5000 under protocol 'standard'; expected none",
    ):
        load("ecg5000", a=1, b=2)


@pytest.mark.parametrize("seed", [0, 2**32 - 1, np.int64(3), np.uint8(3)])
def test_seeds(seed):
    data = load("digits", seed=seed)
    assert data.seed == seed
    assert type(data.seed) is int


@pytest.mark.parametrize("seed", [0.0, "0", None, True])
def test_seeds_of_the_wrong_type(seed):
    with pytest.raises(TypeError, match="seed must be a non-negative integer, got"):
        load("digits", seed=seed)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match=f"seed must lie between 0 and 4294967295, got {seed}"):
        load("digits", seed=seed)


def test_importing_the_package_does_not_import_what_only_loading_needs():
    # a parent that is a bare folder stands in for delvm_tf, which imports TensorFlow
    code = """
import importlib.util, pathlib, sys, types
parent = types.ModuleType("delvm_tf")
parent.__path__ = list(importlib.util.find_spec("delvm_tf").submodule_search_locations)
sys.modules["delvm_tf"] = parent
import delvm_tf.datasets
for name in delvm_tf.datasets.names():
    delvm_tf.datasets.protocols(name)
print(*sorted({"sklearn", "tensorflow", "tensorflow_datasets", "keras"} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert result.stdout.split() == []
