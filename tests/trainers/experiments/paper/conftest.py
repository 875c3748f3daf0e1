import pytest

from trainers.experiments.paper.cells import Maker
from trainers.experiments.paper.tables import BEATS, SCALES


@pytest.fixture
def beats():
    return Maker(BEATS, SCALES["smoke"], 0)
