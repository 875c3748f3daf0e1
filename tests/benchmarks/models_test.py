"""The benchmark of models and objectives runs and covers all that have the layers of a case."""

import csv
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from delvm_tf.catalog import MODELS

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "models.py"


@pytest.mark.slow
def test_every_model_and_objective_is_timed(tmp_path):
    result = subprocess.run(
        [sys.executable, PROGRAM, "--scale", "smoke", "--rounds", "1", "--output", tmp_path],
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    with (tmp_path / "models.csv").open() as file:
        rows = list(csv.DictReader(file))
    timed = {(row["model"], row["objective"]) for row in rows}
    for name in ("delvm", "dem", "dsebm", "cebm", "gaussian-rbm", "dbn", "dbm", "autoencoder"):
        assert {(MODELS[name].title, o) for o in MODELS[name].objectives} <= timed
    assert all(float(row["times the autoencoder"]) > 0 for row in rows)


def test_a_case_has_the_models_that_can_have_its_layers(monkeypatch):
    monkeypatch.syspath_prepend(str(PROGRAM.parent))
    for name in ("cases", "steps", "timing", "models"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    program = importlib.import_module("models")
    dense, one, two = program.CASES["cpu"]
    names = [{name for name, _ in program.pairs(case)} for case in (dense, one, two)]
    assert {"dbn", "dbm", "autoencoder"} <= names[0]
    assert "gaussian-rbm" not in names[0]  # two layers
    assert {"conv-rbm", "conv-autoencoder"} <= names[1]
    assert "conv-rbm" not in names[2]
    assert {"delvm", "dem", "dsebm", "cebm"} <= names[0] & names[1]
    assert names[2] == {"delvm", "dem", "conv-autoencoder"}  # large
