import itertools

import pytest

from delvm_tf.catalog import Specification
from tuning import SPACES, Fixed, Options, Range, Space
from tuning.space import decode, encode
from tuning.spaces import space_named, table_of_space

SM, LATTICE = ("objective", ("score-matching",)), ("trace", ("lattice",))
SMALL = Space(
    "digits", "classification", "probe",
    (
        Options("model", values=("delvm", "dem")),
        Options("objective", values=("score-matching", "cd")),
        Options("trace", "objective", SM, values=("auto", "lattice")),
        Options("spacing", "objective", LATTICE, values=(2, 3)),
        Options("k", "objective", ("objective", ("cd",)), values=(1, 5)),
        Options("filters", "model", values=((4,), (4, 2))),
        Fixed("epochs", when=SM, value=10),
        Fixed("epochs", when=("objective", ("cd",)), value=100),
    ),
)  # fmt: skip


def hyperparameters(space):
    kt = pytest.importorskip("keras_tuner")
    hp = kt.HyperParameters()
    space.declare(hp)
    return hp


def test_only_what_plays_a_part_is_in_the_specification():
    """KerasTuner may keep values of settings whose condition does not hold."""
    names = {s.name: [encode(v) for v in s.values] for s in SMALL.settings if hasattr(s, "values")}
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
    space = space_named(name)
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
    assert len(table_of_space(space)) == len(space.settings)


def test_the_papers_grid_has_a_point_for_each_number_size_and_objective():
    points = space_named("paper-fmnist").grid()
    assert len(points) == 2 * 8 * 4
    specs = [space_named("paper-fmnist").specification(point) for point in points]
    assert len({str(spec) for spec in specs}) == len(specs)
    found = {(spec.objective, spec.epochs) for spec in specs}
    assert found == {("score-matching", 10), ("cd", 100)}
    assert {spec.model_settings["filters"][0] for spec in specs} == set(range(10, 90, 10))


def test_a_grid_has_each_combination_once():
    """2 models · 2 sizes · (auto, lattice with 2 spacings, 2 numbers of steps of CD)."""
    points = SMALL.grid()
    assert len(points) == 2 * 2 * 5
    assert len({str(SMALL.specification(point)) for point in points}) == 20
    space = Space("digits", "x", "loss", (Range("scale", "model", low=0.1, high=10.0),))
    assert [point["scale"] for point in space.grid()] == pytest.approx([0.1, 1, 10])


def test_settings_say_what_they_are():
    assert Range("scale", "model", low=0.1, high=2).words() == "0.1 to 2"
    assert Options("units", "model", values=((64,), (64, 8))).words() == "64-, 64-8"
    with pytest.raises(ValueError, match="part must be"):
        Options("x", "network")
    with pytest.raises(ValueError, match="expected one of ecg5000"):
        space_named("mnist")
