import numpy as np
import pytest

from delvm_tf import datasets
from delvm_tf.datasets import digits, load
from delvm_tf.datasets.load import check_seed


def test_default_protocol_is_the_first():
    for name in ("ecg5000", "digits"):
        assert load(name).protocol == datasets.protocols(name)[0]


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


def test_unknown_name():
    with pytest.raises(ValueError, match="unknown data set 'ecg'; expected one of cifar10,"):
        load("ecg")


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
    assert check_seed(seed) == seed
    assert type(check_seed(seed)) is int


@pytest.mark.parametrize("seed", [0.0, "0", None, True])
def test_seeds_of_the_wrong_type(seed):
    with pytest.raises(TypeError, match="seed must be a non-negative integer, got"):
        load("digits", seed=seed)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match=f"seed must lie between 0 and 4294967295, got {seed}"):
        load("digits", seed=seed)
