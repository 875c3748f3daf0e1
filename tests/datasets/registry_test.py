import subprocess
import sys

import pytest

from delvm_tf.datasets import names, protocols
from delvm_tf.datasets.registry import protocol_table


def test_names_and_protocols():
    assert names() == ["cifar10", "digits", "ecg5000", "fashion_mnist"]
    assert protocols("ecg5000") == ["standard", "paper", "ucr"]
    assert protocols("digits") == ["classification", "one-vs-rest"]
    assert protocols("fashion_mnist") == ["classification", "one-vs-rest"]
    assert protocols("cifar10") == ["classification", "one-vs-rest", "paper"]


def test_unknown_name():
    with pytest.raises(
        ValueError,
        match="unknown data set 'mnist'; expected one of cifar10, digits, ecg5000, fashion_mnist",
    ):
        protocol_table("mnist")


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
