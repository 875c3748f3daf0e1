"""Ask detectors of every kind in every way in which they can be served, and compare with Python.

Each cell of the table is the largest difference of a score, threshold, p-value, contribution or
expected value from that of Python, in units of the greatest of its output, over all signatures.
Decisions and texts must be the same.
"""

from trainers.program import run_program

import argparse
import shlex
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from parity_checks.cases import NAMES, Case, Way, difference
from parity_checks.ways import NotAskedError, ways
from rich.console import Console

from delvm_tf.storage.ownership import make_folder, refuse_foreign_file, write_text
from delvm_tf.storage.paths import local_path
from trainers.evaluation.tables import csv_table, markdown_table, print_table

LIMIT = 1e-5


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=NAMES, default=NAMES, metavar="KIND")
    parser.add_argument(
        "--beam", metavar="PYTHON",
        help="an interpreter with Apache Beam, such as .venv-beam/bin/python after make test-beam",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("results/parity"))
    return parser.parse_args(arguments)


def rows_of(case: Case, asked: dict[str, Way]) -> list[dict[str, Any]]:
    """What each way says of each signature, as rows of a table."""
    rows = []
    for name, way in asked.items():
        for signature, request in case.requests.items():
            try:
                found = way(case, signature)
            except NotAskedError:
                continue
            known = {n: v for n, v in request.expected.items() if n in found}
            largest, same = difference(found, known)
            rows.append({
                "kind": case.name, "way": name, "signature": signature,
                "largest difference": f"{largest:.1e}", "decisions": "same" if same else "DIFFER",
            })  # fmt: skip
    return rows


def cell(rows: pd.DataFrame) -> str:
    """The cell of a kind and a way."""
    largest = f"{rows['largest difference'].astype(float).max():.0e}"
    return largest if (rows["decisions"] == "same").all() else f"{largest}, decisions DIFFER"


def run(args: argparse.Namespace, console: Console) -> None:
    """Ask, compare and write the tables."""
    output = local_path(args.output, "--output")
    report, table = output / "parity.md", output / "parity.csv"
    heading = "Largest differences from Python"
    refuse_foreign_file(report, report.is_file() and report.read_text().startswith(heading))
    refuse_foreign_file(table, table.is_file() and table.read_text().startswith("kind,way,"))
    make_folder(output)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        cases = []
        for number, kind in enumerate(args.kinds):
            console.print(f"fitting {kind}", highlight=False)
            cases.append(Case.of(kind, Path(temporary) / str(number)))
        asked = ways(cases, Path(temporary) / "ways", args.beam)
        for case in cases:
            console.print(f"asking {case.name}", highlight=False)
            rows += rows_of(case, asked)
    found = pd.DataFrame(rows)
    wide = found.groupby(["kind", "way"], sort=False).apply(cell, include_groups=False).unstack()
    wide = wide.loc[args.kinds, [*asked]].fillna("").reset_index().rename(columns={"kind": ""})
    words = (
        f"{heading}, in units of the greatest value of the output; decisions are the same where "
        f"nothing else is said. {date.today()}."
    )
    options = [] if args.beam is None else ["--beam", args.beam]
    options += [] if args.kinds == NAMES else ["--kinds", *args.kinds]
    command = f"    python benchmarks/parity.py {shlex.join(options)}".rstrip()
    write_text(report, "\n\n".join([words, command, markdown_table(wide)]) + "\n")
    write_text(table, csv_table(rows))
    print_table(console, heading, wide)
    console.print(f"\nReport: {report}", soft_wrap=True, highlight=False)
    wrong = found[
        (found["decisions"] != "same") | ~(found["largest difference"].astype(float) <= LIMIT)
    ]
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} answers are further from Python than {LIMIT:g}; see {table}"
        )


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run, "table")


if __name__ == "__main__":
    sys.exit(main())
