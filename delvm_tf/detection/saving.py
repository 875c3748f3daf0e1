"""Saving a fitted detector as a folder."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
from sklearn.utils.validation import check_is_fitted

from delvm_tf.detection import content
from delvm_tf.detection.detector import AnomalyDetector
from delvm_tf.storage.ownership import DamagedModelError, contents
from delvm_tf.storage.paths import local_path
from delvm_tf.storage.whole_folder import whole_folder


def save(
    detector: AnomalyDetector,
    path: str | os.PathLike[str],
    beside: Callable[[Path], Any] | None = None,
) -> Path:
    """Write a fitted detector; see `AnomalyDetector.save`.

    Args:
        detector: what to write.
        path: of the folder.
        beside: writes other files into the folder that it is given, which become part of the saved
            detector: they appear and are replaced with it. Loading reads none of them.
    """
    check_is_fitted(detector)
    folder = local_path(path, "the path of the detector")
    with whole_folder(folder, refuse_foreign) as made:
        if beside is not None:
            beside(made)
        for name, data in content.files_of(detector, contents(made)).items():
            (made / name).write_bytes(data)
    return folder


def load_detector(
    path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None
) -> Any:
    """The detector that `AnomalyDetector.save` wrote: the same scores, threshold and p-values.

    Checksums prove the files whole. No pickles are read, and no code is run that a file names;
    classes of one's own must be imported before.

    Args:
        path: the folder.
        custom_objects: classes and functions of its models that are not registered with Keras, by
            name, as for `keras.saving.load_model`.

    Raises:
        FileNotFoundError: if there is none.
        DamagedModelError: if a file of it is missing or altered.
        ValueError: names classes and functions that Keras does not know.

    Examples:
        >>> detector = dv.AnomalyDetector(model).fit(x)
        >>> folder = detector.save("detector")
        >>> again = dv.load_detector("detector")
        >>> again.threshold_ == detector.threshold_
        True
    """
    folder = local_path(path, "the path of the detector")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; give what detector.save was given")
    with keras.saving.custom_object_scope(dict(custom_objects or {})):
        found = content.detector_of(_files(folder), str(folder))
    if not isinstance(found, AnomalyDetector):
        raise DamagedModelError(f"{folder} holds a {type(found).__name__}, and no AnomalyDetector")
    return found


def _files(folder: Path) -> dict[str, bytes]:
    """The detector's own files, as far as they are there; what lies beside them stays unread."""
    paths = (path for path in folder.iterdir() if content.is_own(path.name))
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


def refuse_foreign(folder: Path) -> None:
    """Refuse to replace anything but a saved detector as it was written.

    Raises:
        FileExistsError: what else is there.
        OSError: if a disk or a folder of another machine is mounted there, which stays in place.
    """
    if not os.path.lexists(folder):
        return
    if os.path.ismount(folder):
        raise OSError(
            f"cannot save to {folder}: it is mounted, and cannot be replaced as a whole; choose a "
            f"folder in it, such as {folder / 'model'}"
        )
    problem = "it is no folder"
    if folder.is_dir() and not folder.is_symlink():
        if not any(folder.iterdir()):
            return
        problem = f"it holds no {content.RECORD}"
        if (folder / content.RECORD).is_file():  # or it may be a home folder, to be left unread
            try:
                record = content.checked_record(_files(folder), "it")
            except DamagedModelError as error:
                problem = str(error)
            else:
                found = contents(folder)
                known = {**record["beside"], **record["checksums"]}
                known[content.RECORD] = found[content.RECORD]
                foreign = [name for name in found if found[name] != known.get(name)]
                if not foreign:
                    return
                problem = f"it has files of another origin: {', '.join(sorted(foreign)[:5])}"
    raise FileExistsError(
        f"cannot save to {folder}: what is there was not written by this program, or was changed "
        f"since ({problem}); move it away, or choose another folder"
    )
