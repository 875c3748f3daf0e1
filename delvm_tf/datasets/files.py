"""Finding an archive in a folder or through TensorFlow Datasets, and reading it once.

The folder is the argument `data_dir` or, without it, the environment variable `DELVM_DATA_DIR`.
"""

import functools
import os
import zipfile
from pathlib import Path

import numpy as np

from delvm_tf.datasets import tfds
from delvm_tf.datasets.archive import Archive, Arrays, ContentsError
from delvm_tf.storage.paths import local_path

VARIABLE = "DELVM_DATA_DIR"

# Unpacking CIFAR-10 takes 10 s and 180 MB; the three archives together stay in memory.
_CACHED = 4


def find(archive: Archive, data_dir: str | os.PathLike[str] | None = None) -> Arrays:
    """The verified arrays of an archive, from `<name>.npz` or TensorFlow Datasets.

    Read-only, and shared by all callers in this process. A wrong file is an error; only a missing
    one is downloaded.

    Args:
        archive: what to find.
        data_dir: folder of the file; by default `$DELVM_DATA_DIR`.

    Raises:
        ContentsError: if the file or the download is damaged or altered.
        FileNotFoundError: if there is no file and TensorFlow Datasets cannot provide the data;
            the message says what was tried and both ways to provide them.
        ValueError: if `data_dir` is empty or not a local path.
    """
    folder = os.environ.get(VARIABLE) if data_dir is None else data_dir
    looked = f"{VARIABLE} is not set"
    if folder is not None and (folder or data_dir is not None):
        path = local_path(folder, VARIABLE if data_dir is None else "data_dir")
        path = path / f"{archive.name}.npz"
        if path.is_file():
            return read(archive, path)
        source = f"{VARIABLE}={folder}" if data_dir is None else f"data_dir={str(folder)!r}"
        problem = "does not exist" if path.parent.is_dir() else "is in a folder that does not exist"
        looked = f"{path} ({source}) {problem}"
    try:
        return _download(archive)
    except ContentsError:
        raise
    except Exception as error:  # TFDS raises whatever its network and file libraries raise
        raise FileNotFoundError(
            f"{archive.name} was not found: {looked}, and TensorFlow Datasets failed with "
            f"{type(error).__name__}: {error}. Either put {archive.name}.npz, with the arrays "
            f"{archive.contents}, into a folder and set {VARIABLE} to that folder, or "
            f"`pip install delvm_tf[tfds]` and load it again with access to the network."
        ) from error


def read(archive: Archive, path: Path, remedy: str | None = None) -> Arrays:
    """The verified arrays of an existing file, unpacked once per process and version of the file.

    Raises:
        ContentsError: if the file is damaged, altered or another one; `remedy` says what to do.
    """
    state = path.stat()
    remedy = remedy or f"download or copy {archive.name}.npz again"
    return _read(archive, path.resolve(), (state.st_mtime_ns, state.st_size), remedy)


@functools.lru_cache(maxsize=_CACHED)
def _read(archive: Archive, path: Path, _version: tuple[int, int], remedy: str) -> Arrays:
    # The version serves the cache alone: a replaced file is read again.
    try:
        if not zipfile.is_zipfile(path):  # NumPy would take it for a pickle and say so
            raise zipfile.BadZipFile("not a zip archive")
        with np.load(path, allow_pickle=False) as contents:
            arrays = {key: contents[key] for key in Arrays._fields if key in contents}
            # other names are shown where some are missing
            arrays |= {key: np.empty(0) for key in contents.files if key not in arrays}
    except Exception as error:  # damage shows in zipfile, zlib, lzma, tokenize, NumPy ...
        raise ContentsError(
            f"{path} cannot be read ({type(error).__name__}: {error}); expected an .npz file of "
            f"{archive.contents}, got {path.stat().st_size} bytes that are truncated, damaged or "
            f"something else; {remedy}"
        ) from error
    return archive.verify(arrays, str(path), remedy)


@functools.lru_cache(maxsize=_CACHED)
def _download(archive: Archive) -> Arrays:
    return archive.verify(
        tfds.fetch(archive.name),
        f"{archive.name} from TensorFlow Datasets",
        f"delete the folder {archive.name} where TensorFlow Datasets keeps its data "
        f"(~/tensorflow_datasets or $TFDS_DATA_DIR) and load it again",
    )
