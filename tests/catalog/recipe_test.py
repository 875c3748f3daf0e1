"""Recipes as files that people write."""

import dataclasses

import pytest

from delvm_tf.catalog import MODELS, OBJECTIVES, Detection, Recipe, Recipes, default_recipe
from delvm_tf.catalog.recipe import merged
from delvm_tf.detection import THRESHOLDS
from delvm_tf.objectives.contrastive_divergence import ContrastiveDivergence
from delvm_tf.samplers import Langevin

ONE = """
model = "delvm"
objective = "denoising"
model_settings = { units = [256, 128], normalization = "center", scale = 0.35 }
objective_settings = { sigma = 1 }
epochs = 20
clipnorm = 1
detection = { ensemble = 5, power = 2.5 }
"""


@pytest.fixture
def read(tmp_path):
    def read(text, **options):
        (tmp_path / "r.toml").write_text(text)
        return Recipes(tmp_path / "r.toml", **options)

    return read


def test_a_file_with_one_recipe(read):
    recipes = read(ONE)
    assert list(recipes) == ["r"]
    settings = {"units": [256, 128], "normalization": "center", "scale": 0.35}
    assert recipes["r"] == Recipe(
        "delvm", "denoising", settings, {"sigma": 1.0}, epochs=20, clipnorm=1.0,
        detection=Detection(5, 2.5),
    )  # fmt: skip
    assert isinstance(recipes["r"].clipnorm, float)
    assert recipes["r"].title == "DSM-DELVM"
    assert recipes["r"].make((6,), 0).normalization.mode == "center"


@pytest.mark.parametrize("name", ["defaults", "model", "r"])
def test_a_file_with_one_recipe_may_have_any_name_and_a_byte_order_mark(tmp_path, name):
    (tmp_path / f"{name}.toml").write_text("\ufeff" + ONE, encoding="utf-8")
    assert Recipes(tmp_path / f"{name}.toml")[name].epochs == 20


SEVERAL = """
[defaults]
model_settings = { filters = [8], kernel_size = 3, normalization = "center", scale = 2.0 }
objective_settings = { k = 2 }
epochs = 3

[a]
model = "dem"
objective = "cd"
name = "mine"
model_settings = { units = [4] }

[b]
model = "dem"
model_settings = { normalization = "zscore", filters = [2] }
objective_settings = { k = 5 }
objective = "persistent-cd"
"""


def test_what_a_recipe_leaves_out_is_in_the_defaults_and_layers_replace_layers(read):
    recipes = read(SEVERAL)
    assert recipes["a"].model_settings == {"units": [4], "normalization": "center", "scale": 2.0}
    assert recipes["a"].title == "mine"
    assert recipes["a"].epochs == 3
    assert recipes["b"].model_settings == {
        "filters": [2], "kernel_size": 3, "normalization": "zscore"
    }  # fmt: skip
    assert recipes["b"].objective_settings == {"k": 5}
    assert recipes.of("dem", "cd") == recipes["a"]


def test_models_without_a_recipe_have_the_defaults_or_none(read):
    recipes = read(SEVERAL)
    assert recipes.of("delvm", "cd").model_settings["filters"] == [8]
    assert recipes.of("delvm", "cd").objective_name == "cd"
    assert read(ONE).of("dem") is None
    any_objective = read('model = "dem"')
    assert any_objective.of("dem", "sliced").objective == "sliced"
    assert any_objective.of("dem").objective == "score-matching"


def test_a_ladder_of_noise_gives_way_to_a_level():
    ladder = {"objective_settings": {"sigma": 0.8, "smallest": 0.2, "levels": 5}}
    assert merged(ladder, {"objective_settings": {"sigma": 0.3}}) == {
        "objective_settings": {"sigma": 0.3}
    }
    assert ladder["objective_settings"]["levels"] == 5


