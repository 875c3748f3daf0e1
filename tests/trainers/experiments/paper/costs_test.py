"""Estimates of time."""

import pytest

from trainers.experiments.paper.costs import estimated_seconds
from trainers.experiments.paper.figures import FIGURES, points
from trainers.experiments.paper.recipes import Recipe
from trainers.experiments.paper.remaining import Remaining, clock
from trainers.experiments.paper.scales import CIFAR, SCALES


@pytest.mark.parametrize("scale", SCALES)
def test_every_cell_has_an_estimate(scale):
    for name in FIGURES:
        for point in points(name, SCALES[scale], [0]):
            assert estimated_seconds(point.cell) > 0


def test_more_work_is_estimated_to_take_longer():
    recipe = Recipe(CIFAR, SCALES["full"], 0)
    order = [
        recipe.baseline("raw pixels"), recipe.one_layer("random", 80, 9),
        recipe.one_layer("sm-delvm", 80, 9), recipe.one_layer("cd-delvm", 80, 9),
        recipe.stack("cd-delvm", 80, 9),
    ]  # fmt: skip
    seconds = [estimated_seconds(cell) for cell in order]
    assert seconds == sorted(seconds)


def test_the_rest_is_judged_by_what_was_done(beats):
    done, missing = beats.one_layer("sm-delvm", 16), beats.one_layer("cd-delvm", 16)
    remaining = Remaining([done, missing])
    before = remaining.seconds
    assert before == pytest.approx(estimated_seconds(done) + estimated_seconds(missing))
    remaining.done(done, 3 * estimated_seconds(done))
    assert remaining.seconds == pytest.approx(3 * estimated_seconds(missing))


def test_clock():
    assert clock(3725.4) == "1:02:05"
