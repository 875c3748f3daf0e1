"""What a path may be: of this machine, expanded, and not an address that would become a folder."""

import glob
import os
import re
from pathlib import Path

# Path("gs://bucket") is "gs:/bucket", so one slash is enough to know an address.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
# TensorFlow looks for a checkpoint by a pattern, in which these do not stand for themselves.
_UNREADABLE = ("[", "\\")


def local_path(path: str | os.PathLike[str], what: str = "the path") -> Path:
    """A path of this machine's file system, with `~` for the home folder expanded.

    Args:
        path: as the user gave it.
        what: it is the path of, for the message.

    Raises:
        TypeError: if it is no path.
        ValueError: if it is empty, or the address of another file system, such as `gs://` or
            `file://`, or of another operating system. Python would take any of them for the name
            of a local folder.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{what} must be a str or a pathlib.Path, got {type(path).__name__}")
    text = os.fsdecode(os.fspath(path))
    if not text.strip():
        raise ValueError(f"{what} is empty; give the path of a file or folder ('.' for this one)")
    if "\0" in text:
        raise ValueError(f"{what} holds a null character: {text!r}")
    if _ADDRESS.match(text):
        raise ValueError(
            f"{what} must be a path of this machine, got the address {text}; use a local path, and "
            f"copy from or to the address, for example with tf.io.gfile.copy, or mount it"
        )
    if os.name != "nt" and _WINDOWS.match(text):
        raise ValueError(
            f"{what} must be a path of this machine, got {text}, which is one of Windows; "
            f"write it as this system does, such as /home/me/models"
        )
    return Path(os.path.expanduser(text))


def check_checkpoint_path(path: Path) -> None:
    r"""Refuse a folder from which TensorFlow cannot read a checkpoint that it writes there.

    Raises:
        ValueError: if the path, made absolute, holds `[` or `\`.
    """
    absolute = Path(os.path.realpath(path))
    if found := [c for c in _UNREADABLE if c in f"{absolute}{path}"]:
        raise ValueError(
            f"TensorFlow cannot load a model from {absolute}: it reads {' and '.join(found)} in a "
            f"path as part of a pattern; choose a folder without such characters"
        )


def matching(pattern: str | os.PathLike[str]) -> list[Path]:
    """The files that fit a pattern, sorted; leading folders and a file of that very name count.

    So `run[200]/*.csv` finds the files of a folder that is called `run[200]`, and `a[1].csv` the
    file of that name.

    Args:
        pattern: with `*`, `?`, `[...]`, and `**` for any folders.

    Raises:
        ValueError: if there are files both for the name as it stands and for the pattern, or it is
            no path of this machine.
    """
    text = str(local_path(pattern, "the pattern"))
    as_pattern = _files(text)
    as_named = _files(_with_literal_start(text))
    if as_pattern and as_named and as_pattern != as_named:
        raise ValueError(
            f"{text} is the name of {as_named[0]} and a pattern that fits {as_pattern[0]}; write "
            f"[[] for a bracket that stands for itself, or another pattern"
        )
    return as_named or as_pattern


def _with_literal_start(pattern: str) -> str:
    """The pattern, its longest beginning that exists taken as it stands."""
    parts = Path(pattern).parts
    for count in range(len(parts), 0, -1):
        start = Path(*parts[:count])
        if start.exists():
            return str(Path(glob.escape(str(start)), *parts[count:]))
    return pattern


def _files(pattern: str) -> list[Path]:
    found = glob.glob(pattern, recursive=True)
    return sorted({Path(p) for p in found if Path(p).is_file()})