def test_a_sampler_with_settings_of_its_own(read):
    recipe = read(
        'objective = "cd"\nobjective_settings = '
        '{ k = 3, sampler = { name = "langevin", step_size = 0.03 } }'
    )["r"]
    objective = recipe.changed({"model_settings": {"units": [3]}}).make((4,), 0).objective
    assert isinstance(objective, ContrastiveDivergence)
    assert isinstance(objective.sampler, Langevin)
    assert objective.sampler.step_size == 0.03


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = ", "r.toml is no TOML"),
        ("epoch = 3", "r.toml: epoch: unknown key; expected a table"),
        ("epochs = 3\nepoch = 3", "r.toml: r.epoch: unknown key; expected one of model, obj"),
        ('epochs = "many"', "r.toml: r.epochs: expected an integer, got 'many'"),
        ("epochs = 3.5", "epochs: expected an integer, got 3.5"),
        ("epochs = true", "epochs: expected an integer, got True"),
        ('learning_rate = "x"', "learning_rate: expected a number or a list of numbers, got 'x'"),
        ('model = "vae"', "model: expected one of delvm, dem, .* got 'vae'"),
        ('objective = "elbo"', r"objective \(unknown\): expected one of score-matching"),
        ('[a]\nmodel = "dbn"\nobjective = "sliced"', r"a.objective \(not for this model\)"),
        ("model_settings = { unit = [3] }", "model_settings.unit: the model 'delvm' has no set"),
        ("model_settings = { units = 3 }", "units: expected a list of integers, got 3"),
        ('model_settings = { units = ["a"] }', "units: expected an integer, got 'a'"),
        ('model_settings = { normalization = "l2" }', "normalization: expected one of none, min"),
        ("model_settings = 3", "r.model_settings: expected a table, got 3"),
        ("objective_settings = { sigma = 1.0 }", "'score-matching' has no setting sigma"),
        ('objective_settings = { trace = "x" }', "trace: expected one of auto, exact"),
        ('detection = { threshold = "f1" }', "threshold: expected one of 'contamination'"),
        ("detection = { ensemble = 0 }", "r.toml: r.detection.ensemble must be 1 or more, got 0"),
        ("detection = { power = nan }", "r.detection.power must be positive and finite, got nan"),
        ("detection = { neighbours = -1 }", "r.detection.neighbours must be 0 or more, got -1"),
        ("detection = { principal = 0 }", "r.detection.principal must be 1 or more, got 0"),
        ("epochs = -3", "r.toml: r.epochs must be 0 or more, got -3"),
        ("batch_size = 0", "r.batch_size must be 1 or more, got 0"),
        ("learning_rate = nan", "r.learning_rate must be positive and finite, got nan"),
        ("learning_rate = -1", "r.learning_rate must be positive and finite, got -1"),
        ("learning_rate = [1e-3, inf]\nlayerwise = true", "learning_rate must be positive and fin"),
        ("learning_rate = []\nlayerwise = true", "learning_rate must be positive and finite, got"),
        ("learning_rate = [1e-3, 1e-3]", "learning_rate must be one number unless layerwise is"),
        (f"learning_rate = 1{'0' * 400}", "learning_rate: expected a number or a list of numb"),
        ("clipnorm = nan", "r.clipnorm must be positive and finite, got nan"),
        ("[defaults]\nepochs = -1\n[a]\nmodel = 'dem'", "r.toml: a.epochs must be 0 or more"),
        ("detection = { members = 2 }", "detection.members: unknown key; expected one of ens"),
        ('objective = "cd"\nobjective_settings = { sampler = { name = "langevin", step = 1 } }',
         "sampler: the sampler 'langevin' has no setting step; it has step_size"),
        ('objective = "cd"\nobjective_settings = { sampler = { name = "x" } }', "unknown sampler"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_file_key_what_came_and_what_is_expected(read, text, message):
    with pytest.raises(ValueError, match=message):
        read(text)


def test_a_file_that_is_not_there_and_a_recipe_that_is_not_in_it(read, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*x\.toml"):
        Recipes(tmp_path / "x.toml")
    with pytest.raises(ValueError, match=r"r\.toml: recipe: expected one of a, b, got 'c'"):
        read(SEVERAL)["c"]


def test_a_recipe_of_more_than_the_library_knows(read):
    @dataclasses.dataclass(frozen=True)
    class Mine(Recipe):
        flavour: str = "plain"

    assert read('flavour = "salt"', kind=Mine)["r"].flavour == "salt"
    with pytest.raises(ValueError, match="flavour: expected a text, got 3"):
        read("flavour = 3", kind=Mine)


@pytest.mark.parametrize("model", MODELS)
def test_there_is_a_default_for_every_model_and_objective(model):
    images = MODELS[model].layers == "filters" or model == "conv-autoencoder"
    for objective in (None, *MODELS[model].objectives):
        recipe = default_recipe(model, objective)
        assert recipe.model_settings["normalization"] == "zscore"
        assert recipe.make((8, 8, 1) if images else (6,), 0).objective is not None


def test_the_default_detector_is_a_denoising_delvm():
    assert default_recipe().title == "DSM-DELVM"
    assert default_recipe().objective_settings == {"sigma": 1.0}


def test_the_words_for_thresholds_are_those_of_detectors():
    for name in THRESHOLDS:
        Recipe.from_table({"detection": {"threshold": name}})


def test_names_of_detectors_in_tables():
    assert Detection().together == ""
    assert Detection(power=2.0).together == ", power 2"
    assert Detection(power=3.0, neighbours=3).together == ", 3 neighbours, power 3"
    assert Detection(5).together == ", ensemble of 5"
    assert Detection(3, 2.5).together == ", ensemble of 3, power 2.5"


@pytest.mark.parametrize("kinds", [MODELS, OBJECTIVES])
def test_every_setting_that_can_be_written_down_has_a_type_and_says_what_it_is(kinds):
    for name, kind in kinds.items():
        assert kind.settings, name
        assert not {"seed", "network", "objective", "input_shape"} & kind.settings.keys()
    said = {s.name: s.help for kind in kinds.values() for s in kind.settings.values() if s.help}
    assert {s for kind in kinds.values() for s in kind.settings} == said.keys()
