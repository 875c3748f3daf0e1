"""The main program, run as a user would."""

import contextlib
import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf
from sklearn.metrics import f1_score

import delvm_tf as dv

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "trainers" / "anomaly.py"


def command(tmp_path, *arguments):
    return [
        sys.executable, str(PROGRAM), "--output", str(tmp_path / "out"),
        "--saved-models", str(tmp_path / "saved"), *arguments,
    ]  # fmt: skip


def run(tmp_path, *arguments):
    return subprocess.run(
        command(tmp_path, *arguments), capture_output=True, text=True, cwd=tmp_path, check=False
    )


def test_a_short_run_writes_everything_it_promises(tmp_path):
    done = run(tmp_path, "--epochs", "2", "--units", "16", "--seeds", "0,3")
    assert done.returncode == 0, done.stderr
    for shown in ("SM-DELVM", "isolation forest", "all abnormal", "tensorboard --logdir", "±"):
        assert shown in done.stdout
    # Lines that name a place of this machine are as long as its path.
    lines = [
        line
        for line in done.stdout.splitlines()
        if str(tmp_path) not in line and "bin/activate" not in line
    ]
    assert max(map(len, lines)) <= 100
    assert done.stdout.count("2/2 epochs") == 2  # one line for each model
    assert "energy_laplacian" not in done.stdout
    assert done.stderr == ""
    out = tmp_path / "out"
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert {row["seed"] for row in rows} == {"0", "3"}
    methods = {row["method"]: row for row in rows}
    assert float(methods["PCA residual (4)"]["auroc"]) > 0.97
    assert float(methods["all abnormal"]["recall"]) == 1.0
    assert float(methods["all abnormal"]["auroc"]) == 0.5
    assert "SM-DELVM" in (out / "results.md").read_text()
    for picture in ("histogram-energy", "histogram-reconstruction_error", "roc", "reconstructions"):
        assert (out / f"{picture}.png").stat().st_size > 10_000
    assert list((out / "tensorboard").rglob("events*"))
    served = dv.serving.load(tmp_path / "saved" / "ecg5000")
    about = served.card.about
    assert about["data"] == "ecg5000"
    # What the recipe makes of the model.
    assert about["detector"] == "SM-DELVM, energy, 3 neighbours, power 3"
    assert about["detector"] in done.stdout
    (line,) = (r for r in rows if r["method"] == about["detector"] and r["seed"] == "0")
    data = dv.datasets.load("ecg5000", protocol="standard", seed=0)
    outputs = served.predict(data.x_test)
    found = outputs["is_anomaly"]
    assert "p_value" not in outputs  # for the models were trained on all normal rows
    assert f1_score(data.y_test, found) == pytest.approx(float(line["f1"]), abs=1e-6)
    assert about["test"]["f1"] == pytest.approx(float(line["f1"]), abs=1e-6)
    served = tf.saved_model.load(str(tmp_path / "saved" / "ecg5000" / "1"))
    assert "serving_default" in served.signatures
    assert not list(tmp_path.rglob("*.partial*"))


@pytest.mark.slow
def test_an_interrupted_run_leaves_nothing_half_written_and_goes_on(tmp_path):
    arguments = ["--epochs", "1", "--units", "16", "--seeds", "0-1"]
    process = subprocess.Popen(
        command(tmp_path, *arguments), stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        # A test run in the background hands down that interruptions are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    first = tmp_path / "out.partial" / "seed-0.json"
    deadline = time.monotonic() + 240
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    printed = ""
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)  # again, should a destructor have swallowed the first
        with contextlib.suppress(subprocess.TimeoutExpired):
            printed, _ = process.communicate(timeout=5)
    assert process.returncode == 130
    assert "the same command goes on" in printed
    assert not (tmp_path / "out").exists()
    assert json.loads(first.read_text())[1]["method"] == "SM-DELVM, energy"
    assert [p.name for p in (tmp_path / "saved" / "ecg5000").iterdir()] == ["1"]

    done = run(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert "seed 0: done before the interruption" in done.stdout
    assert (tmp_path / "out" / "results.csv").exists()
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.slow  # others end in this one, and one is run to its end each time
def test_a_mistake_ends_a_process_in_one_clear_line(tmp_path):
    done = run(tmp_path, "--protocol", "nonsense")
    assert done.returncode == 1
    assert "nonsense" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "digits"], "not one for anomaly detection"),
        (["--dataset", "digits", "--protocol", "one-vs-rest", "--threshold", "best_f1",
          "--units", "4", "--epochs", "1"], "no labelled training data for the threshold"),
        (["--scale", "-1"], "scale must be a positive finite number"),
        (["--learning-rate", "1e9", "--units", "4"], "training diverged"),
    ],
)  # fmt: skip
def test_mistakes_end_in_one_clear_line(tmp_path, run_here, arguments, message):
    done = run_here(PROGRAM, *command(tmp_path, *arguments)[2:])
    assert done.returncode == 1
    assert message in done.stdout
    assert not (tmp_path / "out").exists()


