"""Backups of a running fit that remove only what they wrote."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from delvm_tf.keras_private import BackupAndRestore
from delvm_tf.storage.ownership import make_folder, remove_files, remove_if_empty, write_json

METADATA = "training_metadata.json"
WEIGHTS = "latest.weights.h5"
NAMES = tuple(name + old for name in (WEIGHTS, METADATA) for old in ("", ".bkp"))


class Backup(BackupAndRestore):
    """`keras.callbacks.BackupAndRestore` whose files are whole, and that removes no others.

    Keras removes the whole folder when training is done, whatever else is in it. Arguments: as
    there, without `double_checkpoint`; the folder must be on this machine.
    """

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore the backup, if there is one, and refuse a folder of something else."""
        check_backup_folder(self)
        try:
            super().on_train_begin(logs)
        except ValueError as error:
            raise ValueError(
                f"{self.backup_dir} holds the backup of another model, which cannot be restored; "
                f"remove it, or choose another folder. {error}"
            ) from error

    def write_backup(self, epoch: int, batch: int) -> None:
        """Write as Keras does, but whole: from half a file no run could go on."""
        folder = Path(self.backup_dir)
        make_folder(folder)
        self.model.save_weights(folder / WEIGHTS, overwrite=True)
        write_json(folder / METADATA, {"epoch": epoch, "batch": batch})

    def on_train_end(self, logs: Any = None) -> None:
        """Remove the backup."""
        if self.delete_checkpoint:
            remove_files(Path(self.backup_dir), NAMES)
            remove_if_empty(Path(self.backup_dir))


def check_paths(callback: Any) -> None:
    """Refuse a callback that would write elsewhere than it says, or remove what is not its own.

    Raises:
        ValueError: if a path begins with `~`, for which Keras would make a folder of that name.
        FileExistsError: as `check_backup_folder`.
    """
    for name in ("filepath", "backup_dir", "log_dir", "filename"):
        path = getattr(callback, name, None)
        if isinstance(path, str | os.PathLike) and os.path.expanduser(path) != os.fspath(path):
            raise ValueError(
                f"{type(callback).__name__} got the path {path}, in which Keras does not expand "
                f"the ~; pass os.path.expanduser({str(path)!r})"
            )
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        check_backup_folder(callback)


def backed_up_epoch(callbacks: Sequence[Any]) -> int:
    """Epochs that `BackupAndRestore` will find done; 0 without a backup."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            # Keras writes to addresses such as gs:// too.
            written = tf.io.gfile.join(os.fspath(callback.backup_dir), METADATA)
            try:
                with tf.io.gfile.GFile(written) as file:
                    return int(json.loads(file.read())["epoch"])
            except (tf.errors.NotFoundError, OSError, ValueError, KeyError):
                return 0
    return 0


def check_backup_folder(backup: keras.callbacks.BackupAndRestore) -> None:
    """Refuse a backup that would remove what is no backup, as Keras does with all in the folder.

    Raises:
        FileExistsError: if the folder holds anything else.
    """
    folder = Path(backup.backup_dir)
    if not backup.delete_checkpoint or not folder.exists():
        return
    if not folder.is_dir() or (foreign := sorted({p.name for p in folder.iterdir()} - {*NAMES})):
        what = "is no folder" if not folder.is_dir() else f"holds {', '.join(foreign[:3])}"
        raise FileExistsError(
            f"{folder} {what}, which is no backup, and BackupAndRestore removes the folder when "
            f"training is done; choose a folder of its own, or delete_checkpoint=False"
        )
