"""Runs `training.py` in processes of its own, and compares what it writes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from training import CASES

from delvm_tf.distribution.workers import run_workers

__all__ = ["CASES", "assert_same", "train_by_workers", "train_on_devices"]
PROGRAM = Path(__file__).with_name("training.py")


def read(folder, name, cases):
    found = {}
    for case in cases:
        with np.load(folder / f"{name}-{case}.npz") as file:
            found[case] = dict(file)
    return found


def train_on_devices(name, cases, folder):
    command = [sys.executable, str(PROGRAM), str(folder), name, *cases]
    environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return read(folder, name, cases)


def train_by_workers(number, cases, folder):
    lines = []
    command = [sys.executable, str(PROGRAM), str(folder), "multi_worker", *cases]
    try:
        run_workers(command, number, lines.append)
    except Exception as error:
        error.add_note("\n".join(lines[-40:]))
        raise
    return read(folder, "multi_worker", cases)


def assert_same(alone, shared, case):
    assert alone.keys() == shared.keys()
    moved = np.ptp(alone["losses"])
    assert moved > 1e-3, f"{case}: training changed nothing"
    for name, value in alone.items():
        np.testing.assert_allclose(
            shared[name], value, rtol=1e-4, atol=2e-5, err_msg=f"{case}: {name}"
        )
