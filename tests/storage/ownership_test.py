"""Nothing is deleted or replaced that was not written here."""

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from delvm_tf.storage.ownership import (
    claim,
    contents,
    made_folder,
    refuse_foreign_file,
    release,
    remove_files,
    sealed,
    unfinished_folder,
    whole,
    write_json,
    write_text,
)  # fmt: skip


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    write_text(path, "second")
    assert path.read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interruption_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write():
        with whole(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_files_of_a_user_with_names_like_ours_are_left(tmp_path):
    for name in ("a.partial", "a.writing", "a.partial.png", ".try"):
        (tmp_path / name).write_text("mine")
    write_text(tmp_path / "a.txt", "new")
    write_text(tmp_path / "a.png", "new")
    for name in ("a.partial", "a.writing", "a.partial.png", ".try"):
        assert (tmp_path / name).read_text() == "mine"


def test_a_link_is_followed_and_permissions_are_kept(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "real.txt").chmod(0o640)
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "real.txt").stat().st_mode) == 0o640


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(FileExistsError, match=r"cannot write .*(no regular file|a folder)"):
            write_text(tmp_path / name, "new")
    with pytest.raises(FileExistsError, match="no regular file"):
        write_text(Path("/dev/null"), "new")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_file_that_comes_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "a.txt"

    def write():
        with whole(path, replace=False) as partial:
            partial.write_text("ours")
            path.write_text("theirs")

    with pytest.raises(FileExistsError, match="it exists"):
        write()
    assert path.read_text() == "theirs"


def test_a_foreign_file_is_refused_and_an_empty_one_is_not(tmp_path):
    path = tmp_path / "a.txt"
    refuse_foreign_file(path, ours=False)
    path.touch()
    refuse_foreign_file(path, ours=False)
    path.write_text("mine")
    refuse_foreign_file(path, ours=True)
    with pytest.raises(FileExistsError, match=r"a\.txt exists, and this program did not write it"):
        refuse_foreign_file(path, ours=False)


def test_a_folder_is_claimed_when_new_or_empty_or_ours(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "new" / "deep"):
        assert claim(folder, "tests") == folder
        (folder / "mine.txt").write_text("")
        assert claim(folder, "tests") == folder
        with pytest.raises(FileExistsError, match=r"holds tests .*needed for other things"):
            claim(folder, "other things")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"thesis\.tex.*choose another folder"):
        claim(tmp_path / "theirs", "tests")
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(FileExistsError, match=r"thesis\.tex"):
        claim(tmp_path / "link", "tests")
    assert os.listdir(tmp_path / "theirs") == ["thesis.tex"]


def test_a_released_folder_keeps_what_is_not_named(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, kept in (("made", False), ("empty", True)):
        folder = claim(tmp_path / name, "tests")
        (folder / "a").mkdir()
        (folder / "a" / "b.txt").write_text("")
        release(folder, ["a/b.txt", "never-written"])
        assert folder.exists() == kept
    folder = claim(tmp_path / "made", "tests")
    (folder / "notes.txt").write_text("mine")
    release(folder, ["a/b.txt"])
    assert contents(folder).keys() == {"notes.txt"}


def test_nothing_is_removed_through_a_link(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.txt").write_text("mine")
    folder = claim(tmp_path / "ours", "tests")
    (folder / "a").symlink_to(outside)
    (folder / "c.txt").symlink_to(outside / "b.txt")
    remove_files(folder, ["a/b.txt", "c.txt", "a"])
    assert (outside / "b.txt").read_text() == "mine"
    assert not (folder / "c.txt").is_symlink()


def test_unfinished_work_of_another_configuration_stays(tmp_path):
    first = unfinished_folder(tmp_path / "out", {"epochs": 1})
    (first / "piece.json").write_text("1")
    second = unfinished_folder(tmp_path / "out", {"epochs": 2})
    assert second != first
    assert not list(second.glob("piece*"))
    assert unfinished_folder(tmp_path / "out", {"epochs": 1}) == first
    assert (first / "piece.json").read_text() == "1"


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_a_folder_that_only_has_the_name_of_unfinished_work_is_refused(tmp_path, kind):
    theirs, name = tmp_path / "theirs", tmp_path / "out.partial"
    theirs.mkdir()
    (theirs / "config.json").write_text('{"model": "another program"}')
    if kind == "folder":
        theirs.rename(name)
    elif kind == "link":
        name.symlink_to(theirs)
    else:
        name.write_text("mine")
    with pytest.raises(FileExistsError, match="not written by this program"):
        unfinished_folder(tmp_path / "out", {})
    if kind != "file":
        assert "another program" in (name / "config.json").read_text()


RESULTS = Path(__file__).parents[2] / "results"
CLAIMED = {
    "paper-cpu": "the paper's figures",
    "search-ecg5000": "a search",
    "benchmarks/score_matching": "benchmarks of score matching",
    "benchmarks/models": "a benchmark of models",
}


@pytest.mark.parametrize("folder", sorted(p.name for p in RESULTS.iterdir() if p.is_dir()))
def test_committed_results_can_be_made_again_in_their_place(folder, tmp_path):
    """By the command beside them, whose program knows the folder for its own."""
    kept = shutil.copytree(RESULTS / folder, tmp_path / folder)
    claimed = {name: purpose for name, purpose in CLAIMED.items() if name.startswith(folder)}
    for name, purpose in claimed.items():
        assert claim(tmp_path / name, purpose) == tmp_path / name
    if not claimed and folder != "parity":  # whose program looks at each file
        assert sealed(kept) is not None


def test_a_folder_of_something_else_is_refused_without_reading_it_through(tmp_path):
    (tmp_path / "home" / "data").mkdir(parents=True)
    (tmp_path / "home" / "data" / "large").write_text("mine")
    (tmp_path / "home" / "data" / "large").chmod(0)
    with pytest.raises(FileExistsError, match=r"did not write, or what was changed since \(data\)"):
        sealed(tmp_path / "home")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_folders_that_were_made_go_again_after_an_error(tmp_path, error):
    def fill(name, files):
        with made_folder(tmp_path / name):
            for file in files:
                (tmp_path / file).write_text("")
            raise error

    (tmp_path / "old").mkdir()
    for name, files, left in (
        ("a/b/c", [], []), ("old", [], []), ("old/d", [], []),
        ("e/f", ["e/kept"], ["e", "e/kept"]),
    ):  # fmt: skip
        with pytest.raises(type(error)):
            fill(name, files)
        found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
        assert found == [*left, "old"]
    with made_folder(tmp_path / "g" / "h"):
        pass
    assert (tmp_path / "g" / "h").is_dir()


def test_no_folder_is_left_whose_record_could_not_be_written(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr(Path, "replace", full)
    for begin in (lambda: unfinished_folder(tmp_path / "a", 1), lambda: claim(tmp_path / "b", "c")):
        with pytest.raises(OSError, match="No space left"):
            begin()
    assert not [*tmp_path.iterdir()]
