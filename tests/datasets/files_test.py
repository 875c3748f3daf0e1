import os
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from delvm_tf.datasets import ecg5000, files, tfds
from delvm_tf.datasets.archive import ContentsError


@pytest.fixture
def folder(tmp_path, arrays):
    np.savez(tmp_path / "tiny.npz", **arrays)
    return tmp_path


@pytest.fixture
def ecg(tmp_path):
    """A copy of the bundled archive."""
    path = tmp_path / "ecg5000.npz"
    with resources.as_file(resources.files("delvm_tf.datasets.data") / "ecg5000.npz") as bundled:
        shutil.copy(bundled, path)
    return path


@pytest.fixture
def fetched(monkeypatch):
    """Make the download return, or raise, what is put here; counts the calls."""

    class Fetch:
        result = None
        calls = 0

        def __call__(self, name):
            self.calls += 1
            assert name == "tiny"
            if isinstance(self.result, Exception):
                raise self.result
            return self.result

    fetch = Fetch()
    monkeypatch.setattr(tfds, "fetch", fetch)
    return fetch


def test_argument_then_variable(archive, folder, fetched, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("DELVM_DATA_DIR", str(folder))
    by_variable = files.find(archive)
    monkeypatch.setenv("DELVM_DATA_DIR", str(tmp_path_factory.mktemp("empty")))
    by_argument = files.find(archive, folder)
    np.testing.assert_array_equal(by_argument.x_train, by_variable.x_train)
    assert fetched.calls == 0


def test_home_folder(archive, folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(files.find(archive, f"~/{folder.name}").x_train) == 7


def test_file_and_download_give_the_same(archive, folder, shuffled, fetched, monkeypatch):
    monkeypatch.delenv("DELVM_DATA_DIR", raising=False)
    fetched.result = shuffled
    fetched, read = files.find(archive), files.find(archive, folder)
    for part in ("train", "test"):  # in another order: the labels of the fixture number the rows
        x, y = getattr(fetched, f"x_{part}"), getattr(fetched, f"y_{part}")
        np.testing.assert_array_equal(x[np.argsort(y)], getattr(read, f"x_{part}"))
        np.testing.assert_array_equal(np.sort(y), getattr(read, f"y_{part}"))


def test_download_happens_once(archive, shuffled, fetched, monkeypatch):
    monkeypatch.delenv("DELVM_DATA_DIR", raising=False)
    fetched.result = OSError("no network")
    with pytest.raises(FileNotFoundError):
        files.find(archive)
    fetched.result = shuffled
    files.find(archive)
    files.find(archive)
    assert fetched.calls == 2


def test_archive_is_unpacked_once_per_version(archive, folder, arrays, monkeypatch):
    loads = []
    load = np.load
    monkeypatch.setattr(np, "load", lambda *a, **k: loads.append(k) or load(*a, **k))
    files.find(archive, folder)
    files.find(archive, folder)
    assert loads == [{"allow_pickle": False}]
    path = folder / "tiny.npz"
    os.utime(path, ns=(1, 1))
    files.find(archive, folder)
    assert len(loads) == 2


def test_the_cache_cannot_be_poisoned(archive, folder):
    found = files.find(archive, folder)
    with pytest.raises(ValueError, match="read-only"):
        found.x_train[0] = 0
    with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
        found.x_train[:1].flags.writeable = True


def test_altered_download(archive, shuffled, fetched, monkeypatch):
    monkeypatch.delenv("DELVM_DATA_DIR", raising=False)
    shuffled["x_train"][0] ^= 1
    fetched.result = shuffled
    with pytest.raises(
        ContentsError,
        match=r"tiny from TensorFlow Datasets is altered.*delete the folder tiny.*\$TFDS_DATA_DIR",
    ):
        files.find(archive)


def test_neither_file_nor_tfds(archive, monkeypatch):
    monkeypatch.delenv("DELVM_DATA_DIR", raising=False)
    with pytest.raises(FileNotFoundError) as caught:
        files.find(archive)
    message = str(caught.value)
    assert message.startswith(
        "tiny was not found: DELVM_DATA_DIR is not set, and TensorFlow Datasets failed with "
        "ModuleNotFoundError: "
    )
    assert (
        "Either put tiny.npz, with the arrays x_train (7, 3, 2) uint8, y_train (7,) uint8, "
        "x_test (5, 3, 2) uint8, y_test (5,) uint8, into a folder and set DELVM_DATA_DIR to that "
        "folder, or `pip install delvm_tf[tfds]`"
    ) in message
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_no_network(archive, tmp_path, fetched, monkeypatch):
    monkeypatch.setenv("DELVM_DATA_DIR", str(tmp_path))
    fetched.result = ConnectionError("name or service not known")
    with pytest.raises(FileNotFoundError) as caught:
        files.find(archive)
    message = str(caught.value)
    assert f"{tmp_path / 'tiny.npz'} (DELVM_DATA_DIR={tmp_path}) does not exist" in message
    assert "ConnectionError: name or service not known" in message
    assert caught.value.__cause__ is fetched.result


def test_missing_folder(archive, tmp_path):
    missing = tmp_path / "nowhere"
    with pytest.raises(FileNotFoundError) as caught:
        files.find(archive, missing)
    assert (
        f"{missing / 'tiny.npz'} (data_dir='{missing}') is in a folder that does not exist"
    ) in str(caught.value)


def test_missing_file_falls_through_to_the_download(archive, tmp_path, shuffled, fetched):
    fetched.result = shuffled
    assert len(files.find(archive, tmp_path).x_train) == 7


def test_damaged_file_does_not_fall_through(archive, folder, shuffled, fetched):
    (folder / "tiny.npz").write_bytes(b"")
    fetched.result = shuffled
    with pytest.raises(ContentsError):
        files.find(archive, folder)
    assert fetched.calls == 0


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9999])
def test_truncated_file(ecg, share):
    size = int(share * ecg.stat().st_size)
    with ecg.open("r+b") as file:
        file.truncate(size)
    with pytest.raises(
        ContentsError,
        match=rf"{ecg} cannot be read \(BadZipFile: .*expected an \.npz file of x_train "
        rf"\(500, 140\) float32.*got {size} bytes that are truncated.*"
        rf"download or copy ecg5000.npz again",
    ):
        files.read(ecg5000.ARCHIVE, ecg)


