"""Saving a fitted detector as a folder."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from delvm_tf.detection import content
from delvm_tf.detection.detector import AnomalyDetector
from delvm_tf.storage.ownership import DamagedModelError, make_folder
from delvm_tf.storage.paths import local_path


def save(detector: AnomalyDetector, path: str | os.PathLike[str]) -> Path:
    """Write a fitted detector; see `AnomalyDetector.save`."""
    check_is_fitted(detector)
    folder = local_path(path, "the path of the detector")
    _refuse_foreign(folder)
    files = content.files_of(detector)
    make_folder(folder.parent)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        made, old = partial / "made", partial / "old"
        made.mkdir()
        for name, data in files.items():
            (made / name).write_bytes(data)
        _refuse_foreign(folder)
        if folder.exists():
            folder.rename(old)
        made.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def load_detector(path: str | os.PathLike[str]) -> Any:
    """The detector that `AnomalyDetector.save` wrote: the same scores, threshold and p-values.

    Checksums prove the files whole. No pickles are read, and no code is run that a file names;
    classes of one's own must be imported before.

    Args:
        path: the folder.

    Raises:
        FileNotFoundError: if there is none.
        DamagedModelError: if a file is missing, altered or of another origin.
    """
    folder = local_path(path, "the path of the detector")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; give what detector.save was given")
    found = content.detector_of(_files(folder), str(folder))
    if not isinstance(found, AnomalyDetector):
        raise DamagedModelError(f"{folder} holds a {type(found).__name__}, and no AnomalyDetector")
    return found


def _files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if not path.is_dir())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _refuse_foreign(folder: Path) -> None:
    """Refuse to replace anything but a saved detector as it was written."""
    if not os.path.lexists(folder):
        return
    problem = "it is no folder"
    if folder.is_dir() and not folder.is_symlink():
        if not any(folder.iterdir()):
            return
        problem = f"it holds no {content.RECORD}"
        if (folder / content.RECORD).is_file():  # or it may be a home folder, to be left unread
            try:
                content.checked_record(_files(folder), "it")
            except DamagedModelError as error:
                problem = str(error)
            else:
                return
    raise FileExistsError(
        f"cannot save to {folder}: what is there was not written by this program, or was changed "
        f"since ({problem}); move it away, or choose another folder"
    )
