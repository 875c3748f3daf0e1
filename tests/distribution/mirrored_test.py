"""Training on several devices of a machine follows training on one."""

import subprocess
import sys
from pathlib import Path

import pytest
from processes import CASES, assert_same, train_on_devices

FAST = ["hutchinson", "denoising", "autoencoder"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return train_on_devices("one", FAST, tmp_path_factory.mktemp("one"))


@pytest.mark.slow
def test_two_devices_give_what_one_gives(alone, tmp_path):
    """Also where the last batch has rows for one of them only; random numbers too."""
    shared = train_on_devices("mirrored-2", FAST, tmp_path)
    for case in FAST:
        assert_same(alone[case], shared[case], case)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 4])
def test_every_objective_and_trace_on_several_devices(devices, tmp_path):
    alone = train_on_devices("one", list(CASES), tmp_path)
    shared = train_on_devices(f"mirrored-{devices}", list(CASES), tmp_path)
    for case in CASES:
        assert_same(alone[case], shared[case], case)


@pytest.mark.slow
def test_a_step_that_one_replica_finds_not_finite_changes_nothing_in_any():
    """Weights, moments, averages, statistics and generators of each replica; also the loss scale
    sees an overflow that is not in the first replica."""
    program = Path(__file__).with_name("nonfinite.py")
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [line.split()[2:] for line in done.stdout.splitlines()] == [["True"] * 4] * 2
