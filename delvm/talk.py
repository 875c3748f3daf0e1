"""What a command says: results on the standard output, all else on the standard error."""

import contextlib
import json
import math
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.table import Table

from delvm.errors import as_options

WIDTH = 100  # where the output is no terminal, and COLUMNS does not say


class Talk:
    """A command's voice; in its context warnings of users' data become notes.

    Args:
        quiet: say nothing.
        as_json: results come as one JSON object, and nothing else on the standard output.
    """

    def __init__(self, quiet: bool = False, as_json: bool = False):
        self.as_json = as_json
        self.notes: list[str] = []
        self._out = _console(sys.stdout, quiet or as_json)
        self.errors = _console(sys.stderr, quiet)

    def __enter__(self) -> Self:
        self._exits = contextlib.ExitStack()
        self._exits.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *args, **kwargs: self.note(str(message))
        return self

    def __exit__(self, *exc: object) -> None:
        self._exits.close()

    def note(self, text: str) -> None:
        """Something to know, said once."""
        text = as_options(text)
        if text not in self.notes:
            self.notes.append(text)
            self.errors.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)

    def say(self, text: str = "") -> None:
        """A line of the results, for people."""
        self._out.print(text, markup=False, highlight=False, soft_wrap=True)

    def facts(self, facts: Mapping[str, str]) -> None:
        """Lines of what is known by name, and an empty one."""
        for name, text in facts.items():
            self.say(f"{name + ':':14} {text}")
        self.say()

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table of the results, for people; numbers stand at the right."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for k, title in enumerate(head):
            right = bool(rows) and all(isinstance(row[k], int | float) for row in rows)
            table.add_column(title, justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(_escaped(shown(cell)) for cell in row))
        self._out.print(table, highlight=False)

    def result(self, value: Mapping[str, Any]) -> None:
        """All results, for programs."""
        if self.as_json:
            content = plain({**value, "notes": self.notes})
            sys.stdout.write(json.dumps(content, allow_nan=False, ensure_ascii=False) + "\n")
            sys.stdout.flush()


def shown(cell: Any) -> str:
    """A cell of a table: numbers with four digits, whole ones in full."""
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def plain(value: Any) -> Any:
    """What JSON can hold: numbers that are not finite become null, as in other programs."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _console(file: Any, quiet: bool) -> Console:
    told = file.isatty() or os.environ.get("COLUMNS")
    return Console(file=file, quiet=quiet, width=None if told else WIDTH)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
