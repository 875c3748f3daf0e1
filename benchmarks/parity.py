"""Ask detectors of every kind in every way in which they can be served, and compare with Python.

Two tables, by way and by kind, have the largest difference of a number from that of Python, in
units of the greatest of its output. Decisions and texts must be the same.
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
from parity_checks.cases import NAMES, REBUILT, Case, Way, difference
from parity_checks.ways import NOT_GIVEN, NotAskedError, ways
from rich.console import Console

from delvm_tf.storage.ownership import make_folder, refuse_foreign_file, write_text
from delvm_tf.storage.paths import local_path
from trainers.evaluation.tables import csv_table, markdown_table, print_table

LIMIT = 1e-5
HEADING = "Largest differences from Python"
# What outputs are, by how their names begin; the first that fits counts.
OUTPUTS = {
    "anomaly_score": "scores", "reconstruction_error": "scores", "is_anomaly": "decisions",
    "threshold": "thresholds", "p_value": "p-values", "contribution": "contributions",
    "baseline": "contributions", "reconstruction": "expected values",
    "expected_": "expected values", "features": "features",
}  # fmt: skip


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
    """What each way says of each request, as rows of a table."""
    rows = []
    for way, ask in asked.items():
        for name, request in case.requests.items():
            try:
                found = ask(case, request)
            except NotAskedError:
                continue
            for what, outputs in by_meaning(request.expected, NOT_GIVEN.get(way, set())).items():
                largest, same = difference(found, outputs)
                rows.append({
                    "kind": case.name, "way": way, "asked": name,
                    "what": "reconstructions" if name == REBUILT else what,
                    "largest difference": f"{largest:.1e}", "same": "yes" if same else "NO",
                })  # fmt: skip
    return rows


def by_meaning(outputs: dict[str, Any], left_out: set[str]) -> dict[str, dict[str, Any]]:
    """Outputs by what they are, of `OUTPUTS`."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in outputs.items():
        if name not in left_out:
            what = next(what for start, what in OUTPUTS.items() if name.startswith(start))
            groups.setdefault(what, {})[name] = value
    return groups


def summary(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """The largest differences of everything that is asked, by a column."""
    table = rows.groupby([by, "what"], sort=False).apply(cell, include_groups=False).unstack()
    columns = [*dict.fromkeys(OUTPUTS.values()), "reconstructions"]
    table = table.loc[rows[by].unique(), [name for name in columns if name in table]]
    return table.fillna("–").reset_index().rename(columns={by: ""})


def cell(rows: pd.DataFrame) -> str:
    """The largest difference of some rows, or whether all is the same."""
    if (rows["same"] != "yes").any():
        return "DIFFER"
    largest = rows["largest difference"].astype(float).max()
    return "same" if largest == 0 else f"{largest:.0e}"


def run(args: argparse.Namespace, console: Console) -> None:
    """Ask, compare and write the tables."""
    output = local_path(args.output, "--output")
    report, table = output / "parity.md", output / "parity.csv"
    refuse_foreign_file(report, report.is_file() and report.read_text().startswith(HEADING))
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
    write(rows, args, report, table, console)


def write(
    rows: list[dict[str, Any]], args: argparse.Namespace, report: Path, table: Path,
    console: Console,
) -> None:  # fmt: skip
    """Write and print the tables.

    Raises:
        ValueError: if an answer is too far from Python's.
    """
    found = pd.DataFrame(rows)
    ways_of, kinds_of = (summary(found, by) for by in ("way", "kind"))
    words = (
        f"{HEADING}, in units of the greatest value of the output, over {len(args.kinds)} kinds "
        f"of detectors and columns; decisions and texts are the same where nothing else is said. "
        f"{date.today()}."
    )
    options = [] if args.beam is None else ["--beam", args.beam]
    options += [] if args.kinds == NAMES else ["--kinds", *args.kinds]
    command = f"    python benchmarks/parity.py {shlex.join(options)}".rstrip()
    texts = [words, command, markdown_table(ways_of), markdown_table(kinds_of)]
    write_text(report, "\n\n".join(map(str.rstrip, texts)) + "\n")
    write_text(table, csv_table(rows))
    for name, each in (("way", ways_of), ("kind", kinds_of)):
        print_table(console, f"{HEADING}, by {name}", each)
    console.print(f"\nReport: {report}", soft_wrap=True, highlight=False)
    wrong = found[(found["same"] != "yes") | ~(found["largest difference"].astype(float) <= LIMIT)]
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} answers are further from Python than {LIMIT:g}; see {table}"
        )


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run, "table")


if __name__ == "__main__":
    sys.exit(main())
