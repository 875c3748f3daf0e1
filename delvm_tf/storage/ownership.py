"""Writing without losing anything: files that are whole, and folders that are known as our own.

Nothing here deletes or replaces what this library did not write. A folder of its own holds a record
that says so; a folder without one is refused as soon as there is anything in it.
"""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

MARKER = ".delvm_tf.json"
_AUTHOR = "delvm_tf"


class DamagedModelError(ValueError):
    """A folder of a model is not whole, or not what its record says.

    Examples:
        >>> import pathlib
        >>> folder = dv.AnomalyDetector(model).fit(x).save("detector")
        >>> pathlib.Path("detector/detector.json").write_text("{}")
        >>> try:
        ...     dv.load_detector("detector")
        ... except dv.serving.DamagedModelError as error:
        ...     print(error)
        detector has no readable detector.json: ...
    """


# Files.


@contextlib.contextmanager
def whole(path: Path, replace: bool = True) -> Iterator[Path]:
    """A path to write to, whose file gets the name `path` at the end of the block.

    After an error, an interruption or a kill `path` is what it was before. A link is followed. The
    new file has the permissions of the old one.

    Args:
        path: in a folder that exists.
        replace: whether a file of that name may be there.

    Raises:
        FileExistsError: if there is a file and it may not be replaced, or something else.
        PermissionError: if the file there may not be written.
    """
    target = Path(os.path.realpath(path))
    ending = "".join(target.suffixes[-2:])  # some writers go by it
    partial = target.with_name(f".{uuid.uuid4().hex[:12]}.partial{ending}")
    check_target(path, replace)
    try:
        yield partial
        check_target(path, replace)
        if target.exists():
            shutil.copymode(target, partial)
        partial.replace(target)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def check_target(path: Path, replace: bool = True) -> None:
    """Refuse a path that a file cannot be written to; see `whole`."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise FileExistsError(f"cannot write {path}: it is {kind}; choose another name")
    if path.exists() and not replace:
        raise FileExistsError(f"cannot write {path}: it exists; remove it, or choose another name")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"cannot write {path}: it may not be changed; choose another name")


def refuse_foreign_file(path: Path, ours: bool) -> None:
    """Refuse to replace a file that this library did not write.

    Args:
        path: may exist or not.
        ours: whether its contents show that; of no account if it is empty or there is none.

    Raises:
        FileExistsError: what is there, and what to do.
    """
    check_target(path)
    if path.exists() and path.stat().st_size and not ours:
        raise FileExistsError(
            f"{path} exists, and this program did not write it, so it is not replaced; move it "
            f"away, or choose another name"
        )


def read_json(path: Path) -> Any:
    """Contents of a JSON file."""
    return json.loads(path.read_text())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that is either whole or not there."""
    write_text(path, json.dumps(value, indent=1))


def write_text(path: Path, text: str) -> None:
    """Write a file that is either whole or not there."""
    with whole(path) as partial:
        partial.write_text(text)


# Folders.


