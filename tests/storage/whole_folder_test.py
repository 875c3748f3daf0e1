"""A folder appears whole, and what was there before is not lost."""

import errno
from pathlib import Path

import pytest

from delvm_tf.storage.whole_folder import whole_folder


def allow(folder):
    pass


def write(folder, text="new", error=None):
    with whole_folder(folder, allow) as made:
        (made / "a.txt").write_text(text)
        if error is not None:
            raise error


def test_it_appears_at_the_end_and_replaces_all_of_the_old_one(tmp_path):
    folder = tmp_path / "deep" / "model"
    write(folder, "old")
    (folder / "b.txt").write_text("old")
    with whole_folder(folder, allow) as made:
        (made / "a.txt").write_text("new")
        assert (folder / "a.txt").read_text() == "old"
    assert {p.name: p.read_text() for p in folder.iterdir()} == {"a.txt": "new"}
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interruption_leaves_the_old_one(tmp_path, error):
    write(tmp_path / "model", "old")
    for name in ("model", "new"):
        with pytest.raises(type(error)):
            write(tmp_path / name, "half", error)
    assert (tmp_path / "model" / "a.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_an_interruption_between_the_renamings_puts_the_old_one_back(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    write(folder, "old")
    rename = Path.rename

    def interrupted(path, target):
        if path.name == "made":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(folder)
    assert (folder / "a.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_what_comes_meanwhile_is_left(tmp_path):
    folder = tmp_path / "model"

    def refuse(path):
        if path.exists():
            raise FileExistsError(path)

    def theirs_comes():
        with whole_folder(folder, refuse) as made:
            (made / "a.txt").write_text("ours")
            folder.mkdir()
            (folder / "a.txt").write_text("theirs")

    with pytest.raises(FileExistsError):
        theirs_comes()
    assert (folder / "a.txt").read_text() == "theirs"
    with pytest.raises(FileExistsError):  # and before any work
        theirs_comes()
