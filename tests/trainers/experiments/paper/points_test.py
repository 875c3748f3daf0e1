"""The declarations, against what the paper says."""

import numpy as np
import pytest

from trainers.experiments.paper.points import points
from trainers.experiments.paper.reports import reductions
from trainers.experiments.paper.tables import (
    ANOMALY_BASELINES,
    FEATURE_BASELINES,
    FIGURES,
    METHODS,
    SCALES,
)

FULL = SCALES["full"]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", FIGURES)
def test_every_model_of_every_figure_can_be_made(name, scale):
    shapes = {"fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3), "ecg5000": (140,)}
    cells = {p.cell.key: p.cell for p in points(name, SCALES[scale], [0])}
    smallest = {}
    for cell in cells.values():
        smallest.setdefault(cell.method, cell)
    for cell in smallest.values():
        if cell.specification is not None and "printed" not in cell.method:
            model = cell.specification.make(shapes[cell.protocol.dataset], 0)
            assert model.objective is not None


def test_the_full_scale_is_the_papers():
    assert {p.x for p in points("fig1", FULL) if p.x} == set(range(10, 81, 10))
    assert {p.size for p in points("fig1", FULL) if p.x} == {3, 5, 7, 9}
    for point in points("fig1", FULL, [0]):
        made = point.cell.specification
        if made is not None and point.cell.trained:
            assert made.batch_size == 100
            assert made.epochs == {"score-matching": 10, "cd": 100}[made.objective_name]
        assert point.cell.protocol.train_size == point.cell.protocol.test_size == 0
    beats = {p.method: p.cell.specification for p in points("fig8", FULL, [0]) if p.x == 4}
    assert beats["sm-delvm"].model_settings["units"] == (2048,) * 4
    assert beats["cd-delvm"].model_settings["units"] == (512,) * 4
    assert beats["ae"].model_settings["units"] == (256,) * 4
    assert (beats["sm-delvm"].epochs, beats["cebm"].epochs, beats["ae"].epochs) == (10, 50, 100)
    cebm = next(p for p in points("fig3", FULL) if p.method == "cebm" and p.x == 4)
    settings = cebm.cell.specification.model_settings
    assert settings["filters"] == (64, 64, 32, 32)
    assert settings["kernel_size"] == (3, 4, 4, 4)
    assert reductions(FULL, "fashion", "filters", {"sm", "cd"}) == []


def test_both_signs_stand_in_every_figure_with_score_matching():
    for name, figure in FIGURES.items():
        assert {"sm-delvm", "sm-delvm-printed"} <= set(figure.methods), name
    specifications = {p.method: p.cell.specification for p in points("fig1", FULL)}
    assert specifications["sm-delvm-printed"].objective_settings["sign"] == "as_printed"
    assert "sign" not in specifications["sm-delvm"].objective_settings


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_its_baselines_and_features_their_untrained_twins(name):
    listed = points(name, FULL, [0])
    methods = {p.method for p in listed}
    expected = FEATURE_BASELINES if FIGURES[name].measures == ("accuracy",) else ANOMALY_BASELINES
    assert set(expected) <= methods
    if FIGURES[name].axis == "filters":
        grid = {(p.x, p.size) for p in listed if p.x}
        for method in FIGURES[name].methods:
            twin = METHODS[method].twin or method
            assert {(p.x, p.size) for p in listed if p.method == twin} == grid


def test_figures_share_cells_and_a_stack_serves_all_depths():
    def keys(name, method):
        return {p.cell.key for p in points(name, FULL, [0]) if p.method == method}

    assert keys("fig1", "sm-delvm") == keys("fig2", "sm-delvm")
    assert len(keys("fig1", "sm-delvm")) == 32
    assert len(keys("fig3", "sm-delvm")) == 1
    assert len(keys("fig3", "cebm")) == 4


def test_reductions_are_told_in_words():
    said = "\n".join(reductions(SCALES["cpu"], "fashion", "layers", {"sm", "cd", "cebm"}))
    cpu = SCALES["cpu"]
    assert f"training rows: {cpu.train_size['fashion']} instead of all" in said
    assert f"epochs, CD: {cpu.image_epochs['cd']} instead of 100" in said
    assert f"at most {cpu.depth_filters} instead of the paper's best" in said
    assert "epochs, SM" not in said or cpu.image_epochs["sm"] != 10
    assert "autoencoders" not in said


def test_seeds_replace_the_scales_own():
    assert {p.cell.seed for p in points("fig7", SCALES["smoke"], [3, 5])} == {3, 5}
    assert {p.cell.seed for p in points("fig7", FULL)} == set(FULL.beat_seeds)
    assert np.size(FULL.image_seeds) > 1
