"""The benchmark runs, and fails when two methods disagree."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from csv_rows import csv_rows

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "score_matching.py"


@pytest.mark.slow
def test_every_section_writes_its_table_and_plot(tmp_path):
    result = subprocess.run(
        [sys.executable, PROGRAM, "--scale", "smoke", "--rounds", "2", "--output", tmp_path],
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    methods = csv_rows(tmp_path / "methods.csv")
    exact = {r["loss"] for r in methods if r["exact"] == "yes" and r["network"].startswith("dense")}
    assert len(exact) == 1
    assert all(float(r["times the autoencoder"]) > 0 for r in methods)
    assert all(float(r["peak MB"]) > 100 for r in methods)
    variances = [float(r["relative to spacing 1"]) for r in csv_rows(tmp_path / "spacings.csv")]
    assert variances == sorted(variances, reverse=True)
    assert variances[-1] < 1e-6  # the receptive field is exact
    for name in ("methods.png", "growth.png", "spacings.png"):
        assert (tmp_path / name).stat().st_size > 5000


@pytest.mark.slow
def test_methods_that_disagree_stop_the_program(monkeypatch):
    monkeypatch.syspath_prepend(str(PROGRAM.parent))
    for name in ("cases", "steps", "timing", "score_matching"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    cases, steps, program = map(importlib.import_module, ("cases", "steps", "score_matching"))
    case = cases.CASES["smoke"][0]
    model = steps.make_model(case.network(), "exact")
    few = steps.random_inputs(case.shape, 2)
    right = steps.losses(model, few)[0]
    assert program.check_agreement(case)["closed_form"][1] == pytest.approx(right.mean(), rel=1e-4)
    monkeypatch.setattr(program, "losses", lambda model, x, draws=1: right[None] * error(model))
    with pytest.raises(ValueError, match=r"dense 6 → 8: .* gives"):
        program.check_agreement(case)


def error(model):
    return 1.0 if model.objective.trace == "exact" else 1.01
