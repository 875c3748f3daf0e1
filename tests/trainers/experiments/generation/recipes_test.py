import pytest

from delvm_tf.samplers import Langevin
from trainers.experiments.generation.recipes import GenerationRecipe
from trainers.experiments.generation.scales import SCALES
from trainers.recipes import recipes_in

TABLE = {
    "model": "dem", "objective": "denoising", "model_settings": {"units": [8]},
    "train_steps": 4000, "sampler": {"name": "langevin", "step_size": 0.02}, "steps": 500,
}  # fmt: skip


def test_a_recipe_makes_its_sampler_and_says_all_that_decides():
    recipe = GenerationRecipe.from_table(TABLE)
    sampler = recipe.made_sampler()
    assert isinstance(sampler, Langevin)
    assert sampler.step_size == 0.02
    assert not recipe.of_images
    assert not recipe.of_all_levels
    assert recipe.text == (
        "dem, denoising, units [8]; 4000 steps, batches of 100, learning rate 0.001; drawn by 500 "
        "steps of name langevin step_size 0.02"
    )
    usual = GenerationRecipe.from_table({"model": "nc-delvm", "model_settings": {"filters": [4]}})
    assert usual.made_sampler() is None
    assert usual.of_images
    assert usual.of_all_levels
    assert GenerationRecipe.from_table({"model": "density-delvm"}).of_all_levels


def test_wrong_samplers_and_numbers_are_refused():
    recipe = GenerationRecipe.from_table(TABLE)
    with pytest.raises(ValueError, match="unknown sampler 'nonsense'"):
        recipe.changed({"sampler": {"name": "nonsense"}}).made_sampler()
    with pytest.raises(ValueError, match="the sampler 'langevin' has no setting step"):
        recipe.changed({"sampler": {"step": 1}}).made_sampler()
    with pytest.raises(ValueError, match="r: steps must be 1 or more, got 0"):
        recipe.changed({"steps": 0}, "r: ")
    with pytest.raises(ValueError, match="train_steps must be 1 or more, got 0"):
        recipe.changed({"train_steps": 0})
    with pytest.raises(ValueError, match="passes must be positive, got 0"):
        recipe.changed({"passes": 0.0})


@pytest.mark.parametrize(
    ("passes", "n", "steps"),
    [(None, 10, 4000), (50, 1000, 500), (50, 100_000, 4000), (50, 10, 50), (1e-9, 10, 1)],
)
def test_passes_bound_the_steps(passes, n, steps):
    recipe = GenerationRecipe.from_table(TABLE | ({} if passes is None else {"passes": passes}))
    assert recipe.steps_on(n) == steps
    assert ("or 50 passes, whichever are fewer" in recipe.text) == (passes == 50)


def test_a_scale_shortens_training_and_chains_to_one_at_least():
    recipe = GenerationRecipe.from_table(TABLE)
    smoke = SCALES["smoke"].applied(recipe)
    assert (smoke.train_steps, smoke.steps) == (2, 25)
    least = SCALES["smoke"]._replace(train_steps=1e-9, steps=1e-9).applied(recipe)
    assert (least.train_steps, least.steps) == (1, 1)
    assert SCALES["cpu"].applied(recipe) == recipe


def test_the_kept_recipes_differ_in_name():
    recipes = recipes_in("generation", GenerationRecipe)
    assert len({recipe.title for recipe in recipes.values()}) == len(recipes)
