"""The program for one class against the rest, run as a user would."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "trainers" / "one_vs_rest.py"
TINY = [
    "--dataset", "digits", "--epochs", "1", "--filters", "4", "--kernel-size", "3", "--pool", "4",
    "--patch-methods", "random", "--patch-size", "3", "--patch-filters", "8", "--patches", "500",
]  # fmt: skip


def command(tmp_path, *arguments):
    return [sys.executable, str(PROGRAM), "--output", str(tmp_path / "out"), *arguments]


def run(tmp_path, *arguments):
    return subprocess.run(
        command(tmp_path, *arguments), capture_output=True, text=True, cwd=tmp_path, check=False
    )


@pytest.mark.slow
def test_a_short_run_writes_everything_it_promises(tmp_path):
    done = run(tmp_path, *TINY, "--classes", "0,3", "--seeds", "0-1", "--test-size", "200")
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "out"
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert {(row["class"][0], row["seed"]) for row in rows} == {
        ("0", "0"), ("0", "1"), ("3", "0"), ("3", "1")
    }  # fmt: skip
    methods = {row["method"] for row in rows}
    for method in (
        "isolation forest", "norm of the pixels", "SM-DELVM, energy",
        "SM-DELVM, errors at noise levels", "untrained SM-DELVM features, neighbours",
        "random filters of patches, neighbours and pixels",
    ):  # fmt: skip
        assert method in methods
        assert method in (out / "results.md").read_text()
    figures = [float(r["auroc"]) for r in rows if r["method"] == "distance to mean"]
    assert min(figures) > 0.85
    mean = f"{sum(figures) / 4:.4f} ±"
    assert mean in (out / "results.md").read_text()
    assert "200 scored, seeds [0, 1]" in (out / "results.md").read_text()
    assert (out / "classes.png").stat().st_size > 10_000
    assert not list(tmp_path.rglob("*.partial*"))


@pytest.mark.slow
def test_an_interrupted_run_goes_on_after_the_last_class(tmp_path):
    arguments = [*TINY, "--parts", "baselines", "--classes", "0-9", "--validation"]
    process = subprocess.Popen(
        command(tmp_path, *arguments), stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    first = tmp_path / "out.partial" / "baselines-class-0-seed-0.json"
    deadline = time.monotonic() + 240
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "goes on after the last finished class" in printed
    assert not (tmp_path / "out").exists()
    assert json.loads(first.read_text())[0]["method"] == "norm of the pixels"

    done = run(tmp_path, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "baselines, class 0, seed 0: done before the interruption" in done.stdout
    assert "carved from the training data" in (tmp_path / "out" / "results.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes", "12"], "unknown normal_class 12 of digits"),
        (["--train-size", "1"], "the size of the training part must lie between"),
        (["--scale", "-1"], "scale must be a positive finite number"),
        (["--patch-size", "9"], "patch size must lie between 1 and the sides"),
        (["--patches", "1"], "patches must be 2 or more, got 1"),
        (["--grid", "7"], "the grid must have between 1 and 6 parts"),
    ],
)
def test_mistakes_end_in_one_clear_line_before_any_work(tmp_path, run_here, arguments, message):
    done = run_here(PROGRAM, *command(tmp_path, *TINY, *arguments)[2:])
    assert done.returncode == 1
    assert message in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.rglob("*-class-*.json"))


def test_unknown_methods_of_patches_are_refused(tmp_path, run_here):
    done = run_here(PROGRAM, *command(tmp_path, *TINY, "--patch-methods", "nonsense")[2:])
    assert done.returncode == 1
    assert "unknown method 'nonsense'" in done.stdout
