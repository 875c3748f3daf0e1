"""Time detectors of tables against the rows and the columns they learn from, in one run.

The default detector, simple methods, and detectors of other packages where these are installed
(`pip install -e './trainers[benchmarks]'`) take turns, size by size, each in a process of its own.
A fit or a scoring that takes longer than the limit is stopped, and the method's larger sizes are
left out. The other part sets a training step of the default detector's network against its
arithmetic at the rate of a large matrix product.
"""

from report import Content, run_report

import argparse
import os
import sys
from pathlib import Path

import pandas as pd
from detector_growth.charts import plot_growth
from detector_growth.figures import KINDS, Cell, Figures, Series
from detector_growth.step import step_rows
from detector_growth.workers import LEFT_OUT, NEW_ROWS, Taken, Worker, chosen_methods
from rich.console import Console

from delvm_tf.storage.ownership import claim, write_text
from trainers.evaluation.tables import csv_table

OUTPUT = Path("results/benchmarks/detectors/results.md")
FEW = 15.0  # seconds of a fit and two scorings up to which they are measured in all rounds
LABELS = {"rows": "rows of the training, {columns} columns", "columns": "columns, {rows} rows"}
PROTOCOL = f"""\
Rows of correlated columns from a seed, in turn normal, rounded and lognormal. Each method has a
process, where it has fitted a small table before; methods take turns, size by size. Seconds by the
clock and of CPU time of all threads are medians of the rounds, and in brackets how many times those
of the default detector in the same rounds. {NEW_ROWS:,} new rows are scored, twice: the first time
may compile, and is in results.csv only. What takes up to {FEW:g} s is measured in each round, the
rest in the first. Methods are as in trainers/tables.py, but all are given all rows. Of these they
make their own choice: noise levels looks at 250,000 at most, isolation forest draws 256 a tree, and
KCM keeps 2,000."""
STEP = """\
A training step of the network, 256 rows. "Mflop of products" are the operations of its matrix
products by the sizes of the layers, "in the graph" the same counted in TensorFlow's graph, where
"with other operations" adds what its profiler knows of the rest. The share of the rate is that at
which a step does its products, relative to a matrix product of 4096 × 2048 × 2048 in the same
rounds, by the clock and by CPU time. "Of fit" are steps as the detector trains them, 50 to a call,
with the reading of data."""


def measured(
    methods: list[str], series: list[Series], limit: float, rounds: int, console: Console
) -> dict[Cell, list[Taken]]:
    """What each method takes for each size, round by round."""
    workers = {name: Worker(name, limit) for name in methods}
    found: dict[Cell, list[Taken]] = {}
    try:
        for index in range(rounds):
            done = set()
            for each in series:
                stopped = set()
                for shape in each.sizes:
                    for name in methods:
                        cell = (name, *shape)
                        if cell not in done and _wanted(found.get(cell, []), index):
                            taken = Taken(outcome=LEFT_OUT)
                            if name not in stopped:
                                console.print(f"{name}: {shape[0]:,} rows, {shape[1]} columns")
                                taken = workers[name].measure(*shape)
                            found.setdefault(cell, []).append(taken)
                            done.add(cell)
                        if found[cell][0].outcome:
                            stopped.add(name)
    finally:
        for worker in workers.values():
            worker.close()
    return found


def _wanted(rounds: list[Taken], index: int) -> bool:
    """Whether a cell is to be measured in a round, after those it was measured in."""
    if index == 0:
        return True
    parts = (rounds[0].fit, rounds[0].first, rounds[0].score)
    return not rounds[0].outcome and sum(part.clock for part in parts if part) < FEW


def measure(args: argparse.Namespace, console: Console) -> tuple[str, Content]:
    """Times and pictures of growth, and the arithmetic of a step."""
    folder = claim(args.output.parent, "a benchmark of detectors")
    before = os.getloadavg()[0]
    steps = step_rows(args.columns, args.beside[0], args.steps, args.rounds, console)
    series = [
        Series("rows", [(rows, args.beside[1]) for rows in args.rows]),
        Series("columns", [(args.beside[0], columns) for columns in args.columns]),
    ]
    methods = chosen_methods()
    figures = Figures(methods, measured(methods, series, args.limit, args.rounds, console))
    write_text(folder / "results.csv", csv_table([r for s in series for r in figures.rows(s)]))
    write_text(folder / "step.csv", csv_table(steps))
    content: list[str | pd.DataFrame] = [PROTOCOL]
    for each in series:
        rows, columns = f"{args.beside[0]:,}", args.beside[1]
        label = LABELS[each.name].format(rows=rows, columns=columns)
        titles = {"fit": "fit", "score": f"score {NEW_ROWS:,} new rows"}
        panels = {title: figures.lines(part, each) for part, title in titles.items()}
        plot_growth(panels, label, args.limit, folder / f"{each.name}.png")
        content.append(f"## Against {label}")
        content += [figures.table(part, kind, each) for part in titles for kind in KINDS]
        content.append(figures.rates(each))
        content.append(f"![{each.name}]({each.name}.png)")
    content += ["## A training step", STEP, pd.DataFrame(steps)]
    after = os.getloadavg()[0]
    return (
        f"Times of detectors, limit {args.limit:g} s, {args.rounds} rounds. Load of the machine "
        f"{before:.1f} at the beginning, {after:.1f} at the end (work of the run included).",
        content,
    )


if __name__ == "__main__":
    sys.exit(
        run_report(
            __file__, __doc__, measure, OUTPUT, limit=120.0, rounds=3,
            rows=(1000, 10_000, 100_000, 1_000_000), columns=(3, 10, 30, 100, 300),
            beside=(10_000, 30), steps=1000,
        )
    )  # fmt: skip
