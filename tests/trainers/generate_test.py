"""The program that draws images and judges them: its command line, and a run of it."""

import csv
import sys

import numpy as np
import pytest

from trainers.experiments.generation.scales import SCALES


@pytest.fixture
def generate(monkeypatch):
    from trainers import generate

    smallest = SCALES["smoke"]._replace(images=40, classifier_steps=40, told_steps=5)
    monkeypatch.setitem(SCALES, "smoke", smallest)
    return generate


def test_an_interrupted_run_goes_on_and_writes_everything_it_promises(
    generate, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    arguments = ["--scale", "smoke", "--methods", "parzen", "gaussian", "dsm-delvm"]
    monkeypatch.setattr(sys, "argv", ["generate.py", "--output", str(out), *arguments])
    calls = []

    def interrupted(bench, name, learn):
        calls.append(name)
        done = kept(bench, name, learn)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return done

    kept = generate.Bench.drawn
    monkeypatch.setattr(generate.Bench, "drawn", interrupted)
    assert generate.main() == 130
    assert "goes on after the last finished method" in capsys.readouterr().out
    assert not out.exists()
    assert (tmp_path / "out.partial" / "kept" / "gaussian-seed-0" / "drawn.npz").exists()

    assert generate.main() == 0, capsys.readouterr().out
    printed = capsys.readouterr().out
    assert "parzen, seed 0: done before the interruption" in printed
    assert "gaussian, seed 0: done" not in printed
    assert calls == ["parzen", "gaussian", "gaussian", "dsm-delvm"]

    rows = {row["method"]: row for row in csv.DictReader((out / "results.csv").open())}
    real, copies = rows[generate.REAL], rows["Parzen window"]
    assert float(copies["copies_pixels"]) == float(copies["nearer_1_pixels"]) == 1
    assert float(real["copies_pixels"]) < 0.1
    assert real["train_seconds"] == "nan"
    assert float(rows["Gaussian (PCA)"]["frechet"]) > float(real["frechet"])
    assert rows["Gaussian (PCA)"]["remark"].endswith("components")
    text = (out / "results.md").read_text()
    for promised in ("digits: 300 training images, 40 drawn", "| copies |", "texture", "python "):
        assert promised in text
    assert {p.name for p in out.iterdir()} == {
        "config.json", "results.csv", "results.md", "trajectory.gif", "trajectory.png",
        *(f"{kind}-{name}.png" for kind in ("drawn", "nearest")
          for name in ("parzen", "gaussian", "dsm-delvm")),
    }  # fmt: skip


def test_work_that_is_kept_is_taken_up(generate, tmp_path):
    args = generate.parse_arguments(["--scale", "smoke", "--methods", "gaussian"])
    bench = generate.new_bench(args, 0, tmp_path)
    asked = []

    def learn(place):
        asked.append(place)
        return lambda n, seed: np.full((n, 8, 8, 1), 3.4 + seed), "chosen"

    first = bench.drawn("mine", learn)
    again = generate.new_bench(args, 0, tmp_path).drawn("mine", learn)
    assert len(asked) == 1
    assert (first.about, first.train_seconds) == (again.about, again.train_seconds)
    assert first.images.shape == (40, 8, 8, 1)
    np.testing.assert_array_equal(again.images, 3)  # rounded, as digits are


def test_what_diverges_is_a_row_of_the_table(generate, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        '[wild]\nmodel = "delvm"\nobjective = "denoising"\nsteps = 2000\n'
        'model_settings = { units = [4] }\nsampler = { name = "langevin", step_size = 9.0 }\n'
    )
    monkeypatch.setattr(
        sys, "argv",
        ["generate.py", "--output", str(out), "--recipe", str(recipe), "--scale", "smoke"],
    )  # fmt: skip
    monkeypatch.setattr(generate, "BASELINES", {})
    monkeypatch.setattr(generate.Bench, "real_figures", lambda bench: {"frechet": 1.0, **FIGURES})
    assert generate.main() == 0, capsys.readouterr().out
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert [row["remark"] for row in rows] == ["", "chains diverged"]
    assert rows[1]["frechet"] == "nan"
    assert "chains diverged" in (out / "results.md").read_text()
    assert not (out / "drawn-wild.png").exists()


FIGURES = dict.fromkeys(
    ["precision", "recall", "told_by_pixels", "told_by_features", "nearer_5_pixels",
     "copies_pixels"], 0.5,
)  # fmt: skip


def test_the_scale_gives_what_is_not_asked_for(generate):
    args = generate.parse_arguments(["--scale", "cpu", "--train-size", "700"])
    assert args.scale == SCALES["cpu"]._replace(train_size=700)
    assert args.methods == [*generate.BASELINES, *args.recipes]
    assert str(args.output) == "runs/generate/digits-cpu"
    assert len(generate.new_bench(args, 0, args.output).train) == 700
    assert len(generate.new_bench(args, 0, args.output).real) == 360
    everything = generate.parse_arguments([])
    assert len(generate.new_bench(everything, 0, args.output).train) == 1437


def test_test_images_stay_out_of_sight_while_settings_are_chosen(generate, tmp_path):
    args = generate.parse_arguments(["--validation"])
    bench, usual = (
        generate.new_bench(generate.parse_arguments(each), 0, tmp_path)
        for each in (["--validation"], [])
    )
    assert args.validation
    seen = {x.tobytes() for x in [*bench.train, *bench.real]}
    assert not seen & {x.tobytes() for x in usual.data.x_test}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "361"], "--images must be at most 360"),
        (["--train-size", "100"], "--images must be at most 100"),
        (["--images", "3"], "--images must be 8 or more"),
        (["--train-size", "-1"], "--train-size must be 0 or more"),
        (["--methods", "nonsense"], "expected one of"),
    ],
)
def test_mistakes_end_in_one_clear_line(
    generate, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.setattr(sys, "argv", ["generate.py", "--output", str(tmp_path / "o"), *arguments])
    assert generate.main() == 1
    assert message in " ".join(capsys.readouterr().out.split())
    assert not (tmp_path / "o").exists()


def test_steps_of_the_command_line_are_those_of_all_models(generate):
    args = generate.parse_arguments(["--train-steps", "700", "--scale", "smoke"])
    assert {recipe.steps_on(1) for recipe in args.recipes.values()} == {700}
    with pytest.raises(ValueError, match="--train-steps: train_steps must be 1 or more, got 0"):
        generate.parse_arguments(["--train-steps", "0"])
