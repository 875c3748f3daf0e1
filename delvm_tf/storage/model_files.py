"""Files of models and weights that are whole or not there."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from delvm_tf.storage.ownership import whole
from delvm_tf.storage.paths import local_path


@contextlib.contextmanager
def written(filepath: Any, overwrite: bool, ending: str) -> Iterator[tuple[Any, bool]]:
    """Where Keras is to write, and whether over what is there.

    That is another name first, for one file of this machine, whose name has the ending; `~` is
    expanded. Keras itself writes to addresses such as `gs://`, several files, and over a file that
    it must ask about. `Path("gs://bucket")` is no address any more, and refused.
    """
    path = os.fspath(filepath)
    if "://" in path:
        yield path, overwrite
        return
    path = str(local_path(path, "filepath"))
    asks = not overwrite and os.path.exists(path)
    if asks or not path.endswith(ending) or not os.path.isdir(os.path.dirname(path) or "."):
        yield path, overwrite
        return
    with whole(Path(path)) as partial:
        yield str(partial), True
