"""The recipes that are kept."""

import pytest

from delvm_tf.catalog import MODELS, Recipe
from trainers.experiments.generation.recipes import GenerationRecipe
from trainers.experiments.patches import PatchRecipe
from trainers.recipes import NAMES, recipes_in


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_makes_a_model(name):
    kind = PatchRecipe if "patches" in name else Recipe
    recipes = recipes_in(name, GenerationRecipe if "generation" in name else kind)
    assert recipes
    for recipe in recipes.values():
        if "patches" in name:
            recipe = recipe.changed({"model_settings": {"units": [8]}})
        of_images = {"filters", "channels"} & recipe.model_settings.keys()
        shape = (8, 8, 1) if of_images else (36,)
        assert recipe.make(shape, 0).objective is not None


@pytest.mark.parametrize("name", ["ecg5000", "ecg5000-paper"])
@pytest.mark.parametrize("model", [name for name in MODELS if "conv" not in name])
def test_heartbeats_have_a_recipe_for_every_model_and_objective(model, name):
    for objective in MODELS[model].objectives:
        made = recipes_in(name, Recipe).of(model, objective).make((140,), seed=0)
        made.build((None, 140))
        assert made.trainable_variables


@pytest.mark.parametrize("name", ["one-vs-rest", "features-cifar10"])
@pytest.mark.parametrize("model", MODELS)
def test_images_have_a_recipe_for_every_model(model, name):
    recipe = recipes_in(name, Recipe).of(model)
    shape = (8, 8, 1) if "filters" in recipe.model_settings else (64,)
    made = recipe.make(shape, 0)
    made.build((None, *shape))
    assert made.built


def test_a_file_of_the_users_own_and_one_that_is_not_there(tmp_path):
    (tmp_path / "mine.toml").write_text('model = "dem"')
    assert recipes_in(str(tmp_path / "mine.toml"), Recipe)["mine"].model == "dem"
    with pytest.raises(FileNotFoundError, match=r"neither a file, nor one of .*ecg5000"):
        recipes_in("nonsense", Recipe)
