"""Compute the figures and the table of Guo and Kim (2023), beside what the paper prints.

    python trainers/paper.py fig7 fig8 --scale cpu
    python trainers/paper.py all --scale smoke

Every cell, one model on one data set under one seed, is kept as a file of its own as soon as it is
computed, and shared by the figures that show it. The same command goes on from there.
"""

from trainers.program import run_program

import argparse
import itertools
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from delvm_tf.datasets import Dataset
from delvm_tf.plots.figure import save_figure
from delvm_tf.storage.ownership import claim, write_text
from delvm_tf.storage.paths import local_path
from trainers.arguments import new_parser, parse_seeds
from trainers.evaluation.tables import csv_table, print_table
from trainers.experiments.paper.cells import Cell
from trainers.experiments.paper.charts import draw
from trainers.experiments.paper.compute import compute, load
from trainers.experiments.paper.costs import Remaining, clock, estimated_seconds
from trainers.experiments.paper.points import Point, points
from trainers.experiments.paper.reports import Report, page, rows
from trainers.experiments.paper.store import CellStore
from trainers.experiments.paper.tables import FIGURES, SCALES, Protocol, title
from trainers.experiments.paper.values import gather, label


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__, "FIGURE [FIGURE ...]")
    parser.add_argument(
        "figures", nargs="+", choices=[*FIGURES, "all"], metavar="FIGURE",
        help=f"one or more of {', '.join(FIGURES)}, or all",
    )  # fmt: skip
    parser.add_argument("--scale", default="cpu", choices=list(SCALES))
    parser.add_argument("--seeds", type=parse_seeds, metavar="0-2", help="the scale's own")
    parser.add_argument("--output", type=Path, help="folder; runs/paper-<scale>")
    parser.add_argument(
        "--list", action="store_true", help="show the cells and what they will take, and stop"
    )
    args = parser.parse_args(arguments)
    args.figures = list(FIGURES) if "all" in args.figures else list(dict.fromkeys(args.figures))
    args.output = args.output or Path("runs") / f"paper-{args.scale}"
    return args


def wanted(args: argparse.Namespace) -> dict[str, list[Point]]:
    """The points of each figure."""
    return {name: points(name, SCALES[args.scale], args.seeds) for name in args.figures}


def cells_of(listed: Sequence[Point]) -> dict[str, Cell]:
    """The cells that points read from, by key, each once."""
    return {point.cell.key: point.cell for point in listed}


def show_cells(args: argparse.Namespace, console: Console) -> None:
    """The cells of each figure, and the sum of those that figures share."""
    everything: dict[str, Cell] = {}
    for name, listed in wanted(args).items():
        cells = cells_of(listed)
        seconds = {key: estimated_seconds(cell) for key, cell in cells.items()}
        seconds["sum"] = sum(seconds.values())
        table = pd.DataFrame({"cell": list(seconds), "estimated": map(clock, seconds.values())})
        print_table(console, f"{name}: {FIGURES[name].title}", table)
        everything |= cells
    total = clock(sum(map(estimated_seconds, everything.values())))
    console.print(f"{len(everything)} cells in all, about {total} of one core's time.")


class Data:
    """The rows of the protocol and seed that were asked for last."""

    def __init__(self) -> None:
        self._asked: tuple[Protocol, int] | None = None
        self._data: Dataset | None = None

    def of(self, cell: Cell) -> Dataset:
        """The rows that a cell is about."""
        asked = (cell.protocol, cell.seed)
        if self._data is None or asked != self._asked:
            self._data = load(*asked)
            self._asked = asked
        return self._data


def compute_cells(cells: dict[str, Cell], store: CellStore, console: Console) -> dict[str, Any]:
    """What is stored, and what is missing, computed; by key."""
    stored = {key: store.get(cell) for key, cell in cells.items()}
    missing = {key: cell for key, cell in cells.items() if stored[key] is None}
    remaining = Remaining(missing.values())
    for key, value in stored.items():
        if value is not None:
            remaining.done(cells[key], value["seconds"])
    console.print(f"{len(cells)} cells, {len(missing)} of them to be computed.", highlight=False)
    # Data sets that are not there are told of before any work, not in the middle of it.
    data = Data()
    for cell in {cell.protocol: cell for cell in missing.values()}.values():
        data.of(cell)
    columns = (
        BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[left]} {task.description}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(cells), completed=len(cells) - len(missing), left="")
        for key, cell in missing.items():
            progress.update(task, description=key, left=f"{clock(remaining.seconds)} left")
            value = compute(cell, data.of(cell))
            store.put(cell, value)
            remaining.done(cell, value["seconds"])
            stored[key] = value
            if value["diverged"]:
                console.print(f"{key} diverged", highlight=False)
            progress.advance(task)
        progress.update(task, description="", left="")
    return stored


def command_of(args: argparse.Namespace) -> str:
    """The command that gives these results again, figure by figure."""
    seeds = "" if args.seeds is None else f" --seeds {','.join(map(str, args.seeds))}"
    usual = args.output == Path("runs") / f"paper-{args.scale}"
    output = "" if usual else f" --output {args.output}"
    return f"python trainers/paper.py {{}} --scale {args.scale}{seeds}{output}"


def write_figure(
    args: argparse.Namespace, name: str, listed: list[Point], stored: dict[str, Any]
) -> Report:
    """The figure's rows, picture and page."""
    values = gather(listed, stored)
    seeds = sorted({point.cell.seed for point in listed})
    report = Report(
        name, SCALES[args.scale], seeds, values, command_of(args).format(name), str(date.today())
    )
    write_text(args.output / f"{name}.csv", csv_table(rows(name, values)))
    save_figure(draw(name, values), args.output / f"{name}.png")
    write_text(args.output / f"{name}.md", page(report))
    return report


def show(console: Console, report: Report) -> None:
    """The figure's first measure as a table."""
    measure = report.figure.measures[0]
    xs = sorted({p.x for p in report.values if p.x is not None})
    lines: list[list[str]] = []
    for line in dict.fromkeys(p._replace(x=None) for p in report.values):
        value = report.values.get(line)
        if value is not None:
            lines.append([title(line.method), value.text(measure), *[""] * (len(xs) - 1)])
            continue
        places = [line._replace(x=x) for x in xs]
        texts = [report.values[p].text(measure) if p in report.values else "" for p in places]
        lines.append([label(line), *texts])
    table = pd.DataFrame(lines, columns=["method", *map(str, xs)])
    print_table(console, f"{report.name}: {report.figure.title} ({measure}, %)", table)


def run(args: argparse.Namespace, console: Console) -> None:
    """All figures that were asked for, each written as soon as its cells are there."""
    if args.list:
        show_cells(args, console)
        return
    args.output = claim(local_path(args.output, "--output"), "the paper's figures")
    store = CellStore(
        args.output / "cells",
        lambda text: console.print(text, style="yellow", markup=False, soft_wrap=True),
    )
    figures = wanted(args)
    everything = list(itertools.chain.from_iterable(figures.values()))
    stored = compute_cells(cells_of(everything), store, console)
    for name, listed in figures.items():
        show(console, write_figure(args, name, listed, stored))
    console.print(f"\nTables and pictures: {args.output}", soft_wrap=True)


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run, "cell")


if __name__ == "__main__":
    sys.exit(main())
