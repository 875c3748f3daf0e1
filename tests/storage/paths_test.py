"""Paths that are what they look like."""

import os
from pathlib import Path

import numpy as np
import pytest

import delvm_tf as dv
from delvm_tf.datasets import files, streams
from delvm_tf.plots.figure import new_figure, save_figure
from delvm_tf.serving.scoring import score_files
from delvm_tf.storage.paths import check_checkpoint_path, local_path, matching
from trainers.results import Results
from tuning import SPACES, make_tuner

ADDRESSES = ["gs://bucket/m", "s3://bucket/m", "file:///tmp/m", "hdfs://host/m", "ram://m",
             Path("gs://bucket/m"), r"C:\models\m", "C:/models/m", r"\\server\share"]  # fmt: skip


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(40, 4)).astype("float32")


@pytest.fixture(scope="module")
def model(x):
    made = dv.DELVM(dv.networks.ffnn((3,), "softplus", seed=0))
    made.adapt(x)
    made.compile("adam")
    made.fit(x, epochs=1, verbose=0)
    return made


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder, and a current folder beside it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


@pytest.mark.parametrize("path", ADDRESSES)
def test_an_address_is_no_path(path):
    with pytest.raises(ValueError, match="the folder must be a path of this machine, got"):
        local_path(path, "the folder")


@pytest.mark.parametrize("path", ["", "  "])
def test_an_empty_path_is_refused(path):
    with pytest.raises(ValueError, match="is empty"):
        local_path(path)


def test_what_is_no_path_is_refused():
    with pytest.raises(TypeError, match="data_dir must be a str or"):
        local_path(3, "data_dir")
    with pytest.raises(ValueError, match="null character"):
        local_path("a\0b")


def test_the_home_folder_is_expanded_and_other_names_are_kept(home):
    assert local_path("~/a/b") == home / "a" / "b"
    assert local_path(Path("~")) == home
    for name in ("a:b", "a", "./x://y/../z", "run[200]", "~nobody-of-this-name/x", "12:30/x"):
        assert local_path(name) == Path(name)


def writers(model, x):
    """Everything that is given a path and writes or reads there, by name."""

    def fit_layerwise(path):
        dv.fit_layerwise(model, x, epochs=1, verbose=0, backup_dir=path)

    def tuner(path):
        make_tuner(SPACES["ecg5000"], None, "random", "auroc", 1, 0, path)

    return {
        "export_saved_model": lambda path: dv.export_saved_model(model, path),
        "export_onnx": lambda path: dv.export_onnx(model, path),
        "serving.load": dv.serving.load,
        "write_tfrecords": lambda path: streams.write_tfrecords([x], path),
        "stream": lambda path: streams.stream(path),
        "data_dir": lambda path: dv.datasets.load("cifar10", data_dir=path),
        "backup_dir": fit_layerwise,
        "TensorBoard": lambda path: dv.TensorBoard(path),
        "Results": lambda path: Results(path, {}),
        "score_files": lambda path: score_files(None, "*.npz", path),
        "save_figure": lambda path: save_figure(new_figure()[0], path),
        "make_tuner": tuner,
    }


@pytest.mark.parametrize("path", ["gs://bucket/m", "s3://b/m.onnx", "file:///tmp/m", "C:\\m", ""])
@pytest.mark.parametrize("name", writers(None, None))
def test_nothing_pretends_to_write_to_an_address(name, path, model, x, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"must be a path of this machine|is empty"):
        writers(model, x)[name](path)
    assert list(tmp_path.iterdir()) == []


def test_the_data_folder_of_the_environment_is_a_path_too(monkeypatch):
    monkeypatch.setenv(files.VARIABLE, "s3://bucket/data")
    with pytest.raises(ValueError, match=f"{files.VARIABLE} must be a path of this machine"):
        dv.datasets.load("cifar10")


