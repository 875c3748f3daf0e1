"""Score files with an exported model: CSV, NPZ, Parquet, TFRecord or images, of any size.

Streams the rows, a batch at a time, and writes one table. An interrupted run goes on after its last
finished files when the same command is given again.
"""

from trainers.program import run_program

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from delvm_tf.serving import load
from delvm_tf.serving.scoring import Summary, score_files
from trainers.arguments import add_table_arguments, table_options


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    parser.add_argument("--version", type=int, help="of the model; the newest if not given")
    parser.add_argument("--input", required=True, metavar="'PATTERN'", help="quoted, of one kind")
    parser.add_argument("--output", type=Path, required=True, help="table.parquet or table.csv")
    parser.add_argument("--batch-size", type=int, help="rows at a time; a megabyte if not given")
    parser.add_argument("--features", action="store_true", help="write features too, Parquet only")
    parser.add_argument(
        "--skip-damaged",
        action="store_true",
        help="go on after damaged files, and say so",
    )
    add_table_arguments(parser)
    return parser.parse_args(arguments)


def run(args: argparse.Namespace, console: Console) -> None:
    """Score, with a bar of progress."""
    served = load(args.model, args.version)
    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("files", total=None)
        summary = score_files(
            served, args.input, args.output, args.batch_size, args.features, args.skip_damaged,
            lambda done, total: bar.update(task, completed=done, total=total),
            table_options(args),
        )  # fmt: skip
    report(summary, args.output, console)


def report(summary: Summary, output: Path, console: Console) -> None:
    """What was scored, and what that says."""
    console.print(f"{summary.rows} rows: {output}")
    if summary.abnormal is not None:
        share = summary.abnormal / summary.rows
        console.print(f"{summary.abnormal} of them abnormal ({share:.1%})")
    if summary.drift is not None:
        console.print(
            f"population stability index against the training scores: {summary.drift.index:.3f} "
            f"({summary.drift.verdict})"
        )
    for note in summary.notes:
        console.print(f"note: {note}", markup=False)
    for reason in summary.damaged.values():
        console.print(f"damaged: {reason}", markup=False)


if __name__ == "__main__":
    sys.exit(run_program(parse_arguments, run, piece="part"))
