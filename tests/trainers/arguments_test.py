"""From the command line and recipes to a recipe."""

import argparse
import importlib

import pytest

from delvm_tf.catalog import MODELS, OBJECTIVES, Recipe, Specification, default_recipe
from delvm_tf.datasets import load
from trainers.arguments import (
    add_dataset_arguments,
    add_recipe_arguments,
    add_setting_arguments,
    chosen_recipe,
    new_parser,
    parse_seeds,
)

TEXT = """
[mine]
model = "delvm"
objective = "score-matching"
model_settings = { units = [64, 32], normalization = "center", scale = 2.0 }
objective_settings = { trace = "basis" }
epochs = 7
learning_rate = 3e-4

[other]
model = "dem"
objective = "cd"
model_settings = { units = [16] }
objective_settings = { k = 3 }
"""


def parser():
    made = argparse.ArgumentParser()
    add_recipe_arguments(made, "the first")
    add_setting_arguments(made, ["detection"])
    return made


@pytest.fixture
def parsed(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(TEXT)

    def parsed(*arguments, name=""):
        return chosen_recipe(parser().parse_args(["--recipe", f"{path}{name}", *arguments]))

    return parsed


def test_without_arguments_the_recipe_stays_as_it_is(parsed):
    settings = {"units": [64, 32], "normalization": "center", "scale": 2.0}
    assert parsed() == Recipe(
        "delvm", "score-matching", settings, {"trace": "basis"}, epochs=7, learning_rate=3e-4
    )


def test_a_recipe_is_chosen_by_its_name_or_its_model_and_objective(parsed):
    assert parsed(name=":other").model == "dem"
    assert parsed("--model", "dem", "--objective", "cd") == parsed(name=":other")
    assert parsed(name=":mine") == parsed()
    with pytest.raises(ValueError, match="has no recipe for --model dem"):
        parsed("--model", "dem")
    with pytest.raises(ValueError, match="expected one of mine, other, got 'third'"):
        parsed(name=":third")


def test_another_model_or_objective_takes_over_what_it_can_of_a_named_recipe(parsed):
    changed = parsed("--objective", "denoising", name=":other")
    assert (changed.model, changed.objective) == ("dem", "denoising")
    assert changed.objective_settings == {}
    assert changed.model_settings == {"units": [16]}


def test_arguments_replace_single_settings(parsed):
    made = parsed(
        "--units", "8", "--epochs", "3", "--trace", "auto", "--clipnorm", "1", "--layerwise",
        "--learning-rate", "1e-3", "1e-4", "--ensemble", "3", "--threshold", "contamination",
        "--kernel-size", "5",
    )  # fmt: skip
    assert made.model_settings == {
        "units": [8], "normalization": "center", "scale": 2.0, "kernel_size": 5
    }  # fmt: skip
    assert made.objective_settings == {"trace": "auto"}
    assert (made.epochs, made.learning_rate, made.clipnorm) == (3, (1e-3, 1e-4), 1.0)
    assert made.layerwise is True
    assert (made.detection.ensemble, made.detection.threshold) == (3, "contamination")


def test_filters_replace_units(parsed):
    assert "units" not in parsed("--filters", "4", "4").model_settings


def test_another_normalisation_has_a_scale_of_its_own(parsed):
    assert "scale" not in parsed("--normalization", "zscore").model_settings
    assert parsed("--normalization", "center").model_settings["scale"] == 2.0
    assert parsed("--normalization", "zscore", "--scale", "3").model_settings["scale"] == 3.0


def test_a_setting_that_the_model_does_not_have_is_refused(parsed):
    with pytest.raises(ValueError, match=r"the command line: model_settings\.latents: the"):
        parsed("--latents", "3")


def test_unknown_data_have_the_librarys_default_and_known_ones_their_own():
    nothing = parser().parse_args([])
    assert chosen_recipe(nothing, "unheard-of", "of") == default_recipe()
    assert chosen_recipe(nothing, "ecg5000-standard", "ecg5000").detection.power == 3.0
    dem = parser().parse_args(["--model", "dem", "--units", "4"])
    assert chosen_recipe(dem, "unheard-of").model_settings["units"] == [4]


def test_every_setting_of_the_catalog_has_an_option_with_help():
    text = " ".join(parser().format_help().split())
    kinds = [*MODELS.values(), *OBJECTIVES.values()]
    for setting in {name for kind in kinds for name in kind.settings}:
        assert f"--{setting.replace('_', '-')} " in text
    for said in ("hidden variables [cebm, cebm-mixture]", "examples of a step", "{corrected,"):
        assert said in text


@pytest.mark.parametrize("option", ["--normalization", "--trace", "--objective", "--threshold"])
def test_words_that_are_no_choice_are_refused(option, capsys):
    with pytest.raises(SystemExit):
        parser().parse_args([option, "nonsense"])
    assert "invalid choice: 'nonsense'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [3]), ("0-9", list(range(10))), ("0,2,2,5-6", [0, 2, 5, 6])]
)
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1-", "-3"])
def test_text_that_names_no_seeds_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        parse_seeds(text)


def test_titles_are_those_of_the_tables():
    assert Specification("delvm").title == "SM-DELVM"
    assert Specification("autoencoder").title == "AE"
    assert Specification("dem", "cd", layerwise=True).title == "CD-DEM, layer by layer"
    printed = Specification("delvm", objective_settings={"sign": "as_printed"})
    assert printed.title == "SM-DELVM (sign as printed)"


def test_files_are_taken_where_names_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.import_module("delvm_tf.datasets.load"), "_REGISTERED", {})
    rows = "".join(f"{k},5;{k % 5 // 4}\n" for k in range(50))
    (tmp_path / "digits.csv").write_text("a;bad\n" + rows)
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "1.csv").write_text("a;bad\n" + rows)

    def parsed(*given):
        taker = new_parser("A program.")
        add_dataset_arguments(taker, "digits", "classification")
        return taker.parse_args(given).dataset

    options = ("--label", "bad", "--separator", ";", "--decimal", ",")
    assert parsed() == "digits"
    assert parsed("--dataset", f"{tmp_path}/digits.csv", *options) == "digits.csv"
    assert load("digits.csv").x_test.shape == (15, 1)
    assert parsed(*options, "--dataset", f"{tmp_path}/digits/*") == "digits-files"
    assert load("digits-files").y_test.sum() == 3
    for wrong in ("nothing", "ecg5000", f"{tmp_path}/*.csv.zst"):
        with pytest.raises(SystemExit):
            parsed("--dataset", wrong)
        assert "is neither a data set (cifar10, digits, fashion_mnist" in capsys.readouterr().err
