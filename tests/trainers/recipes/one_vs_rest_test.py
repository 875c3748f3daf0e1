import pytest

from delvm_tf.catalog import MODELS
from trainers.recipes.one_vs_rest import one_vs_rest_patch_method, one_vs_rest_recipe
from trainers.recipes.patches import METHODS


@pytest.mark.parametrize("model", MODELS)
def test_there_is_a_model_of_images_for_each_name(model):
    recipe = one_vs_rest_recipe(model, None)
    shape = (8, 8, 1) if "filters" in recipe.model_settings else (64,)
    made = recipe.make(shape, 0)
    made.build((None, *shape))
    assert made.built


@pytest.mark.parametrize("name", METHODS)
def test_there_is_an_encoder_for_each_method_of_patches(name):
    method = one_vs_rest_patch_method(name, 8)
    assert method.encoder == ("triangle" if name == "kmeans" else "rectifier")


def test_denoising_has_settings_of_its_own_and_keeps_the_others():
    specification = one_vs_rest_patch_method("dsm-delvm", 8).specification
    assert specification.objective_settings == {"sigma": 0.5}
    assert specification.model_settings["bias_constraint"] == "non_positive"
    assert specification.model_settings["units"] == [8]
    assert specification.title == "DSM-DELVM"


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown method 'nonsense'"):
        one_vs_rest_patch_method("nonsense", 8)
