"""The command line of a measurement, and the report that it writes."""

import argparse
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from delvm_tf.storage.ownership import make_folder, refuse_foreign_file, write_text
from delvm_tf.storage.paths import local_path


class Report:
    """Numbers given on the command line, and lines of markdown under the command that made them.

    Args:
        program: file of the measurement; the report has its name.
        doc: what it does; the first line is the help text.
        **numbers: options and their defaults.
    """

    def __init__(self, program: str, doc: str, **numbers: float):
        name = Path(program).stem
        parser = argparse.ArgumentParser(description=doc.splitlines()[0])
        for option, value in numbers.items():
            parser.add_argument(
                "--" + option.replace("_", "-"), type=type(value), default=value, metavar="N"
            )
        folder = Path("results/benchmarks")
        parser.add_argument("--output", type=Path, default=folder / f"{name}.md")
        self.args = parser.parse_args()
        self.args.output = local_path(self.args.output, "--output")
        given = (f"--{o.replace('_', '-')} {getattr(self.args, o):g}" for o in numbers)
        self._program = f"benchmarks/{name}.py"
        self._command = " ".join([f"    python {self._program}", *given])
        self._check()  # before any measurement

    def write(self, heading: str, lines: Sequence[str]) -> None:
        """Write the report: what was measured, on what and when, the command, the lines."""
        where = f"{os.cpu_count()} CPU cores, {date.today()}."
        text = "\n".join([f"{heading} {where}", "", self._command, "", *lines]) + "\n"
        self._check()
        write_text(self.args.output, text)
        print(text)

    def _check(self) -> None:
        """Refuse a file that is no report of this program."""
        output = self.args.output
        ours = output.is_file() and f"    python {self._program}" in output.read_text()
        refuse_foreign_file(output, ours)
        make_folder(output.parent)