def make_folder(path: Path) -> None:
    """Make a folder and try to write there, or say that it cannot be done.

    Raises:
        OSError: what the path is, and what to do.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OSError(f"cannot write to {path}: {error}; choose another folder") from error


@contextlib.contextmanager
def made_folder(path: Path) -> Iterator[None]:
    """A folder to write into in the block, made if there is none; see `make_folder`.

    After an error or an interruption the folders that were made are removed again, as far as there
    is nothing in them.
    """
    new = list(itertools.takewhile(lambda each: not os.path.lexists(each), (path, *path.parents)))
    try:
        make_folder(path)
        yield
    except BaseException:
        for each in new:
            remove_if_empty(each)
        raise


def claim(folder: Path, purpose: str) -> Path:
    """Take a folder for our own: one that is new or empty, or was taken for the same before.

    Args:
        folder: made if it does not exist.
        purpose: what is kept there.

    Raises:
        FileExistsError: if there is anything else in the folder.
        OSError: if it cannot be written.
    """
    existed = os.path.lexists(folder)
    with made_folder(folder):
        record = _own_json(folder / MARKER)
        if record is not None and record.get("purpose") == purpose:
            return folder
        if found := sorted(p.name for p in folder.iterdir()):
            foreign = "what was not written by this program"
            what = foreign if record is None else record.get("purpose")
            raise FileExistsError(
                f"{folder} holds {what} ({_some(found)}), and is needed for {purpose}, where files "
                f"are replaced; choose another folder, or a new one in it"
            )
        write_json(folder / MARKER, {"author": _AUTHOR, "purpose": purpose, "made": not existed})
    return folder


def release(folder: Path, names: Iterable[str]) -> None:
    """Give a claimed folder back: without the files of these names, and all else left as it is.

    The folder goes too if `claim` has made it and it is empty then.
    """
    record = _own_json(folder / MARKER)
    if record is None:
        return
    remove_files(folder, [*names, MARKER])
    if record.get("made") and not folder.is_symlink():
        remove_if_empty(folder)


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Delete files of a folder by their names in it, and the folders in it that become empty.

    Nothing is deleted through a link that leads out of the folder.
    """
    emptied = set()
    for name in names:
        path = folder / name
        inside = [parent for parent in path.parents if folder in parent.parents]
        is_folder = path.is_dir() and not path.is_symlink()
        if is_folder or any(parent.is_symlink() for parent in inside):
            continue
        path.unlink(missing_ok=True)
        emptied |= set(inside)
    for each in sorted(emptied, key=lambda p: len(p.parts), reverse=True):
        remove_if_empty(each)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder if there is nothing in it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def contents(folder: Path) -> dict[str, str]:
    """Files, links and empty folders below a folder, with digests of the files. Follows no link."""
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            found[path.name] = f"link to {path.readlink()}"
        elif path.is_dir():
            inner = contents(path)
            found |= {f"{path.name}/{name}": digest for name, digest in inner.items()}
            if not inner:
                found[f"{path.name}/"] = "empty folder"
        elif path.is_file():
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            found[path.name] = "special file"
    return found


# Folders of results: in the making under another name, and whole at the end.

RECORD = "config.json"


def unfinished_folder(output: Path, config: Any) -> Path:
    """The folder where a run with this configuration keeps what it has, until it is finished.

    It lies beside the output and is called `….partial`, or `….partial-2` and so on where that one
    is of an unfinished run with another configuration, which is left as it is.

    Args:
        output: file or folder to be.
        config: what decides whether a run may go on with what is there, as JSON.

    Raises:
        FileExistsError: if there is a folder of that name that no such run has made.
        OSError: if it cannot be written.
    """
    config = json.loads(json.dumps(config))
    number = 1
    while True:
        ending = ".partial" if number == 1 else f".partial-{number}"
        folder = output.with_name(output.name + ending)
        record = None if folder.is_symlink() else _own_json(folder / RECORD)
        if record is None:
            if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
                raise FileExistsError(
                    f"{folder} is needed for unfinished results, and what is there was not written "
                    f"by this program; move it away, or choose another output"
                )
            with made_folder(folder):
                write_json(folder / RECORD, {"author": _AUTHOR, "config": config})
            return folder
        if record.get("config") == config:
            make_folder(folder)
            return folder
        number += 1


def seal(folder: Path) -> None:
    """Note in the record of an unfinished folder what is in it, so that it is known later."""
    files = contents(folder)
    files.pop(RECORD, None)
    record = {**read_json(folder / RECORD), "id": uuid.uuid4().hex, "files": files}
    write_json(folder / RECORD, record)


def sealed(folder: Path) -> str | None:
    """The identity of finished results; None if there is no folder, or an empty one.

    Raises:
        FileExistsError: if there is anything in it that was not sealed, was changed since, or if
            the path is no folder.
    """
    if not os.path.lexists(folder):
        return None
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is needed for results, and is no folder; choose another")
    record = _own_json(folder / RECORD) or {}
    if "files" in record:
        found = contents(folder)
        known = {**record["files"], RECORD: found.get(RECORD)}
        foreign = sorted(name for name, digest in found.items() if known.get(name) != digest)
    else:  # not read through: it may be a home folder
        foreign = sorted(path.name for path in folder.iterdir())
        if not foreign:
            return None
    if foreign:
        raise FileExistsError(
            f"{folder} is needed for results, and holds what this program did not write, or what "
            f"was changed since ({_some(foreign)}); move that away, or choose another folder"
        )
    return str(record["id"])


def remove_sealed(folder: Path) -> None:
    """Delete finished results, if nothing else is in their folder.

    Raises:
        FileExistsError: as `sealed`.
    """
    if sealed(folder) is not None:
        files = read_json(folder / RECORD)["files"]
        remove_files(folder, [*files, RECORD])
    remove_if_empty(folder)


def _own_json(path: Path) -> dict[str, Any] | None:
    """A record of this library; None if there is none or it is another's."""
    try:
        record = read_json(path)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("author") == _AUTHOR else None


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
