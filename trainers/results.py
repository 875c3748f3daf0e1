"""Results that are written piece by piece, and are either whole or not there."""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Self

from rich.console import Console

from delvm_tf.storage.ownership import (
    make_folder,
    read_json,
    remove_sealed,
    seal,
    sealed,
    unfinished_folder,
    write_json,
)  # fmt: skip
from delvm_tf.storage.paths import local_path
from trainers.evaluation.tables import Row, csv_table

__all__ = ["Results", "make_folder", "read_json", "write_json"]


class Results:
    """A folder of results in the making, beside where it will be.

    The folder appears under its own name when all is done. Until then it is called `….partial`, and
    the same configuration goes on with the pieces that are there; what another configuration has
    left unfinished stays as it is. Finished results are replaced by finished ones, unless something
    else came into their folder or was changed there: then they are refused, before any work.

    Args:
        output: the folder to be; a link is followed.
        config: what the results depend on, as JSON.

    Raises:
        FileExistsError: if the folder, or that of unfinished results, holds what was not written
            here.
        ValueError: if the path is empty, or no path of this machine.
        OSError: if the folder cannot be written.
    """

    def __init__(self, output: str | os.PathLike[str], config: dict[str, Any]):
        self.output = Path(os.path.realpath(local_path(output, "the folder of results")))
        if self.output == Path.cwd() or os.path.ismount(self.output):
            raise FileExistsError(
                f"{self.output} is the current folder or a mounted one, which cannot be replaced "
                f"by results; choose a folder in it"
            )
        self._clear_up()
        self._replaces = sealed(self.output)
        self.folder = unfinished_folder(self.output, config)
        self._computed: list[str] = []

    @classmethod
    def of_run(cls, output: Path, args: argparse.Namespace, **more: Any) -> Self:
        """Those of a program with these arguments, and what else they depend on."""
        return cls(output, {key: str(value) for key, value in {**vars(args), **more}.items()})

    @property
    def _old(self) -> Path:
        return self.output.with_name(self.output.name + ".replaced")

    def _clear_up(self) -> None:
        """End what a killed run began: it moved old results away to put new ones in their place."""
        if sealed(self._old) is None:
            return
        if os.path.lexists(self.output):
            remove_sealed(self._old)
        else:
            self._old.rename(self.output)

    def __contains__(self, piece: str) -> bool:
        return self._path(piece).exists()

    def __getitem__(self, piece: str) -> Any:
        return read_json(self._path(piece))

    def __setitem__(self, piece: str, value: Any) -> None:
        write_json(self._path(piece), value)

    def _path(self, piece: str) -> Path:
        return self.folder / f"{piece}.json"

    def compute(self, pieces: Mapping[str, Callable[[], Any]], console: Console) -> dict[str, Any]:
        """All pieces in order, from where an interrupted run of the same configuration stopped.

        Args:
            pieces: what computes each, by name, such as `"seed 0"`.
            console: is told of each.
        """
        done = {}
        for position, (name, work) in enumerate(pieces.items(), start=1):
            piece = re.sub(r"\W+", "-", name)
            if piece in self:
                console.print(f"{name}: done before the interruption", highlight=False)
            else:
                console.print(f"{name} ({position} of {len(pieces)})", highlight=False)
                self[piece] = work()
            done[name] = self[piece]
        self._computed += [re.sub(r"\W+", "-", name) for name in pieces]
        return done

    def write_tables(self, rows: list[Row], about: str, page: str) -> None:
        """Rows as results.csv, and results.md: what it is about, the command, and a page."""
        (self.folder / "results.csv").write_text(csv_table(rows))
        command = shlex.join(["python", *sys.argv])
        (self.folder / "results.md").write_text(
            f"{about}, {date.today()}.\n\n    {command}\n\n{page}"
        )

    def finish(self, pieces: Iterable[str] = ()) -> None:
        """Give the folder its name, and drop these pieces and all that were computed.

        Raises:
            FileExistsError: if something came to the output since the run began; the results
                stay where they are.
        """
        if sealed(self.output) != self._replaces:
            raise FileExistsError(
                f"another run has finished in {self.output} meanwhile; the results of this one are "
                f"in {self.folder}"
            )
        seal(self.folder)
        if self._replaces is not None:
            self.output.rename(self._old)
        try:
            self.folder.replace(self.output)
        except BaseException:
            if self._replaces is not None and not os.path.lexists(self.output):
                self._old.rename(self.output)
            raise
        for piece in (*pieces, *self._computed):
            (self.output / f"{piece}.json").unlink(missing_ok=True)
        if self._replaces is not None:
            remove_sealed(self._old)
