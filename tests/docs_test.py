"""What the documentation shows, runs."""

import itertools
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from parity_checks.cases import NAMES

import delvm_tf as dv
from delvm_tf.catalog import MODELS, OBJECTIVES, make_objective
from delvm_tf.detection import fitting

ROOT = Path(__file__).parents[1]
WAYS = ("TensorFlow", "session", "load", "REST", "gRPC", "C", "ONNX", "score", "Beam")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Training without a recipe is short: what is shown runs, and nothing is said of figures."""
    monkeypatch.setattr(fitting, "STEPS", 100)


def python_blocks(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


def test_the_ten_lines_of_the_readme_run(tmp_path, monkeypatch, capsys):
    _, example, *_ = python_blocks("README.md")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(example.replace("epochs=20", "epochs=2, verbose=0"), names)
    assert "True" in capsys.readouterr().out
    assert (tmp_path / "saved_models/ecg5000/1/saved_model.pb").exists()


def test_the_table_of_the_readme_is_scored_and_served(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, n in (("normal", 300), ("new", 5)):
        sites = rng.choice(["north", "south", ""], n)
        lines = [f"{v:.3f},{s}" for v, s in zip(rng.normal(20, 1, n), sites, strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["temperature,site", *lines]))
    names = {}
    exec(python_blocks("README.md")[0], names)
    assert "False" in capsys.readouterr().out
    served = dv.serving.load(tmp_path / "saved_models/mine").predict(names["new"], "table")
    np.testing.assert_array_equal(served["is_anomaly"], names["detector"].is_anomaly(names["new"]))
    again = dv.load_detector(tmp_path / "detector").p_value(names["new"])
    np.testing.assert_array_equal(again, names["detector"].p_value(names["new"]))


def run(page, blocks=slice(None)):
    """The names that blocks of a page leave behind, and the examples that they speak of."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 6)).astype("float32")
    images = rng.normal(size=(16, 8, 8, 1)).astype("float32")
    names = {"keras": keras, "np": np, "tf": tf, "dv": dv, "x": x, "images": images}
    for block in python_blocks(page)[blocks]:
        exec(block, names)
    return names


def table(page, beginning):
    """The head of the table that begins so, and its rows by the first cell of each."""
    lines = (ROOT / page).read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {beginning} |"))
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
    cells = [[cell.strip(" `") for cell in row.strip("|").split(" | ")] for row in rows]
    return cells[0], {row[0]: row[1:] for row in cells[2:]}


def test_the_model_and_sampler_of_the_page_on_extending_work():
    names = run("docs/howto/extend.md")
    model = names["Quartic"]()
    model.adapt(names["x"])
    model.compile()
    assert np.isfinite(model.fit(names["x"], epochs=2, verbose=0).history["loss"]).all()
    rbm = dv.GaussianRBM(1, normalization="none", kernel_initializer="ones")
    rbm.build((None, 1))
    walk = rbm.sample(4000, names["RandomWalk"](2.0), steps=200, seed=0)
    exact = rbm.sample(4000, "gibbs", steps=200, seed=0)
    np.testing.assert_allclose(np.mean(walk), np.mean(exact), atol=0.15)
    np.testing.assert_allclose(np.std(walk), np.std(exact), atol=0.15)


def test_the_recipes_page_shows_a_recipe_and_how_one_is_trained(tmp_path):
    (text,) = re.findall(
        r"```toml\n(.*?)```", (ROOT / "docs/howto/recipes.md").read_text(), re.DOTALL
    )
    (tmp_path / "mine.toml").write_text(text)
    recipe = dv.catalog.Recipes(tmp_path / "mine.toml")["mine"]
    assert recipe.make((6,), 0).objective.sampler.step_size == 0.03
    names = run("docs/howto/recipes.md")
    assert np.isfinite(names["model"].energy(names["x"])).all()


def test_the_models_of_the_models_page_do_what_it_says():
    runaway = next(
        i for i, b in enumerate(python_blocks("docs/explanation/models.md")) if "beats" in b
    )
    run("docs/explanation/models.md", slice(0, runaway))
    names = run("docs/explanation/models.md", slice(runaway + 1, None))
    assert names["mean"].shape == (16, 16)
    assert set(names["clusters"]) <= set(range(10))
    assert names["codes"].shape == (64, 16)
    assert names["error"].shape == (16,)


@pytest.mark.slow
def test_a_model_whose_score_matches_near_the_data_may_be_no_density():
    (block,) = [b for b in python_blocks("docs/explanation/models.md") if "beats" in b]
    names = {"keras": keras, "dv": dv}
    with pytest.raises(dv.samplers.SamplingDiverged):
        exec(block, names)
    assert names["loss"][-1] < names["loss"][0] - 50
    near, far, farther = names["lowest"]
    assert farther < 10 * far < 100 * near < 0


def test_the_table_of_models_and_objectives_is_that_of_the_catalog():
    head, rows = table("docs/explanation/objectives.md", "model")
    assert head[1:] == list(OBJECTIVES)
    assert rows.keys() == MODELS.keys()
    for name, cells in rows.items():
        fits = [o for o, cell in zip(OBJECTIVES, cells, strict=True) if cell == "yes"]
        assert set(fits) == set(MODELS[name].objectives), name


