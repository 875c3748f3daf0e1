"""The program for filters of patches, run as a user would."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from trainers.experiments import patches as experiments
from trainers.experiments.patches import Learned

PROGRAM = Path(__file__).parents[2] / "trainers" / "patches.py"
TINY = [
    "--dataset", "digits", "--train-size", "300", "--patches", "400", "--patch-size", "4",
    "--filters", "6", "--epochs", "1", "--l2", "0.03", "--probe-epochs", "1",
]  # fmt: skip


@pytest.fixture
def patches(monkeypatch):
    from trainers import patches

    return patches


def run(patches, monkeypatch, tmp_path, *arguments):
    command = [str(PROGRAM), *TINY, "--output", str(tmp_path / "out"), *arguments]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.chdir(tmp_path)
    return patches.main()


def read(tmp_path):
    return list(csv.DictReader((tmp_path / "out" / "results.csv").open()))


@pytest.mark.slow
def test_a_short_run_writes_everything_it_promises(patches, monkeypatch, tmp_path, capsys):
    assert run(patches, monkeypatch, tmp_path, "--seeds", "0,3") == 0
    rows = read(tmp_path)
    assert [row["seed"] for row in rows] == ["0"] * 3 + ["3"] * 3
    titles = [row["method"].split(",")[0] for row in rows]
    assert titles == ["SM-DELVM", "k-means", "random filters"] * 2
    assert all(float(row["accuracy"]) > 0.6 for row in rows)
    assert len({row["accuracy"] for row in rows}) > 3
    assert {int(row["features"]) for row in rows} <= {4 * 6, 4 * 12}
    out = tmp_path / "out"
    written = (out / "results.md").read_text()
    assert "6 filters of 4×4, 400 patches, 300 training images, 360 scored" in written
    assert "--patch-size 4" in written
    assert "±" in written
    pictures = [out / f"filters-{name}.png" for name in ("sm-delvm", "kmeans", "random")]
    assert len({picture.read_bytes() for picture in pictures}) == 3
    assert not list(tmp_path.rglob("*.partial*"))
    assert "accuracy" in capsys.readouterr().out


def test_it_tries_every_encoder_and_threshold_that_is_asked_for(patches, monkeypatch, tmp_path):
    assert run(
        patches, monkeypatch, tmp_path, "--method", "sm-delvm", "--validation",
        "--encoder", "hidden", "rectifier", "--threshold", "0", "0.4",
    ) == 0  # fmt: skip
    assert [row["method"] for row in read(tmp_path)] == [
        "SM-DELVM, hidden", "SM-DELVM, rectifier", "SM-DELVM, rectifier 0.4",
    ]  # fmt: skip
    assert "carved from the training data" in (tmp_path / "out" / "results.md").read_text()


def test_an_interrupted_run_goes_on_after_the_last_method(patches, monkeypatch, tmp_path, capsys):
    learn = experiments.learn

    def interrupted(name, *rest):
        if name == "random":
            raise KeyboardInterrupt
        return learn(name, *rest)

    methods = ("--method", "random-patches", "random")
    monkeypatch.setattr(experiments, "learn", interrupted)
    assert run(patches, monkeypatch, tmp_path, *methods) == 130
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(experiments, "learn", learn)
    assert run(patches, monkeypatch, tmp_path, *methods) == 0
    assert "random-patches, seed 0: done before the interruption" in capsys.readouterr().out
    assert len(read(tmp_path)) == 2


def test_layers_are_grown_one_upon_another(patches, monkeypatch, tmp_path):
    assert run(
        patches, monkeypatch, tmp_path, "--method", "random", "--upper-filters", "5", "3",
        "--upper-size", "1", "--upper-patches", "200", "--patch-size", "3", "--grid", "1",
    ) == 0  # fmt: skip
    (row,) = read(tmp_path)
    assert int(row["features"]) == 2 * (6 + 5 + 3)
    assert float(row["accuracy"]) > 0.6
    assert "6 filters of 3×3, 5 above, 3 above" in (tmp_path / "out" / "results.md").read_text()


@pytest.mark.parametrize("readout", ["svm", "logistic", "low-rank"])
def test_classifiers_are_exchangeable(patches, monkeypatch, tmp_path, readout):
    assert run(
        patches, monkeypatch, tmp_path, "--method", "random", "--readout", readout,
        "--probe-epochs", "60", "--windows", "3", "1",
    ) == 0  # fmt: skip
    (row,) = read(tmp_path)
    assert float(row["accuracy"]) > 0.6
    assert int(row["features"]) == 9 * 12


def test_arguments_change_the_recipe_of_every_model(patches):
    args = patches.parse_arguments(
        ["--method", "sm-dem", "dsm-delvm", "kmeans", "--scale", "4", "--epochs", "3",
         "--sigma", "0.2"]
    )  # fmt: skip
    sm, dsm = args.recipes["sm-dem"], args.recipes["dsm-delvm"]
    assert sm.model_settings["scale"] == dsm.model_settings["scale"] == 4
    assert sm.epochs == dsm.epochs == 3
    assert dsm.objective_settings["sigma"] == 0.2
    assert sm.model_settings["units"] == [400]
    assert args.recipes["kmeans"].epochs == 10


@pytest.mark.slow
def test_all_methods_see_the_same_patches_of_the_training_images(patches, monkeypatch, tmp_path):
    seen = []

    def learn(name, recipe, whitened, filters, seed):
        seen.append(whitened)
        return Learned(whitened[:filters].T)

    monkeypatch.setattr(experiments, "learn", learn)
    assert run(patches, monkeypatch, tmp_path) == 0
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])
    assert seen[0].shape == (400, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train-size", "5"], "the training part must lie between"),
        (["--filters", "0"], "--filters must be a positive integer"),
        (["--patches", "5"], "--patches must be at least as many as --filters, 6, got 5"),
        (["--patch-size", "9"], "patch size must lie between 1 and the sides"),
        (["--grid", "0"], "--grid must be a positive integer"),
        (["--grid", "6"], "a grid of 6 × 6 parts"),
        (["--windows", "6", "1"], "windows of 6 × 6 places do not fit"),
        (["--upper-filters", "0"], "filters of upper layers must be positive"),
        (["--upper-filters", "3", "--readout", "low-rank"], "the codes of one layer"),
        (["--upper-filters", "3", "--upper-size", "5"], "layer 2 has patches of 5 × 5"),
        (["--readout", "low-rank", "--l2", "0.1", "0.2"], "a low-rank read-out takes one l2"),
        (["--l2", "-1"], "l2 must be one or more positive numbers"),
        (["--encoder", "hidden"], "--encoder hidden needs a model, and kmeans is not one"),
        (["--scratch", "nowhere"], "--scratch must be a folder"),
        (["--method", "sm-delvm", "--activation", "nonsense"], "nonsense"),
        (["--method", "sm-delvm", "--learning-rate", "1e9"], "training diverged"),
    ],
)
def test_mistakes_end_in_one_clear_line(patches, monkeypatch, tmp_path, capsys, arguments, message):
    assert run(patches, monkeypatch, tmp_path, *arguments) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert message in printed
    assert "error:" in printed
    assert not (tmp_path / "out").exists()


def test_an_unknown_method_is_refused(patches):
    with pytest.raises(ValueError, match=r"unknown method 'nonsense'.*kmeans"):
        patches.parse_arguments(["--method", "nonsense"])
    with pytest.raises(ValueError, match="none of the recipes sm-delvm has the setting noise"):
        patches.parse_arguments(["--method", "sm-delvm", "kmeans", "--noise", "1"])
