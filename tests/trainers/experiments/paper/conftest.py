import pytest

from trainers.experiments.paper.recipes import Recipe
from trainers.experiments.paper.scales import BEATS, SCALES


@pytest.fixture
def beats():
    return Recipe(BEATS, SCALES["smoke"], 0)
