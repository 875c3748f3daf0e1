"""The names of cells."""

import dataclasses
import re

from trainers.experiments.paper.cells import Maker
from trainers.experiments.paper.tables import SCALES


def test_a_key_is_readable_and_a_file_name(beats):
    key = beats.one_layer("sm-delvm-printed", 32).key
    assert re.fullmatch(r"ecg5000-paper-sm-delvm-printed-32-seed0-[0-9a-f]{10}", key)
    assert re.fullmatch(r"[\w-]+", beats.baseline("PCA residual (4)").key)


def test_whatever_decides_the_numbers_decides_the_key(beats):
    cell = beats.one_layer("sm-delvm", 32)
    specification = cell.specification
    others = [
        dataclasses.replace(cell, seed=1),
        dataclasses.replace(cell, trained=False),
        dataclasses.replace(cell, depths=(1, 2)),
        dataclasses.replace(cell, protocol=dataclasses.replace(cell.protocol, test_size=1)),
        *(
            dataclasses.replace(cell, specification=dataclasses.replace(specification, **change))
            for change in (
                {"epochs": 99}, {"learning_rate": 0.5}, {"objective_settings": {"sign": "x"}},
                {"model_settings": {**specification.model_settings, "scale": 2.5}},
            )
        ),
    ]  # fmt: skip
    assert len({cell.key, *(other.key for other in others)}) == 1 + len(others)
    assert cell.key == beats.one_layer("sm-delvm", 32).key


def test_layers_in_words():
    maker = Maker("fashion", SCALES["full"], 0)
    assert maker.one_layer("sm-delvm", 70, 5).layers == "70 filters of 5×5"
    assert maker.stack("cd-delvm", 80, 9).layers == "80 filters of 9×9"
    assert maker.cebm("cebm", 2).layers == "64, 64 filters of sides 3, 4"
    assert maker.baseline("raw pixels").layers == ""