@pytest.mark.parametrize(
    "name",
    [
        "reconstruction",
        pytest.param("denoising, σ = 1", marks=pytest.mark.slow),
        pytest.param("CD-5, x′ = Jᵀh", marks=pytest.mark.slow),
        pytest.param("CD-5, Gibbs", marks=pytest.mark.slow),
    ],
)
def test_objectives_converge_to_what_the_objectives_page_says(name):
    names = run("docs/explanation/objectives.md")
    _, rows = table("docs/explanation/objectives.md", "objective | S = 4")
    assert names["objectives"].keys() == rows.keys()
    found = names["learned"](names["objectives"][name](3), 3)
    np.testing.assert_allclose(found, [float(cell) for cell in rows[name][:3]], atol=0.04)


def test_the_settings_of_conjugate_energy_models_are_those_of_the_catalog():
    """Chains and energies as the objectives page sets them, number for number."""
    shown = run("docs/explanation/objectives.md", slice(0, 1))["objective"].get_config()
    named = make_objective("langevin-cd").get_config()
    assert {**shown, "name": ""} == {**named, "name": ""}


@pytest.mark.slow
def test_chains_come_out_as_the_sampling_page_says():
    names = run("docs/explanation/sampling.md")
    assert names["samples"].shape == (50, 6)
    _, rows = table("docs/explanation/sampling.md", "sampler | E[x²]")
    assert abs(names["exact"] - float(rows["the integral"][0])) < 0.01
    assert rows.keys() == {"the integral", *names["samplers"]}
    for name, sampler in names["samplers"].items():
        found = names["second_moment"](sampler, 7)
        assert abs(found - float(rows[name][0].split(" ± ")[0])) < 0.2, name


@pytest.mark.slow
def test_the_training_page_grows_models_and_tells_healthy_chains_from_sick_ones(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    names = run("docs/howto/training.md")
    assert list(names["histories"]) == ["layer 1 of 2", "layer 2 of 2", "all layers"]
    assert len(names["histories"]["layer 1 of 2"]["loss"]) == 2
    assert not (tmp_path / "backup").exists()
    _, rows = table("docs/howto/training.md", "chains")
    for key, row in (("healthy", "Gibbs with noise"), ("cold", "Langevin, much too cold")):
        found = [names[key][n] for n in ("data_energy", "chain_energy", "chain_power")]
        np.testing.assert_allclose(found, [float(cell) for cell in rows[row]], rtol=0.2, atol=0.02)
    with pytest.raises(dv.TrainingDiverged):
        names["last_epoch"](dv.samplers.Langevin(2.5), k=5)


def test_the_own_layer_of_the_layers_page_is_exact_on_a_lattice():
    names = run("docs/howto/layers.md")
    layers = [keras.layers.Conv2D(3, 3, activation="tanh"), names["Scaling"](),
              keras.layers.Conv2D(2, 2, activation="softplus")]  # fmt: skip
    network = keras.Sequential([keras.Input((9, 8, 1)), *layers])
    assert dv.curvature.receptive_field(network, (9, 8, 1)) == (4, 4, 1)
    layers[1].factor.assign(1.7)
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 9, 8, 1)), tf.float32)
    values = []
    for trace in ("lattice", "nested_tape"):
        model = dv.DELVM(network, objective=dv.ScoreMatching(trace), normalization="none")
        model.build((None, 9, 8, 1))
        values.append(model.objective.compute(model, x, training=True).loss)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-4)


def test_the_detection_page_fits_and_validates():
    names = run("docs/howto/detection.md")
    assert names["aurocs"].shape == (2,)
    assert names["detector"].threshold_ == 12.5


def test_the_columns_page_encodes_and_serves_a_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run("docs/howto/columns.md")
    found = dv.serving.load(names["folder"]).predict(names["rooms"], "table")["is_anomaly"]
    np.testing.assert_array_equal(found, names["columns"].is_anomaly(names["rooms"]))


def test_the_results_of_serving_begin_with_the_tables_of_parity():
    report = (ROOT / "results/parity/parity.md").read_text()
    head, _ = (ROOT / "docs/results/serving.md").read_text().split("\n## ", 1)
    ways, kinds = re.findall(r"(?:^\|.*\n)+", report, re.MULTILINE)
    assert ways in head
    assert kinds in head
    assert "--beam" in report
    assert "--kinds" not in report
    for table, names in ((ways, WAYS), (kinds, NAMES)):
        rows = [line.strip("| \n").split(" | ") for line in table.splitlines()[2:]]
        assert [row[0] for row in rows] == [*names]
        assert {row[2] for row in rows} == {"same"}  # decisions
        cells = {cell for row in rows for cell in row[1:]} - {"same", "–"}
        assert max(map(float, cells)) <= 1e-5


def test_the_serving_page_exports_loads_and_watches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(400, 6)).astype("float32")
    model = dv.DELVM(dv.networks.ffnn((3,), seed=0))
    model.adapt(x)
    names = {"dv": dv, "detector": dv.AnomalyDetector(model, "mean_std").fit(x), "beats": x}
    export, threshold, _, gateway, use, watch = python_blocks("docs/howto/serving.md")
    exec(export, names)
    exec(threshold, names)
    exec(gateway, {**names, "token": "abc", "authority": None})
    exec(use, names)
    assert names["folder"].name == "1"
    assert names["model"].card.about["auroc"] == 0.994
    assert names["model"].card.threshold["value"] == 12.5
    names["answer"] = names["model"].predict(x)
    exec(watch, names)
    assert names["monitor"].rows == 400
    assert names["monitor"].index < 0.01
