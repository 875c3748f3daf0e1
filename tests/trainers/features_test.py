"""The program for feature learning, run as a user would."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from rich.console import Console

import delvm_tf as dv
from trainers.experiments.features import load_data

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "trainers" / "features.py"
TINY = ["--dataset", "digits", "--epochs", "1", "--filters", "4", "--l2", "0.03"]


def command(tmp_path, *arguments):
    return [sys.executable, str(PROGRAM), "--output", str(tmp_path / "out"), *arguments]


def run(tmp_path, *arguments):
    return subprocess.run(
        command(tmp_path, *arguments), capture_output=True, text=True, cwd=tmp_path, check=False
    )


@pytest.fixture
def features(monkeypatch):
    from trainers import features

    return features


@pytest.mark.slow
def test_a_short_run_writes_everything_it_promises(tmp_path):
    done = run(
        tmp_path, *TINY[:-1], "0.01", "0.1", "--train-size", "600", "--seeds", "0,3"
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in ("SM-DELVM", "random filters", "raw pixels", "PCA (256)", "±", "seed by seed"):
        assert shown in done.stdout
    out = tmp_path / "out"
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert [row["seed"] for row in rows] == ["0"] * 4 + ["3"] * 4
    by_method = {row["method"]: row for row in rows}
    assert (
        by_method["SM-DELVM"]["features"]
        == str(4 * 4 * 4)
        == by_method["random filters"]["features"]
    )
    assert by_method["raw pixels"]["features"] == "64"
    assert all(float(row["accuracy"]) > 0.8 for row in rows)
    assert len({row["accuracy"] for row in rows}) > 2
    assert {row["l2"] for row in rows} <= {"0.01", "0.1"}
    written = (out / "results.md").read_text()
    assert "600 training images, 360 scored" in written
    assert "--train-size 600" in written
    assert "SM-DELVM minus random filters" in written
    for picture in ("filters", "filters-random"):
        assert (out / f"{picture}.png").stat().st_size > 500
    assert (out / "filters.png").read_bytes() != (out / "filters-random.png").read_bytes()
    assert list((out / "tensorboard").rglob("events*"))
    assert not list(tmp_path.rglob("*.partial*"))


@pytest.mark.slow
def test_an_interrupted_run_leaves_nothing_half_written_and_goes_on(tmp_path):
    arguments = [*TINY, "--train-size", "300", "--seeds", "0-1"]
    process = subprocess.Popen(
        command(tmp_path, *arguments), stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    first = tmp_path / "out.partial" / "seed-0.json"
    deadline = time.monotonic() + 240
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on" in printed
    assert not (tmp_path / "out").exists()
    kept = json.loads(first.read_text())
    assert kept[0]["method"] == "SM-DELVM"

    done = run(tmp_path, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed 0: done before the interruption" in done.stdout
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").open()))
    assert float(rows[0]["accuracy"]) == kept[0]["accuracy"]
    assert float(rows[0]["probe seconds"]) == kept[0]["probe seconds"]
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train-size", "5"], "the training part must lie between 20 and 1427, or be 0"),
        (["--pool", "0"], "--pool must be a positive integer"),
        (["--feature-levels", "0.5"], "--feature-levels are those of a noise-conditional model"),
        (["--l2", "-1"], "l2 must be one or more numbers, none negative"),
        (["--scratch", "nowhere"], "--scratch must be a folder"),
        (["--model", "dbn", "--filters", "4"], "'dbn' has no setting filters"),
        (["--model", "autoencoder", "--objective", "cd"], "not for this model"),
        (["--activation", "nonsense"], "nonsense"),
        (["--learning-rate", "1e9"], "training diverged"),
        (["--output", "/proc/out"], "cannot write to"),
    ],
)
def test_mistakes_end_in_one_clear_line(
    tmp_path, features, monkeypatch, capsys, arguments, message
):
    monkeypatch.setattr(sys, "argv", [*command(tmp_path, *TINY)[1:], *arguments])
    monkeypatch.chdir(tmp_path)
    assert features.main() == 1
    printed = capsys.readouterr().out
    assert message in printed
    assert [line for line in printed.splitlines() if "error:" in line]
    assert not (tmp_path / "out").exists()


def test_an_unknown_data_set_is_refused(features, capsys):
    with pytest.raises(SystemExit):
        features.parse_arguments(["--dataset", "ecg5000"])
    assert "invalid choice: 'ecg5000'" in capsys.readouterr().err


def test_a_subset_is_drawn_by_class_and_seed_and_the_test_set_stays_whole(features):
    def load(*arguments, seed):
        args = features.parse_arguments(["--dataset", "digits", *arguments])
        return load_data(args.dataset, args.train_size, args.validation, seed)

    whole = load(seed=1)
    some, again = (load("--train-size", "500", seed=1) for _ in range(2))
    np.testing.assert_array_equal(some.x_train, again.x_train)
    np.testing.assert_array_equal(some.x_test, whole.x_test)
    counts, all_counts = np.bincount(some.y_train), np.bincount(whole.y_train)
    np.testing.assert_allclose(counts / 500, all_counts / len(whole.y_train), atol=0.003)
    held_out = load("--validation", seed=1)
    assert len(held_out.x_train) + len(held_out.x_test) == len(whole.x_train)


SHAPES = [("delvm", ()), ("delvm", ("--units", "6")), ("delvm", ("--filters", "3", "--units", "6"))]
OTHERS = ["dem", "dsebm", "cebm", "cebm-mixture", "gaussian-rbm", "conv-rbm", "dbn", "dbm",
          "autoencoder", "conv-autoencoder"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("model", "layers"), [*SHAPES, *((m, ()) for m in OTHERS)])
def test_every_model_gives_features_and_filters_to_look_at(tmp_path, features, model, layers):
    args = features.parse_arguments(
        ["--dataset", "digits", "--model", model, "--train-size", "60", "--epochs", "1", *layers]
    )
    data = load_data(args.dataset, args.train_size, args.validation, 0)
    methods = features.feature_functions(args, data, 0, tmp_path, Console(quiet=True))
    trained, random, pixels, components = (f(data.x_test[:9]) for f, _ in methods.values())
    assert trained.shape == random.shape
    assert np.isfinite(trained).all()
    assert np.asarray(trained).std() > 0
    assert not np.allclose(trained, random, atol=1e-6)
    assert pixels.shape == (9, 64)
    assert components.shape[0] == 9
    # Nine pixels or more never vary, so that there are no more directions than this.
    assert 40 < components.shape[1] <= np.count_nonzero(np.ptp(data.x_train, axis=0))
    assert (tmp_path / "filters.png").exists()


@pytest.mark.parametrize(
    "objective",
    [
        "denoising", "langevin-cd",
        *(pytest.param(o, marks=pytest.mark.slow) for o in ("sliced", "cd", "persistent-cd")),
    ],
)  # fmt: skip
def test_other_objectives_train_too(tmp_path, features, objective):
    steps = ["--k", "2"] if objective == "langevin-cd" else []
    args = features.parse_arguments([*TINY, "--objective", objective, "--train-size", "60", *steps])
    data = load_data(args.dataset, args.train_size, args.validation, 0)
    title, *_ = features.feature_functions(args, data, 0, tmp_path, Console(quiet=True))
    assert title.endswith("-DELVM")
    assert not title.startswith("SM-")


def test_features_at_noise_levels_stand_side_by_side(tmp_path, features):
    args = features.parse_arguments(
        [*TINY, "--model", "nc-delvm", "--filters", "3", "4", "--strides", "2", "--train-size",
         "60", "--feature-levels", "0.1", "1"]
    )  # fmt: skip
    data = load_data(args.dataset, args.train_size, args.validation, 0)
    methods = features.feature_functions(args, data, 0, tmp_path, Console(quiet=True))
    trained, random = (np.asarray(f(data.x_test[:9])) for f, _ in list(methods.values())[:2])
    assert trained.shape == random.shape
    low, high = np.split(trained, 2, axis=1)
    assert not np.allclose(low, high, atol=1e-4)


def test_a_saved_model_stands_beside_itself_untrained(tmp_path, features, monkeypatch):
    data = load_data("digits", 60, False, 0)
    network = dv.networks.LevelUNet((3, 4), seed=0)
    model = dv.DensityDELVM(network, dv.DualScoreMatching(seed=0))
    model.adapt(data.x_train)
    model.compile("adam")
    model.fit(data.x_train, epochs=1, verbose=0)
    model.save(tmp_path / "mine.keras")
    monkeypatch.chdir(tmp_path)
    arguments = ["--dataset", "digits", "--train-size", "60", "--trained", "mine.keras"]
    args = features.parse_arguments([*arguments, "--feature-levels", "0.1", "1"])
    methods = features.feature_functions(args, data, 0, tmp_path, Console(quiet=True))
    trained, random = (np.asarray(f(data.x_test[:9])) for f, _ in methods.values())
    expected = [model.features(data.x_test[:9], sigma=sigma) for sigma in (0.1, 1.0)]
    np.testing.assert_allclose(trained, np.concatenate(expected, axis=1), rtol=1e-5)
    assert random.shape == trained.shape
    assert not np.allclose(random, trained, atol=1e-3)
    features.run(
        features.parse_arguments([*arguments, "--readout", "ridge", "--l2", "0.1"]),
        Console(quiet=True),
    )
    page = (tmp_path / "runs/features/digits-mine/results.md").read_text()
    assert "mine minus random filters" in page


@pytest.mark.parametrize(
    ("make", "levels", "message"),
    [
        (lambda path: None, [], "there is no file"),
        (lambda path: keras.Sequential([keras.Input((2,))]).save(path), [], "no model of delvm_tf"),
        (
            lambda path: saved(dv.DELVM(dv.networks.ffnn((2,)), normalization="none"), path),
            ["--feature-levels", "1"], "not of mine",
        ),
    ],
)  # fmt: skip
def test_a_file_without_a_model_that_fits_is_refused(tmp_path, features, make, levels, message):
    path = tmp_path / "mine.keras"
    make(path)
    args = features.parse_arguments(
        ["--dataset", "digits", "--trained", str(path), "--output", str(tmp_path / "out"), *levels]
    )
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        features.run(args, Console(quiet=True))
    assert not (tmp_path / "out.partial").exists()


def saved(model, path):
    model.build((None, 64))
    model.save(path)


def test_the_gain_is_taken_seed_by_seed(features):
    rows = [
        {"method": method, "accuracy": accuracy}
        for pair in [(0.9, 0.8), (0.7, 0.64)]
        for method, accuracy in zip(("SM-DELVM", "random filters"), pair, strict=True)
    ]
    assert features.gain(rows, "SM-DELVM").endswith("+0.0800 ± 0.0283")
    assert features.gain(rows[:2], "SM-DELVM").endswith("+0.1000")
