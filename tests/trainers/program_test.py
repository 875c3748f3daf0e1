"""What all programs share."""

from trainers.program import activation

import os
import shlex
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("depth", [0, 12])
def test_the_environment_is_named_by_the_shorter_path(depth, tmp_path, monkeypatch):
    """Relative where it is near, absolute where one would have to climb far."""
    monkeypatch.setenv("PATH", str(tmp_path))  # has no command `delvm`
    place = Path(sys.prefix).parent if not depth else tmp_path.joinpath(*"abcdefghijkl")
    place.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(place)
    shown = Path(shlex.split(activation().partition("source ")[2])[0])
    assert shown.resolve() == Path(sys.prefix, "bin", "activate").resolve()
    assert shown.is_absolute() == bool(depth)
    assert len(str(shown)) <= len(os.path.relpath(Path(sys.prefix, "bin", "activate")))


def test_nothing_is_said_where_the_commands_are_known(tmp_path, monkeypatch):
    command = tmp_path / "delvm"
    command.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert activation() == ""
