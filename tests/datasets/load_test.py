import importlib
import subprocess
import sys

import numpy as np
import pytest

from delvm_tf.datasets import ContentsError, Dataset, digits, load, names, protocols, register
from delvm_tf.datasets.streams import TableOptions, protocols_of


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


@pytest.fixture
def registry(monkeypatch):
    """A registry that is as before after the test."""
    monkeypatch.setattr(importlib.import_module("delvm_tf.datasets.load"), "_REGISTERED", {})


def test_a_data_set_of_ones_own_is_taken_by_name(registry):
    @register("bearings")
    def bearings(seed, data_dir, *, speed=1500):
        x = np.full((4, 2), speed)
        return Dataset("bearings", "standard", seed, x, np.zeros(4, int), x, np.arange(4) % 2)

    assert names()[-1] == "bearings"
    assert protocols("bearings") == ["standard"]
    assert load("bearings", speed=900).x_train[0, 0] == 900
    with pytest.raises(ValueError, match="unknown options sped of bearings"):
        load("bearings", sped=1)
    register("several", {"a": bearings, "b": bearings})
    assert protocols("several") == ["a", "b"]
    for name in ("bearings", "digits"):
        with pytest.raises(ValueError, match=f"there is a data set '{name}' already"):
            register(name, bearings)
    for name in ("a/b", "", "-x"):
        with pytest.raises(ValueError, match="a name has letters"):
            register(name, bearings)
    with pytest.raises(TypeError, match=r"must take \(seed, data_dir\)"):
        register("wrong", lambda: None)
    register("none", lambda seed, data_dir: None)
    with pytest.raises(TypeError, match="must give a Dataset, got NoneType"):
        load("none")


def test_files_with_labels_are_a_data_set(registry, tmp_path):
    x = np.random.default_rng(0).normal(size=(100, 2))
    y = np.arange(100) % 5 // 3  # two fifths are abnormal
    table = np.column_stack([x, y])
    np.savetxt(tmp_path / "a.csv", table, delimiter=";", header="u;v;bad", comments="")
    options = TableOptions(label="bad", separator=";")
    register("mine", protocols_of(tmp_path / "a.csv", "mine", lambda: options))
    data = load("mine", seed=3)
    assert data.is_anomaly
    assert (len(data.x_train), len(data.x_test), data.y_test.sum()) == (42, 30, 12)
    assert data.y_calibration.sum() == 28
    rows = np.concatenate([data.x_calibration, data.x_test])
    np.testing.assert_array_equal(np.sort(rows[:, 0]), np.sort(x[:, 0]))
    assert len(load("mine", normal_class=1).x_train) == 28
    assert load("mine", "one-vs-rest").x_calibration is None
    assert load("mine", "classification").class_names == ("0", "1")
    with pytest.raises(ContentsError, match=r"normal rows, of label 7, .* the labels are 0, 1"):
        load("mine", normal_class=7)
    register("unlabelled", protocols_of(tmp_path / "a.csv", "unlabelled"))
    with pytest.raises(ContentsError, match="pass separator=';'"):
        load("unlabelled")
    (tmp_path / "a.csv").write_text("u;bad\n" + "1;0\n" * 9 + "x;1\n")
    with pytest.raises(ContentsError, match=r"a.csv: row 9 \(line 11\), column 0 .* holds 'x'"):
        load("mine")
    (tmp_path / "a.csv").write_text("u;bad\n" + "1;0\n" * 9 + "5;1\n")
    with pytest.raises(ContentsError, match="one of them has 1 of 10"):
        load("mine")
