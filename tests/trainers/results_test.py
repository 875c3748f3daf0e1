"""Results that are whole or not there."""

import os

import pytest

from trainers.results import Results, make_folder, read_json, write_json


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


def finished(output, text="ours", **config):
    results = Results(output, config)
    results["seed-0"] = text
    (results.folder / "pictures").mkdir()
    (results.folder / "pictures" / "a.txt").write_text(text)
    results.finish(["seed-0"])
    return output


def test_a_users_folder_is_refused_before_any_work(tmp_path):
    output = tmp_path / "thesis"
    output.mkdir()
    (output / "config.json").write_text('{"files": {}, "author": "me"}')
    with pytest.raises(FileExistsError, match=r"thesis .*did not write.*config\.json.*move"):
        Results(output, {})
    assert os.listdir(tmp_path) == ["thesis"]
    assert os.listdir(output) == ["config.json"]


@pytest.mark.parametrize("change", ["notes.txt", "pictures/notes.txt", "pictures/a.txt", "empty/"])
def test_what_a_user_added_or_changed_is_not_lost(tmp_path, change):
    output = finished(tmp_path / "out")
    if change.endswith("/"):
        (output / change).mkdir()
    else:
        (output / change).write_text("mine")
    with pytest.raises(FileExistsError, match=f"changed since .{change}"):
        Results(output, {})
    assert (output / change).exists()


def test_what_comes_during_the_run_is_not_lost_either(tmp_path):
    output = finished(tmp_path / "out", "first")
    results = Results(output, {"epochs": 2})
    (output / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        results.finish([])
    assert (output / "notes.txt").read_text() == "mine"
    assert results.folder.exists()


def test_a_link_to_a_users_folder_is_refused_and_one_to_ours_is_followed(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "data.csv").write_text("mine")
    (tmp_path / "out").symlink_to(tmp_path / "theirs")
    with pytest.raises(FileExistsError, match=r"data\.csv"):
        Results(tmp_path / "out", {})
    (tmp_path / "out").unlink()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    finished(tmp_path / "out", "first")
    finished(tmp_path / "out", "second")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "real" / "pictures" / "a.txt").read_text() == "second"


def test_nothing_is_lost_through_a_link_in_our_folder(tmp_path):
    output = finished(tmp_path / "out")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("ours")  # of the same name and contents
    (output / "pictures" / "a.txt").unlink()
    (output / "pictures").rmdir()
    (output / "pictures").symlink_to(outside)
    with pytest.raises(FileExistsError, match="pictures"):
        Results(output, {})
    assert (outside / "a.txt").exists()


def test_a_file_and_the_current_folder_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="is no folder"):
        Results(tmp_path / "file", {})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for output in (".", tmp_path / "here", "../here"):
        with pytest.raises(FileExistsError, match="is the current folder"):
            Results(output, {})
    with pytest.raises(ValueError, match="is empty"):
        Results("", {})


def test_unfinished_pieces_of_another_configuration_are_kept(tmp_path):
    one = Results(tmp_path / "out", {"epochs": 1})
    one["seed-0"] = "hours of work"
    other = Results(tmp_path / "out", {"epochs": 2})
    assert "seed-0" not in other
    other.finish([])
    again = Results(tmp_path / "out", {"epochs": 1})
    assert again["seed-0"] == "hours of work"


def test_of_two_runs_at_once_neither_is_lost(tmp_path):
    one, two = (Results(tmp_path / "out", {"epochs": n}) for n in (1, 2))
    for results in (one, two):
        (results.folder / "a.txt").write_text(str(results.folder))
    two.finish([])
    with pytest.raises(FileExistsError, match=f"another run .*; the results .*{one.folder}"):
        one.finish([])
    assert (one.folder / "a.txt").exists()
    assert (tmp_path / "out" / "a.txt").read_text() == str(two.folder)


@pytest.mark.parametrize("before", [0, 1, 2])
def test_an_interruption_while_finishing_loses_nothing(tmp_path, monkeypatch, before):
    """Each of the renames may be the one that does not happen."""
    output = finished(tmp_path / "out", "old")
    results = Results(output, {"epochs": 2})
    results["seed-0"] = "new"
    moved = []

    def counting(move):
        def wrapped(self, target):
            if str(target).endswith(("out", ".replaced")):
                moved.append(target)
                if len(moved) == before + 1:
                    raise KeyboardInterrupt
            return move(self, target)

        return wrapped

    path = type(output)
    monkeypatch.setattr(path, "rename", counting(path.rename))
    monkeypatch.setattr(path, "replace", counting(path.replace))
    if before < 2:
        with pytest.raises(KeyboardInterrupt):
            results.finish(["seed-0"])
    monkeypatch.undo()
    again = Results(output, {"epochs": 2})
    if before < 2:
        assert (output / "pictures" / "a.txt").read_text() == "old"
        assert again["seed-0"] == "new"
        again.finish(["seed-0"])
    assert sorted(p.name for p in tmp_path.iterdir() if "partial" not in p.name) == ["out"]


def test_old_results_come_back_after_a_kill_between_the_renames(tmp_path):
    output = finished(tmp_path / "out", "old")
    output.rename(tmp_path / "out.replaced")
    Results(output, {})
    assert (output / "pictures" / "a.txt").read_text() == "old"
    assert not (tmp_path / "out.replaced").exists()


def test_a_users_folder_beside_the_results_is_not_touched(tmp_path):
    (tmp_path / "out.replaced").mkdir()
    (tmp_path / "out.replaced" / "a.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"out\.replaced"):
        Results(tmp_path / "out", {})
    assert (tmp_path / "out.replaced" / "a.txt").read_text() == "mine"
