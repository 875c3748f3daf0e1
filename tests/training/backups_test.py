"""Backups, and saved models, that are whole and cost nobody else's files."""

import errno

import keras
import numpy as np
import pytest
import tensorflow as tf

import delvm_tf as dv
from delvm_tf.training.backups import Backup, backed_up_epoch


@pytest.fixture
def x(rng):
    return rng.normal(size=(20, 4)).astype("float32")


@pytest.fixture
def model(x):
    made = dv.DELVM(dv.networks.ffnn((3,), seed=0), objective=dv.ScoreMatching(seed=0))
    made.adapt(x)
    made.compile("adam")
    return made


class Stop(keras.callbacks.Callback):
    """Interrupts the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_a_run_goes_on_and_removes_its_backup_alone(model, x, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, epochs=3, verbose=0, callbacks=[Backup(tmp_path / "b"), Stop()])
    assert {p.name for p in (tmp_path / "b").iterdir()} == {
        "latest.weights.h5", "training_metadata.json",
    }  # fmt: skip

    class Add(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            (tmp_path / "b" / "notes.txt").write_text("mine")

    history = model.fit(x, epochs=3, verbose=0, callbacks=[Backup(tmp_path / "b"), Add()])
    assert history.epoch == [1, 2]
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("kind", [Backup, keras.callbacks.BackupAndRestore])
def test_a_folder_of_something_else_is_refused_before_training(model, x, tmp_path, kind):
    (tmp_path / "thesis.tex").write_text("mine")
    weights = [w.numpy() for w in model.trainable_weights]
    with pytest.raises(FileExistsError, match=r"thesis\.tex, which is no backup"):
        model.fit(x, epochs=1, verbose=0, callbacks=[kind(str(tmp_path))])
    for before, after in zip(weights, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(before, after)
    assert (tmp_path / "thesis.tex").read_text() == "mine"
    model.fit(x, verbose=0, callbacks=[kind(str(tmp_path), delete_checkpoint=False)])
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_backup_at_an_address_is_found(model, x):
    """TensorFlow's file system in memory stands for gs:// and the like."""
    backup = keras.callbacks.BackupAndRestore("ram://backup")
    with tf.io.gfile.GFile("ram://backup/training_metadata.json", "w") as file:
        file.write('{"epoch": 4, "batch": 0}')
    assert backed_up_epoch([backup]) == 4
    assert backed_up_epoch([keras.callbacks.BackupAndRestore("ram://nothing")]) == 0


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_the_old_file(model, x, tmp_path, monkeypatch, name, error):
    save = model.save if name.endswith(".keras") else model.save_weights
    save(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    model.fit(x, epochs=1, verbose=0)
    own = type(model.network.layers[-1]).save_own_variables

    def full(self, store):
        own(self, store)
        raise error

    monkeypatch.setattr(keras.layers.Dense, "save_own_variables", full)
    with pytest.raises(type(error)):
        save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]
    monkeypatch.undo()
    save(tmp_path / name)
    assert (tmp_path / name).read_bytes() != before


def test_a_list_of_callbacks_that_keras_made_is_checked_too(model, x, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    backup = keras.callbacks.BackupAndRestore(str(tmp_path))
    callbacks = keras.callbacks.CallbackList([backup], add_history=True, model=model)
    with pytest.raises(FileExistsError, match=r"thesis\.tex, which is no backup"):
        model.fit(x, epochs=1, verbose=0, callbacks=callbacks)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize(
    "made", [
        lambda: keras.callbacks.ModelCheckpoint("~/log/m.keras"),
        lambda: keras.callbacks.BackupAndRestore("~/log"),
        lambda: keras.callbacks.CSVLogger("~/log.csv"),
        lambda: keras.callbacks.TensorBoard("~/log"),
    ],
)  # fmt: skip
def test_callbacks_of_keras_do_not_pretend_to_know_the_home_folder(
    model, x, tmp_path, monkeypatch, made
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"got the path ~/log.*; pass os\.path\.expanduser"):
        model.fit(x, epochs=1, verbose=0, callbacks=[made()])
    assert list(tmp_path.iterdir()) == []


def test_the_backup_of_another_model_is_refused_and_stays(model, x, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, epochs=3, verbose=0, callbacks=[Backup(tmp_path / "b"), Stop()])
    other = dv.DELVM(dv.networks.ffnn((5,)))
    other.adapt(x)
    other.compile("adam")
    with pytest.raises(ValueError, match=r"b holds the backup of another model.*; remove it, or"):
        other.fit(x, epochs=3, verbose=0, callbacks=[Backup(tmp_path / "b")])
    assert (tmp_path / "b" / "latest.weights.h5").exists()
