import itertools

import pytest

from delvm_tf.catalog import Specification
from tuning import SPACES, Setting, Space
from tuning.space import decode, encode

SM, CD = {"objective": ("score-matching",)}, {"objective": ("cd",)}
SMALL = Space(
    "digits", "classification", "probe",
    (
        Setting("model", ("delvm", "dem")),
        Setting("objective", ("score-matching", "cd")),
        Setting("trace", ("auto", "lattice"), part="objective", when=SM),
        Setting("spacing", (2, 3), part="objective", when={"trace": ("lattice",)}),
        Setting("k", (1, 5), part="objective", when=CD),
        Setting("filters", ((4,), (4, 2)), part="model"),
        Setting("epochs", (10,), when=SM),
        Setting("epochs", (100,), when=CD),
    ),
)  # fmt: skip


def hyperparameters(space):
    kt = pytest.importorskip("keras_tuner")
    hp = kt.HyperParameters()
    space.declare(hp)
    return hp


def test_only_what_plays_a_part_is_in_the_specification():
    """KerasTuner may keep values of settings whose condition does not hold."""
    names = {s.name: [encode(v) for v in s.values] for s in SMALL.settings if len(s.values) > 1}
    fixed = {"epochs (objective=score-matching)": 10, "epochs (objective=cd)": 100}
    for values in itertools.product(*names.values()):
        chosen = dict(zip(names, values, strict=True))
        spec = SMALL.specification(chosen | fixed)
        matching = chosen["objective"] == "score-matching"
        lattice = matching and chosen["trace"] == "lattice"
        expected = {"trace": chosen["trace"]} if matching else {"k": chosen["k"]}
        if lattice:
            expected["spacing"] = chosen["spacing"]
        assert spec.objective_settings == expected
        assert spec.epochs == (10 if matching else 100)
        assert spec.model_settings["filters"] in ([4], [4, 2])
        assert (spec.model, spec.objective) == (chosen["model"], chosen["objective"])


@pytest.mark.parametrize("value", [(4,), (512, 128), 3, 0.5, "relu", None, True])
def test_values_survive_kerastuner(value):
    expected = list(value) if isinstance(value, tuple) else value
    assert decode(encode(value)) == expected


@pytest.mark.parametrize("name", list(SPACES))
def test_every_space_gives_models_that_can_be_made(name):
    """Random points of each space, as KerasTuner draws them."""
    kt = pytest.importorskip("keras_tuner")
    space = SPACES[name]
    oracle = kt.oracles.RandomSearchOracle(
        objective=kt.Objective("x", "max"), max_trials=10**6, seed=0
    )
    oracle.update_space(hyperparameters(space))
    shape = (140,) if space.dataset == "ecg5000" else (12, 12, 1)
    made = set()
    for _ in range(6):
        spec = space.specification(oracle._random_values())
        assert isinstance(spec, Specification)
        if spec.objective_settings.get("trace") == "closed_form" or shape == (140,):
            spec.make(shape, 0)
        made.add(str(spec))
    assert len(made) > 1


def test_the_papers_grid_has_a_point_for_each_number_size_and_objective():
    points = SPACES["paper-fmnist"].grid()
    assert len(points) == 2 * 8 * 4
    specs = [SPACES["paper-fmnist"].specification(point) for point in points]
    assert len({str(spec) for spec in specs}) == len(specs)
    found = {(spec.objective, spec.epochs) for spec in specs}
    assert found == {("score-matching", 10), ("cd", 100)}
    assert {spec.model_settings["filters"][0] for spec in specs} == set(range(10, 90, 10))


def test_a_grid_has_each_combination_once():
    """2 models · 2 sizes · (auto, lattice with 2 spacings, 2 numbers of steps of CD)."""
    points = SMALL.grid()
    assert len(points) == 2 * 2 * 5
    assert len({str(SMALL.specification(point)) for point in points}) == 20
    space = Space("digits", "x", "loss", (Setting("scale", low=0.1, high=10.0),))
    assert [point["scale"] for point in space.grid()] == pytest.approx([0.1, 1, 10])


def test_settings_say_what_they_are():
    scale = Setting("scale", low=0.1, high=2, part="model", when={"model": ("dem", "delvm")})
    assert scale.words() == {
        "setting": "scale", "values": "0.1 to 2", "when": "model is dem or delvm"
    }  # fmt: skip
    assert Setting("units", ((64,), (64, 8))).words()["values"] == "64-, 64-8"
    with pytest.raises(ValueError, match="x needs values, or 0 < low < high"):
        Setting("x")
