"""Files of cells."""

import json

import pytest

from trainers.experiments.paper.store import CellStore

VALUE = {"results": {"1": {"f1": 0.5}}, "diverged": "", "seconds": 1.5}


@pytest.fixture
def said():
    return []


@pytest.fixture
def store(tmp_path, said):
    return CellStore(tmp_path / "cells", said.append)


def test_what_was_put_is_there_and_other_cells_are_not(store, beats, said):
    cell, other = beats.one_layer("sm-delvm", 16), beats.one_layer("sm-delvm", 32)
    assert store.get(cell) is None
    store.put(cell, VALUE)
    assert {key: store.get(cell)[key] for key in VALUE} == VALUE
    assert store.get(other) is None
    assert said == []
    assert [p.name for p in store.folder.iterdir()] == [f"{cell.key}.json"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: json.dumps({**json.loads(text), "results": {}}),
        lambda text: json.dumps({**json.loads(text), "seconds": None}),
        lambda text: text.replace('"seed": 0', '"seed": 1'),
    ],
)
def test_a_damaged_file_is_told_of_and_taken_for_missing(store, beats, said, damage):
    cell = beats.one_layer("sm-delvm", 16)
    store.put(cell, VALUE)
    path = store.folder / f"{cell.key}.json"
    path.write_text(damage(path.read_text()))
    assert store.get(cell) is None
    assert len(said) == 1
    assert "is damaged" in said[0]
    assert "computed again" in said[0]


def test_a_stack_that_diverged_halfway_is_whole(store, beats, said):
    cell = beats.stack("cd-delvm", 16)
    store.put(cell, {**VALUE, "diverged": "training diverged in epoch 3"})
    assert store.get(cell)["diverged"]
    store.put(cell, VALUE)
    assert store.get(cell) is None
    assert "[2] layers are missing" in said[0]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write to"):
        CellStore(tmp_path / "file" / "cells", print)
