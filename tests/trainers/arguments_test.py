"""From the command line and a recipe to a specification."""

import argparse

import pytest

from delvm_tf.catalog import MODELS, Specification
from trainers.arguments import add_model_arguments, parse_seeds, specification
from trainers.recipes.anomaly import recipe

RECIPE = Specification(
    "delvm",
    "score-matching",
    {"units": [64, 32], "normalization": "center", "scale": 2.0},
    {"trace": "basis"},
    epochs=7,
    learning_rate=3e-4,
)


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_model_arguments(parser)
    return specification(parser.parse_args(arguments), RECIPE)


def test_without_arguments_the_recipe_stays_as_it_is():
    assert parsed() == RECIPE


def test_arguments_replace_single_settings():
    made = parsed("--units", "8", "--epochs", "3", "--trace", "auto", "--clipnorm", "1")
    assert made.model_settings == {"units": [8], "normalization": "center", "scale": 2.0}
    assert made.objective_settings == {"trace": "auto"}
    assert (made.epochs, made.learning_rate, made.clipnorm) == (3, 3e-4, 1.0)


def test_filters_replace_units():
    assert "units" not in parsed("--filters", "4", "4").model_settings


def test_another_normalisation_has_a_scale_of_its_own():
    assert "scale" not in parsed("--normalization", "zscore").model_settings
    assert parsed("--normalization", "center").model_settings["scale"] == 2.0
    assert parsed("--normalization", "zscore", "--scale", "3").model_settings["scale"] == 3.0


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [3]), ("0-9", list(range(10))), ("0,2,5-6", [0, 2, 5, 6])]
)
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1-", "-3"])
def test_text_that_names_no_seeds_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        parse_seeds(text)


@pytest.mark.parametrize("protocol", ["standard", "ucr", "paper"])
@pytest.mark.parametrize("model", [name for name in MODELS if "conv" not in name])
def test_there_is_a_recipe_for_every_model_and_objective(model, protocol):
    for objective in MODELS[model].objectives:
        made = recipe("ecg5000", protocol, model, objective).make((140,), seed=0)
        made.build((None, 140))
        assert made.trainable_variables


def test_titles_are_those_of_the_tables():
    assert RECIPE.title == "SM-DELVM"
    assert Specification("autoencoder").title == "AE"
    assert Specification("dem", "cd", layerwise=True).title == "CD-DEM, layer by layer"
    printed = Specification("delvm", objective_settings={"sign": "as_printed"})
    assert printed.title == "SM-DELVM (sign as printed)"