def test_an_unwritable_output_folder(tmp_path, run_here):
    (tmp_path / "saved").write_text("a file in the way")
    done = run_here(PROGRAM, *command(tmp_path, "--epochs", "1", "--units", "4")[2:])
    assert done.returncode == 1
    assert "cannot write" in done.stdout


def test_recipes_are_chosen_by_data_model_and_name():
    from trainers import anomaly

    def chosen(*arguments):
        return anomaly.parse_arguments(list(arguments)).recipe

    paper = chosen("--protocol", "paper", "--recipe", "ecg5000-paper:sm-delvm-printed")
    assert paper.model_settings == {"units": [2048], "normalization": "minmax"}
    assert (paper.learning_rate, paper.batch_size, paper.epochs) == (1e-3, 100, 10)
    assert paper.title == "SM-DELVM (sign as printed)"
    assert chosen().model_settings["scale"] == chosen("--protocol", "ucr").model_settings["scale"]
    assert chosen().title == "SM-DELVM"
    assert chosen("--scale", "3").model_settings["scale"] == 3.0
    assert chosen("--objective", "denoising").detection.ensemble == 5
    assert chosen("--protocol", "paper", "--model", "dem").model_settings == {"units": [256, 128]}
    unknown = chosen("--dataset", "digits", "--protocol", "one-vs-rest")
    assert unknown == dv.catalog.default_recipe()


@pytest.mark.slow
def test_an_ensemble_adds_its_own_rows_and_keeps_those_of_its_first_model(tmp_path):
    arguments = ["--objective", "denoising", "--units", "16", "--epochs", "2", "--power", "2"]
    tables = []
    for members in ("3", "1"):
        folder = tmp_path / members
        done = run(folder_of(folder), *arguments, "--ensemble", members)
        assert done.returncode == 0, done.stdout + done.stderr
        rows = csv.DictReader((folder / "out" / "results.csv").open())
        tables.append({row["method"]: row for row in rows})
    many, one = tables
    energy = "DSM-DELVM, energy"
    assert many[energy]["f1"] == one[energy]["f1"]
    assert many[energy]["auroc"] == one[energy]["auroc"]
    together = many[f"{energy}, ensemble of 3, power 2"]
    assert float(together["train seconds"]) > float(many[energy]["train seconds"])
    assert together["auroc"] != many[energy]["auroc"]
    alone = one[f"{energy}, power 2"]
    assert float(alone["auroc"]) == pytest.approx(float(one[energy]["auroc"]), abs=2e-3)
    assert float(alone["precision"]) > float(one[energy]["precision"])


def folder_of(path):
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ensemble", "0"], "ensemble must be 1 or more, got 0"),
        (["--power", "-1"], "power must be positive and finite, got -1.0"),
        (["--recipe", "nonsense"], "there are no recipes nonsense: neither a file, nor one of"),
        (["--recipe", "density:nonsense"], "got 'nonsense'"),
    ],
)
def test_recipes_that_make_no_sense_are_refused_at_once(tmp_path, run_here, arguments, message):
    done = run_here(PROGRAM, *command(tmp_path, *arguments)[2:])
    assert done.returncode == 1
    assert message in done.stdout
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.slow
def test_another_model_and_objective(tmp_path):
    done = run(
        tmp_path, "--model", "dsebm", "--objective", "cd", "--k", "2", "--units", "16",
        "--epochs", "2", "--layerwise",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CD-DSEBM, layer by layer" in done.stdout


@pytest.mark.parametrize(
    "network",
    [
        ["--units", "32"],
        ["--filters", "4", "--kernel-size", "3"],
    ],
)
@pytest.mark.slow
def test_images_of_digits_are_told_apart_better_than_by_chance(tmp_path, network):
    done = run(
        tmp_path, "--dataset", "digits", "--protocol", "one-vs-rest", "--normal-class", "0",
        "--epochs", "5", *network,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").open()))
    assert float(rows[0]["auroc"]) > 0.9
