"""What measurements share: a quiet start, the command line, and what they write and show."""

from trainers.program import run_program

import argparse
import os
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf
from rich.console import Console

from delvm_tf.storage.ownership import make_folder, refuse_foreign_file, write_text
from delvm_tf.storage.paths import local_path
from trainers.evaluation.tables import csv_table, markdown_table, print_table

tf.get_logger().setLevel("ERROR")  # every step that is timed is a function of its own
Content = Sequence[str | pd.DataFrame]  # paragraphs and tables
# Headings of wide tables, as they are shown
SHORT = {
    "ms an example": "ms", "mean squared error of the trace": "squared error",
    "times the autoencoder": "× AE", "times its CPU time": "× its CPU", "times its SM step": "× SM",
    "times the arithmetic limit": "× limit",
}  # fmt: skip
Measurement = Callable[[argparse.Namespace, Console], tuple[str, Content]]


def run_report(
    program: str, doc: str, measure: Measurement, output: Path | None = None,
    **numbers: float | tuple[int, ...],
) -> int:  # fmt: skip
    """Measure, and write what was found under the command that found it; the exit status.

    Args:
        program: file of the measurement.
        doc: what it does; the first line is the help text.
        measure: gives what was measured, in words, and the report's paragraphs and tables.
        output: of the report, if it is not to have the program's name.
        **numbers: options and their defaults, a number or several.
    """
    name = Path(program).stem
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    for option, value in numbers.items():
        flag = "--" + option.replace("_", "-")
        many = isinstance(value, tuple)
        kind = int if many else type(value)
        parser.add_argument(
            flag, type=kind, default=value, metavar="N", nargs="+" if many else None
        )
    usual = Path("results/benchmarks") / f"{name}.md"
    parser.add_argument("--output", type=Path, default=output or usual)

    def run(args: argparse.Namespace, console: Console) -> None:
        output = local_path(args.output, "--output")
        command = f"    python benchmarks/{name}.py"
        refuse_foreign_file(output, output.is_file() and command in output.read_text())
        make_folder(output.parent)  # before any measurement
        values = {o: getattr(args, o) for o in numbers}
        given = [f"--{o.replace('_', '-')} {_as_typed(v)}" for o, v in values.items()]
        heading, content = measure(args, console)
        heading = f"{heading} {os.cpu_count()} CPU cores, {date.today()}."
        parts = [each if isinstance(each, str) else markdown_table(each) for each in content]
        write_text(output, "\n\n".join([heading, " ".join([command, *given]), *parts]) + "\n")
        for each in content:
            if isinstance(each, str):
                console.print(each, highlight=False, markup=False)
            else:
                print_table(console, name, each)
        console.print(f"\nReport: {output}", soft_wrap=True, highlight=False)

    return run_program(parser.parse_args, run)


def _as_typed(value: Any) -> str:
    """A number or several, as on the command line."""
    numbers = value if isinstance(value, (tuple, list)) else [value]
    return " ".join(str(v) if isinstance(v, int) else format(v, "g") for v in numbers)


class Rows:
    """Rows of one table, kept as CSV as they come.

    Args:
        path: of the file.
        console: where they are shown.
    """

    def __init__(self, path: Path, console: Console):
        self._path, self._console = path, console
        self.rows: list[dict[str, Any]] = []

    def add(self, title: str, rows: Sequence[dict[str, Any]]) -> None:
        """Write all rows, and show the new ones; the title is to say the network."""
        self.rows += rows
        write_text(self._path, csv_table(self.rows))
        shown = pd.DataFrame(rows).drop(columns="network").rename(columns=SHORT)
        print_table(self._console, title, shown)
