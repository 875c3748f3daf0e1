"""Training by several processes follows training by one, and goes on after one was killed."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from processes import CASES, assert_same, train_by_workers, train_on_devices

from delvm_tf.distribution.workers import WorkerFailed, run_workers

RESUMING = Path(__file__).with_name("resuming.py")


@pytest.mark.parametrize(
    ("workers", "cases"),
    [
        (2, ["buffer"]),
        pytest.param(2, list(CASES), marks=pytest.mark.slow),
        pytest.param(3, list(CASES), marks=pytest.mark.slow),
    ],
)
def test_workers_give_what_one_process_gives(workers, cases, tmp_path):
    """Losses, errors, weights, chains, evaluate, predict, adapt, scores, features."""
    alone = train_on_devices("one", cases, tmp_path)
    shared = train_by_workers(workers, cases, tmp_path)
    for case in cases:
        assert_same(alone[case], shared[case], case)


def run(folder, backup, killed):
    folder.mkdir(exist_ok=True)
    lines = []
    command = [sys.executable, str(RESUMING), str(folder), str(backup), killed]
    try:
        run_workers(command, 2, lines.append, grace=60)
    except WorkerFailed as error:
        return str(error), lines
    return None, lines


def read(folder):
    with np.load(folder / "state.npz") as found:
        return dict(found)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_run_that_lost_a_worker_goes_on_to_the_same_end(killed, tmp_path):
    """Weights, optimizer, chains and random numbers, to the bit, with shuffled rows."""
    assert run(tmp_path / "whole", tmp_path / "backup-whole", "none")[0] is None

    error, lines = run(tmp_path / "resumed", tmp_path / "backup", str(killed))
    assert error is not None
    assert f"worker {killed} of 2 was killed by signal 9" in error
    if killed:
        assert any("worker 0 of 2 lost the others" in line for line in lines)
    assert not (tmp_path / "resumed" / "model.keras").exists()

    error, lines = run(tmp_path / "resumed", tmp_path / "backup", "none")
    assert error is None, lines
    whole, resumed = read(tmp_path / "whole"), read(tmp_path / "resumed")
    assert (int(whole.pop("epochs")), int(resumed.pop("epochs"))) == (4, 2)
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, resumed[name], err_msg=name)
    assert keras.saving.load_model(tmp_path / "resumed" / "model.keras").built
