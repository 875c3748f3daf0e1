"""The program, from the command line to a model that can be served."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf

import delvm_tf as dv

PROGRAM = Path(__file__).parents[2] / "tuning" / "search.py"
SMALL = ["--space", "paper-ecg", "--train-size", "100"]


def search(folder, *arguments, code=0):
    command = [
        sys.executable, str(PROGRAM), *arguments, "--output", str(folder / "search"),
        "--saved-models", str(folder / "saved"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_a_search_ends_with_a_model_that_can_be_served(tmp_path):
    said = search(tmp_path, *SMALL, "--trials", "2")
    assert "tensorflow_model_server" in said
    folder = tmp_path / "search"
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    figures = [float(row["auroc"]) for row in rows]
    assert figures == sorted(figures, reverse=True)
    assert {path.name for path in folder.iterdir()} >= {"trials.md", "trials.png", "tensorboard"}
    best = json.loads((folder / "best" / "specification.json").read_text())
    assert best["validation"]["auroc"] == pytest.approx(figures[0], abs=1e-4)

    x = dv.datasets.load("ecg5000", protocol="paper", seed=0).x_test[:5]
    model = keras.saving.load_model(folder / "best" / "model.keras")
    served = tf.saved_model.load(str(tmp_path / "saved" / "search-paper-ecg" / "1"))
    errors = served.signatures["reconstruction_error"](tf.constant(x, tf.float32))
    tf.debugging.assert_near(
        errors["reconstruction_error"], model.reconstruction_error(x), rtol=1e-4
    )

    other = search(tmp_path, *SMALL, "--trials", "2", "--seed", "1", code=1)
    assert "holds another search" in other


@pytest.mark.slow
def test_the_space_can_be_looked_at(tmp_path):
    said = search(tmp_path, "--space", "paper-fmnist", "--list")
    assert "kernel_size" in said
    assert "objective is cd" in said
    assert not (tmp_path / "search").exists()


@pytest.mark.slow
def test_workers_share_the_trials(tmp_path):
    said = search(tmp_path, *SMALL, "--trials", "4", "--workers", "2")
    assert "[worker0]" in said
    assert "[worker1]" in said
    with (tmp_path / "search" / "trials.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4
    assert "tensorflow_model_server" in said
