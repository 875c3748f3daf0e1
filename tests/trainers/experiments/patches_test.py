import numpy as np
import pytest
import tensorflow as tf

from delvm_tf.catalog import Specification
from trainers.experiments.patches import (
    DICTIONARIES,
    METHODS,
    Learned,
    PatchRecipe,
    learn,
    learn_model,
    patch_recipe,
)
from trainers.recipes import recipes_in

RECIPES = recipes_in("patches", PatchRecipe)


@pytest.fixture
def patches(rng):
    return rng.normal(size=(300, 8)).astype("float32")


@pytest.mark.parametrize(("normalization", "scale"), [("none", 2.0), ("zscore", 1.5)])
def test_filters_of_a_model_are_its_weights_on_the_patches(patches, normalization, scale):
    """Up to a bias they give the hidden variables of a linear layer."""
    settings = {"units": [5], "activation": "linear", "normalization": normalization}
    recipe = Specification("delvm", model_settings={**settings, "scale": scale}, epochs=1)
    learned = learn_model(recipe, patches * np.arange(1, 9, dtype="float32"), seed=0)
    hidden = learned.encoder("hidden")(tf.constant(patches)).numpy()
    response = patches @ learned.filters
    np.testing.assert_allclose(hidden - hidden[0], response - response[0], atol=1e-4)
    assert response.std() > 0.1


FAST = ("sm-delvm", "dsm-dem", "cd-gaussian-rbm", *DICTIONARIES)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in FAST else pytest.mark.slow)
        for name in METHODS
        if not name.endswith("-dbm")  # which needs two layers
    ],
)
def test_every_method_learns_something_to_encode_by(patches, name):
    recipe = patch_recipe(RECIPES, name, 6)
    steps = {"k": 2} if name.startswith("langevin") else {}
    short = recipe.changed({"epochs": 1, "objective_settings": steps})
    learned = learn(name, short, patches, 6, seed=0)
    encoder = "hidden" if learned.filters is None else "signed"
    codes = learned.encoder(encoder, 0.1)(tf.constant(patches)).numpy()
    assert codes.shape == (300, 12 if encoder == "signed" else 6)
    assert np.isfinite(codes).all()
    assert codes.std(axis=0).min() > 0


def test_a_model_that_knows_levels_encodes_at_each_of_them(patches):
    recipe = patch_recipe(RECIPES, "dsm-nc-delvm", 6).changed({"epochs": 2})
    codes = learn_model(recipe, patches, seed=0).encoder("hidden")(tf.constant(patches)).numpy()
    model = recipe.train(patches, 0)
    assert model.noise_levels == (1.0, 0.5, 0.25)
    for sigma, found in zip(model.noise_levels, np.split(codes, 3, axis=1), strict=True):
        np.testing.assert_allclose(found, model.hidden(patches, sigma=sigma), atol=1e-5)
    assert not np.allclose(codes[:, :6], codes[:, 12:], atol=1e-3)


def test_encoders_that_a_method_cannot_have_are_refused(patches):
    with pytest.raises(ValueError, match=r"'hidden' is that of a model.*rectifier"):
        Learned(patches.T).encoder("hidden")
    with pytest.raises(ValueError, match="needs linear filters"):
        Learned(None, tf.identity).encoder("signed")


def test_titles_and_unknown_methods():
    def recipe(name, file="patches"):
        return patch_recipe(recipes_in(file, PatchRecipe), name, 4)

    assert recipe("sm-delvm").title == "SM-DELVM"
    assert recipe("cd-gaussian-rbm").title == "CD-Gaussian RBM"
    assert recipe("kmeans").title == "k-means"
    assert recipe("sm-delvm").model_settings["units"] == [4]
    with pytest.raises(ValueError, match=r"unknown method 'nonsense'.*sm-delvm"):
        recipe("nonsense")


@pytest.mark.parametrize("name", METHODS)
def test_one_code_for_each_filter_where_one_class_stands_against_the_rest(name):
    recipe = patch_recipe(recipes_in("one-vs-rest-patches", PatchRecipe), name, 8)
    assert recipe.encoder == ("triangle" if name == "kmeans" else "rectifier")
