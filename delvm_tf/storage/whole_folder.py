"""Writing a folder that is whole or not there."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from delvm_tf.storage.ownership import made_folder


@contextlib.contextmanager
def whole_folder(folder: Path, refuse: Callable[[Path], None]) -> Iterator[Path]:
    """A folder to write into, which gets the name `folder` at the end of the block.

    After an error or an interruption `folder` is what it was before, and nothing else is left. Of
    a process that is killed between two renamings, the old one lies beside it in `.partial-...`.

    Args:
        folder: what is there is replaced.
        refuse: raises an error unless that may be; asked before the block and after it.

    Raises:
        OSError: if it cannot be written.
    """
    refuse(folder)
    with made_folder(folder.parent):
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
        made, old = partial / "made", partial / "old"
        try:
            made.mkdir()
            yield made
            refuse(folder)
            try:
                if folder.exists():
                    folder.rename(old)
                made.rename(folder)
            finally:
                if made.exists() and old.exists():
                    old.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