def test_everything_is_written_to_and_read_from_the_home_folder(home, model, x):
    version = dv.export_saved_model(model, "~/models/m")
    assert version == home / "models/m/1"
    assert dv.serving.load("~/models/m").folder == version
    assert dv.export_onnx(model, "~/m.onnx") == home / "m.onnx"
    streams.write_tfrecords([x], "~/records")
    assert sum(map(len, streams.stream("~/records/*.tfrecord"))) == len(x)
    save_figure(new_figure()[0], "~/plot.png")
    model.save("~/m.keras")
    model.save_weights("~/m.weights.h5")
    model.load_weights("~/m.weights.h5")
    results = Results("~/results", {})
    results.finish([])
    callback = dv.TensorBoard("~/log")
    model.fit(x, epochs=1, verbose=0, callbacks=[callback])
    assert {p.name for p in home.iterdir()} == {
        "models", "m.onnx", "records", "plot.png", "m.keras", "m.weights.h5", "results", "log",
    }  # fmt: skip
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("name", ["run[200]", "back\\slash"])
def test_names_that_tensorflow_takes_for_patterns_are_refused_at_export(name, model, tmp_path):
    with pytest.raises(ValueError, match="TensorFlow cannot load a model from"):
        dv.export_saved_model(model, tmp_path / name / "m")
    assert list(tmp_path.iterdir()) == []
    # A folder that was moved there says so too, and not that it is damaged.
    version = dv.export_saved_model(model, tmp_path / "m")
    (tmp_path / name).mkdir()
    (tmp_path / "m").rename(tmp_path / name / "m")
    with pytest.raises(ValueError, match="TensorFlow cannot load a model from"):
        dv.serving.load(tmp_path / name / "m")
    assert version.name == "1"


def test_the_current_folder_counts_too(model, tmp_path, monkeypatch):
    (tmp_path / "run[200]").mkdir()
    monkeypatch.chdir(tmp_path / "run[200]")
    with pytest.raises(ValueError, match="TensorFlow cannot load a model from"):
        check_checkpoint_path(Path("models"))


@pytest.mark.parametrize("name", ["a*b", "what?", "a b", "{a,b}", "ü", "a#b%c", "-x", "a]b"])
def test_other_strange_names_work(name, model, x, tmp_path):
    dv.export_saved_model(model, tmp_path / name)
    served = dv.serving.load(tmp_path / name)
    expected = model.reconstruction_error(x)
    found = served.predict(x, "reconstruction_error")["reconstruction_error"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["run[200]", "back\\slash", "a*b", pytest.param("what?", marks=pytest.mark.slow)]
)
def test_weights_and_streams_work_in_folders_of_any_name(name, model, x, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    model.save_weights(folder / "m.weights.h5")
    model.load_weights(folder / "m.weights.h5")
    model.save(folder / "m.keras")
    dv.export_onnx(model, folder / "m.onnx")
    streams.write_tfrecords([x], folder / "records", rows_per_file=15)
    assert sum(map(len, streams.stream(f"{folder}/records/*.tfrecord"))) == len(x)
    np.savez(folder / "one[1].npz", x=x)
    assert sum(map(len, streams.stream(folder / "one[1].npz"))) == len(x)
    assert sum(map(len, streams.stream(f"{folder}/*.npz"))) == len(x)


def test_a_pattern_and_a_name_are_told_apart(tmp_path):
    for name in ("a[1].csv", "a2.csv", "a3.csv"):
        (tmp_path / name).write_text("1\n")

    def found(pattern):
        return [p.name for p in matching(tmp_path / pattern)]

    assert found("a[1].csv") == ["a[1].csv"]
    assert found("a[23].csv") == ["a2.csv", "a3.csv"]
    assert found("a[[]1].csv") == ["a[1].csv"]
    assert found("*.csv") == ["a2.csv", "a3.csv", "a[1].csv"]
    assert found("**/a2.csv") == ["a2.csv"]
    assert found("b*") == []
    (tmp_path / "a1.csv").write_text("1\n")
    with pytest.raises(ValueError, match=r"is the name of .*a\[1\].csv and a pattern that fits"):
        found("a[1].csv")


def test_an_export_to_a_file_says_what_is_wrong(model, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"cannot write to .*file.*choose another folder"):
        dv.export_saved_model(model, tmp_path / "file")
    with pytest.raises(OSError, match=r"cannot write to .*file.*choose another folder"):
        dv.export_onnx(model, tmp_path / "file" / "m.onnx")
    with pytest.raises(FileExistsError, match="it is a folder"):
        dv.export_onnx(model, tmp_path)
    assert (tmp_path / "file").read_text() == "mine"
    assert os.listdir(tmp_path) == ["file"]
