"""The program that learns a known density: its conversions, and a run of its command line."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import delvm_tf as dv
from trainers.evaluation.densities import GaussianMixtureDensity, five_gaussians
from trainers.evaluation.grid import SquareGrid
from trainers.recipes import recipes_in

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "trainers" / "density.py"


@pytest.fixture
def density(monkeypatch):
    from trainers import density

    return density


@pytest.fixture
def points(rng):
    return rng.normal(size=(300, 2)) @ [[1.5, 0.4], [0.0, 0.5]] + [1.0, -0.5]


def gaussian_model(mode, scale, points):
    """A DELVM whose weights make it N(0, (I − WWᵀ)⁻¹) in normalised units."""
    network = dv.networks.ffnn((2,), activation="linear", use_bias=False)
    model = dv.DELVM(network, normalization=mode, scale=scale)
    model.adapt(points)
    W = np.array([[0.6, 0.2], [-0.1, 0.4]])
    network.layers[0].set_weights([W])
    return model, np.eye(2) - W @ W.T


def raw_gaussian(model, precision):
    """The same Gaussian over raw units, from z(x) = z(0) + Ax."""
    z = model.normalization.call(np.float32([[0, 0], [1, 0], [0, 1]])).numpy().astype(np.float64)
    A = (z[1:] - z[0]).T
    raw_precision = A.T @ precision @ A
    mean = -np.linalg.solve(A, z[0])
    known = GaussianMixtureDensity([1.0], [mean], [np.linalg.inv(raw_precision)])
    return known, np.log(np.abs(np.linalg.det(A)))


@pytest.mark.parametrize(
    ("mode", "scale"),
    [("none", 1.0), ("center", 2.0), ("zscore", 1.5), ("minmax", 3.0), ("zca", 1.3)],
)
def test_density_and_score_of_a_gaussian_model_are_known_in_raw_units(density, points, mode, scale):
    model, precision = gaussian_model(mode, scale, points)
    known, log_jacobian = raw_gaussian(model, precision)
    assert (abs(log_jacobian) > 0.1) == (mode != "none")
    learned = density.ModelDensity(model, SquareGrid(20.0, 401), SquareGrid(100.0, 101))
    assert learned.integral.problem == ""
    np.testing.assert_allclose(learned.log_density(points), known.log_density(points), atol=2e-3)
    np.testing.assert_allclose(learned.score(points), known.score(points), atol=1e-3)
    in_normalised_units = np.log(2 * np.pi) - 0.5 * np.log(np.linalg.det(precision))
    assert learned.integral.log_normalizer == pytest.approx(
        in_normalised_units - log_jacobian, abs=1e-3
    )


def test_the_figures_of_a_gaussian_model_are_those_of_the_gaussian(density, points):
    truth = five_gaussians()
    model, precision = gaussian_model("zscore", 1.5, points)
    known, _ = raw_gaussian(model, precision)
    test = truth.sample(20_000, 5)
    measured = density.figures(truth, density.ModelDensity(model), test)["row"]
    expected = density.figures(truth, known, test)["row"]
    for key in ("fisher", "log_likelihood", "modes_off"):
        assert measured[key] == pytest.approx(expected[key], abs=2e-3, rel=1e-3)
    assert expected["fisher"] > 0.1
    itself = density.figures(truth, truth, test)["row"]
    assert itself["fisher"] == 0
    assert itself["modes_off"] == pytest.approx(0, abs=1e-4)
    assert itself["mode_1"] == pytest.approx(0.3, abs=1e-4)
    assert itself["log_likelihood"] > expected["log_likelihood"]


def test_a_model_that_grows_is_said_to_have_no_integral(density, points):
    model, _ = gaussian_model("center", 1.0, points)
    model.network.layers[0].set_weights([np.diag([1.2, 0.3])])
    learned = density.ModelDensity(model)
    assert "not normalisable on the grid" in learned.integral.problem
    done = density.figures(five_gaussians(), learned, points, learned.integral.problem)
    assert np.isnan(done["row"]["log_likelihood"])
    assert np.isfinite(done["row"]["fisher"])
    assert np.isfinite(done["panel"]).all()


def test_train_validation_and_test_points_differ(density):
    args = density.parse_arguments([])
    streams = [density.draw(args, 0, s) for s in (density.TRAIN, density.VALIDATION, density.TEST)]
    assert all(x.shape == (10_000, 2) for x in streams)
    assert len(np.unique(np.concatenate(streams)[:, 0])) == 30_000
    assert not np.array_equal(streams[0], density.draw(args, 1, density.TRAIN))


def test_the_command_line_takes_the_place_of_a_methods_own_settings(density):
    args = density.parse_arguments(
        ["--units", "8", "--scale", "2", "--epochs", "3", "--sigma", "0.5", "0.2"]
    )
    denoising = args.recipes["dsm-ladder-delvm"]
    assert denoising.model_settings["units"] == [8]
    assert (denoising.model_settings["scale"], denoising.epochs) == (2.0, 3)
    assert denoising.objective_settings == {"sigma": [0.5, 0.2]}
    assert args.recipes["sm-delvm"].objective_settings == {}
    assert density.parse_arguments([]).recipes == dict(recipes_in("density", dv.catalog.Recipe))


def test_every_method_has_a_name_of_its_own(density):
    recipes = density.parse_arguments([]).recipes
    assert len({recipe.title for recipe in recipes.values()}) == len(recipes) == 11


def test_an_interrupted_run_goes_on_and_writes_everything_it_promises(
    tmp_path, density, monkeypatch, capsys
):
    arguments = [
        "--models", "sm-delvm", "sm-dem", "--seeds", "0", "--points", "400",
        "--epochs", "2", "--units", "8", "--drawn-chains", "50", "--drawn-steps", "100",
    ]  # fmt: skip
    out = tmp_path / "out"
    args = density.parse_arguments([*arguments, "--output", str(out)])
    partial = density.Results.of_run(out, args)
    partial["sm-delvm-seed-0"] = density.run_model(args, "sm-delvm", 0, partial.folder)

    monkeypatch.setattr(sys, "argv", ["density.py", "--output", str(out), *arguments])
    status, printed = density.main(), capsys.readouterr().out
    assert status == 0, printed
    assert "sm-delvm, seed 0: done before the interruption" in printed
    assert "baselines, seed 0: done" not in printed
    rows = {row["method"]: row for row in csv.DictReader((out / "results.csv").open())}
    assert float(rows["truth"]["fisher"]) == 0
    assert float(rows["Gaussian mixture (5)"]["fisher"]) < float(rows["one Gaussian"]["fisher"])
    assert float(rows["one Gaussian"]["log_likelihood"]) < float(rows["truth"]["log_likelihood"])
    assert {"SM-DELVM", "SM-DEM", "kernel density"} <= set(rows)
    text = (out / "results.md").read_text()
    for promised in ("truth", "mode 5", "chains, step 100", "python ", "400 test points"):
        assert promised.replace("400 test", "as many test") in text
    for picture in ("densities", "chains"):
        assert (out / f"{picture}.png").stat().st_size > 10_000
    assert {p.name for p in out.iterdir()} == {
        "config.json", "results.csv", "results.md", "densities.png", "chains.png",
    }  # fmt: skip
    assert json.loads((out / "config.json").read_text())["config"]["points"] == "400"


def test_training_that_diverges_is_a_row_of_the_table(density, tmp_path):
    args = density.parse_arguments(
        ["--models", "sm-delvm-softplus", "--points", "400", "--units", "8", "--epochs", "3",
         "--learning-rate", "1e9"]
    )  # fmt: skip
    done = density.run_model(args, "sm-delvm-softplus", 0, tmp_path)
    assert done["row"]["problem"] == "training diverged"
    assert np.isnan(done["row"]["fisher"])
    assert (
        density.summary([done["row"]])["remark"]["SM-DELVM, softplus"]
        == "seed 0: training diverged"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scale", "-1"], "scale must be a positive finite number"),
        (["--activation", "nonsense"], "nonsense"),
        (["--sigma", "0.1", "0.5"], "from the largest to the smallest"),
    ],
)
def test_mistakes_end_in_one_clear_line(density, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(sys, "argv", ["density.py", "--output", str(tmp_path / "out"), *arguments])
    assert density.main() == 1
    assert message in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
