"""The program for abnormal images by features of patches, run as a user would."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.metrics import f1_score

import delvm_tf as dv
from trainers.experiments.subsets import subset

PROGRAM = Path(__file__).parents[2] / "trainers" / "anomaly_patches.py"
TINY = [
    "--train-size", "600", "--test-size", "400", "--patch-methods", "random", "--patch-filters",
    "16", "--patches", "1000",
]  # fmt: skip


def run(tmp_path, *arguments, **environment):
    return subprocess.run(
        [sys.executable, str(PROGRAM), "--output", str(tmp_path / "out"), *arguments],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.slow
def test_a_short_run_writes_everything_it_promises(tmp_path, require_data):
    require_data("cifar10")
    done = run(tmp_path, *TINY, "--saved-models", str(tmp_path / "saved"))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {r["method"]: r for r in csv.DictReader((tmp_path / "out" / "results.csv").open())}
    assert {
        "all abnormal", "isolation forest", "random filters of patches, neighbours and pixels",
    } <= set(rows)  # fmt: skip
    served = dv.serving.load(tmp_path / "saved" / "cifar10")
    line = rows[served.card.about["detector"]]
    assert line["method"] == "random filters of patches, neighbours and pixels"
    data = subset(dv.datasets.load("cifar10", protocol="paper", seed=0), 600, 400, 0)
    outputs = served.predict(data.x_test)
    found = outputs["is_anomaly"]
    normal = outputs["p_value"][data.y_test == 0]  # by rows that were held out: nearly uniform
    assert 0.3 < normal.mean() < 0.7
    assert f1_score(data.y_test, found) == pytest.approx(float(line["f1"]), abs=0.01)
    trivial = rows.pop("all abnormal")
    assert float(trivial["recall"]) == 1.0
    assert 0.8 < float(trivial["f1"]) < 0.9
    assert max(float(row["auroc"]) for row in rows.values()) > 0.55
    text = (tmp_path / "out" / "results.md").read_text()
    assert "400 scored" in text
    assert all(method in text for method in rows)


@pytest.mark.slow
def test_a_protocol_without_abnormal_training_images_is_refused(tmp_path, require_data, run_here):
    require_data("cifar10")
    output = ["--output", str(tmp_path / "out")]
    done = run_here(PROGRAM, *output, *TINY, "--protocol", "one-vs-rest")
    assert done.returncode == 1
    assert "error:" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
