"""Anomaly detectors on many tables, side by side: AUROC, average precision, ranks and time.

With no arguments: detectors of this library and simple methods on the 60 tables of OddBench,
by whose results settings are chosen. `--protocol published` and `clean` are those of ADBench,
`mvtec` has embeddings of photographs.
KCM and detectors of PyOD run beside them where `pip install -e './trainers[benchmarks]'` has
brought these packages. Finished tables of an interrupted run are kept, and the same command goes
on from there.
"""

from trainers.program import run_program

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from sklearn.metrics import average_precision_score, roc_auc_score

from delvm_tf.plots.figure import save_figure
from trainers.arguments import new_parser, parse_seeds
from trainers.evaluation.tables import Row, markdown_table, print_table
from trainers.experiments.tables import FOLDERS, METHODS, OURS, load_table, scored, sets_of
from trainers.plots.ranks import mean_ranks, plot_mean_ranks
from trainers.results import Results

PROTOCOLS = tuple(FOLDERS)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    parser.add_argument("--protocol", default=PROTOCOLS[0], choices=PROTOCOLS)
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="all if not given")
    parser.add_argument("--seeds", type=parse_seeds, default=[0], metavar="0-4")
    parser.add_argument(
        "--methods", nargs="+", default=list(METHODS), choices=METHODS, metavar="METHOD",
        help=f"of {', '.join(METHODS)}",
    )  # fmt: skip
    parser.add_argument(
        "--data-dir", type=Path, help="above the folders of the sets; DELVM_DATA_DIR"
    )
    parser.add_argument("--output", type=Path, help="folder; runs/tables/<protocol>")
    return parser.parse_args(arguments)


def run_one(args: argparse.Namespace, method: str, name: str, seed: int) -> Row:
    """One method on one set under one seed."""
    table = load_table(args.protocol, name, seed, args.data_dir)
    found = scored(METHODS[method], table, seed)
    return {
        "method": method, "set": name, "seed": seed, "rows": len(table.train),
        "columns": table.train.shape[1],
        "auroc": float(roc_auc_score(table.labels, found.scores)),
        "average precision": float(average_precision_score(table.labels, found.scores)),
        "fit seconds": round(found.fit_seconds, 2), "score seconds": round(found.score_seconds, 2),
        "megabytes": round(found.megabytes),
    }  # fmt: skip


def by_set(rows: list[Row], figure: str) -> pd.DataFrame:
    """A figure of each method on each set, over seeds, (sets, methods)."""
    frame = pd.DataFrame(rows)
    table = frame.pivot_table(index="set", columns="method", values=figure, sort=False)
    return table[list(dict.fromkeys(frame["method"]))]


def summary_of(rows: list[Row]) -> pd.DataFrame:
    """Means over sets, mean rank, and times, by method."""
    auroc, precision = by_set(rows, "auroc"), by_set(rows, "average precision")
    ranks = mean_ranks(auroc)
    columns: dict[str, Any] = {
        "AUROC": auroc.mean().map("{:.4f}".format),
        "average precision": precision.mean().map("{:.4f}".format),
        "mean rank": ranks.map("{:.2f}".format),
    }
    if OURS in auroc:
        wins = auroc.apply(lambda other: (auroc[OURS] > other).sum())
        losses = auroc.apply(lambda other: (auroc[OURS] < other).sum())
        columns["ours wins:loses"] = wins.astype(str) + ":" + losses.astype(str)
    for name in ("fit seconds", "score seconds"):
        columns[f"median {name}"] = by_set(rows, name).median().map("{:.1f}".format)
    return pd.DataFrame(columns).loc[list(auroc)].rename_axis("method")


def run(args: argparse.Namespace, console: Console) -> None:
    """All methods, sets and seeds, from where an interrupted run of the same command stopped."""
    names = args.sets or sets_of(args.protocol, args.data_dir)
    if unknown := sorted({*names} - {*sets_of(args.protocol, args.data_dir)}):
        raise ValueError(f"there is no set {unknown[0]!r} in the protocol {args.protocol}")
    output = args.output or Path("runs/tables") / args.protocol
    results = Results.of_run(output, args)
    pieces = {
        f"{name}, {method}, seed {seed}": partial(run_one, args, method, name, seed)
        for name in names for method in args.methods for seed in args.seeds
    }  # fmt: skip
    rows: list[Row] = list(results.compute(pieces, console).values())
    summary = summary_of(rows)
    auroc = by_set(rows, "auroc")
    about = (
        f"{len(names)} tables, protocol {args.protocol}, seeds {args.seeds}: means over sets of "
        f"AUROC and average precision, and ranks by AUROC"
    )
    each = auroc.map("{:.3f}".format).rename_axis("AUROC by set")
    results.write_tables(rows, about, f"{markdown_table(summary)}\n{markdown_table(each)}")
    save_figure(plot_mean_ranks(auroc, f"{args.protocol}, AUROC"), results.folder / "ranks.png")
    results.finish()
    print_table(console, f"{len(names)} tables, {args.protocol}", summary)
    console.print(f"\nResults and picture: {output}", soft_wrap=True, highlight=False)


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run, "table")


if __name__ == "__main__":
    sys.exit(main())