def test_one_flipped_bit(ecg):
    content = bytearray(ecg.read_bytes())
    content[len(content) // 2] ^= 1
    ecg.write_bytes(content)
    with pytest.raises(ContentsError, match="cannot be read"):
        files.read(ecg5000.ARCHIVE, ecg)


def test_altered_file(ecg):
    with np.load(ecg) as contents:
        arrays = dict(contents)
    arrays["x_test"][4000, 70] += 1e-6
    np.savez_compressed(ecg, **arrays)
    with pytest.raises(ContentsError, match=rf"{ecg} is altered: the rows of the test split"):
        files.read(ecg5000.ARCHIVE, ecg)


def test_missing_arrays(archive, folder, arrays):
    del arrays["y_test"]
    np.savez(folder / "tiny.npz", labels=np.zeros(5), **arrays)
    with pytest.raises(
        ContentsError, match=r"lacks the arrays y_test; it has labels, x_test, x_train, y_train,"
    ):
        files.find(archive, folder)


class Payload:
    """Creates the file named here when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickles_are_never_read(archive, folder, arrays):
    trace = folder / "executed"
    arrays["y_test"] = np.array([Payload(trace)], object)
    np.savez(folder / "tiny.npz", **arrays)
    with pytest.raises(ContentsError, match="allow_pickle=False"):
        files.find(archive, folder)
    assert not trace.exists()


def test_another_kind_of_file(archive, folder, arrays):
    with (folder / "tiny.npz").open("wb") as file:
        np.save(file, arrays["x_train"])
    with pytest.raises(ContentsError, match=r"BadZipFile: not a zip archive.*something else"):
        files.find(archive, folder)
