"""Results that are whole or not there."""

import pytest

from delvm_tf.runs.results import Results, make_folder, read_json, write_json


def test_pieces_survive_and_the_folder_appears_at_the_end(tmp_path):
    output = tmp_path / "out"
    results = Results(output, {"seeds": [0, 1]})
    results["seed-0"] = [{"auroc": 0.5}]
    assert not output.exists()

    again = Results(output, {"seeds": [0, 1]})
    assert "seed-0" in again
    assert "seed-1" not in again
    assert again["seed-0"] == [{"auroc": 0.5}]
    (again.folder / "results.csv").write_text("a,b\n")
    again.finish(["seed-0"])
    assert sorted(p.name for p in output.iterdir()) == ["config.json", "results.csv"]
    assert not again.folder.exists()


def test_another_configuration_starts_anew(tmp_path):
    results = Results(tmp_path / "out", {"epochs": 1})
    results["seed-0"] = 1
    assert "seed-0" not in Results(tmp_path / "out", {"epochs": 2})


def test_finished_results_are_replaced_only_by_finished_ones(tmp_path):
    output = tmp_path / "out"
    first = Results(output, {})
    (first.folder / "old.txt").write_text("old")
    first.finish([])
    second = Results(output, {})
    assert (output / "old.txt").exists()
    second.finish([])
    assert not (output / "old.txt").exists()


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot write to .*file.*; choose another folder"):
        make_folder(tmp_path / "file" / "under")


def test_json_is_written_whole(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1})
    assert read_json(tmp_path / "a.json") == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
