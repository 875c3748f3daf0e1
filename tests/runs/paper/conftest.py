import pytest

from delvm_tf.runs.paper.recipes import Recipe
from delvm_tf.runs.paper.scales import BEATS, SCALES


@pytest.fixture
def beats():
    return Recipe(BEATS, SCALES["smoke"], 0)
