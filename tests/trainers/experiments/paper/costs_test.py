"""Estimates of time."""

import pytest

from trainers.experiments.paper.cells import Maker
from trainers.experiments.paper.costs import Remaining, clock, estimated_seconds
from trainers.experiments.paper.points import points
from trainers.experiments.paper.tables import FIGURES, SCALES


@pytest.mark.parametrize("scale", SCALES)
def test_every_cell_has_an_estimate(scale):
    for name in FIGURES:
        for point in points(name, SCALES[scale], [0]):
            assert estimated_seconds(point.cell) > 0


def test_more_work_is_estimated_to_take_longer():
    maker = Maker("cifar", SCALES["full"], 0)
    order = [
        maker.baseline("raw pixels"), maker.one_layer("random", 80, 9),
        maker.one_layer("sm-delvm", 80, 9), maker.one_layer("cd-delvm", 80, 9),
        maker.stack("cd-delvm", 80, 9),
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
