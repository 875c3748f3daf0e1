"""Train every model by every sensible objective on normal data, and rank them in one table.

With no arguments: all pairs that make sense for a series of numbers, on the bundled heartbeats
(ECG5000, protocol `standard`, seed 0), with settings chosen on data carved from the training part.
Finished pieces of an interrupted run are kept, and the same command goes on from there.
"""

from trainers.program import run_program

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path

from rich.console import Console

import delvm_tf as dv
from delvm_tf.catalog import MODELS, Recipe
from delvm_tf.datasets import Dataset
from delvm_tf.detection import THRESHOLDS
from trainers.arguments import add_recipe_argument, chosen_recipe, new_parser
from trainers.evaluation.tables import Row, markdown_table, print_table, summarize
from trainers.experiments.anomaly import (
    FIGURES,
    add_anomaly_data_arguments,
    all_abnormal,
    baseline_detectors,
    detectors_of,
    load_anomalies,
    row,
)
from trainers.recipes import recipes_in
from trainers.results import Results

PAIRS = "ecg5000"  # the recipes whose pairs are compared unless others are asked for


def parse_pair(text: str) -> tuple[str, str]:
    """A model and an objective from text such as `dem:cd`."""
    model, _, objective = text.partition(":")
    if model not in MODELS:
        raise argparse.ArgumentTypeError(
            f"unknown model in {text!r}; there are {', '.join(MODELS)}"
        )
    objective = objective or MODELS[model].objectives[0]
    if objective not in MODELS[model].objectives:
        raise argparse.ArgumentTypeError(
            f"{model} is not learned by {objective!r}; by {', '.join(MODELS[model].objectives)}"
        )
    return model, objective


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    add_anomaly_data_arguments(parser)
    add_recipe_argument(parser)
    parser.add_argument(
        "--pairs", type=parse_pair, nargs="+", metavar="MODEL:OBJECTIVE",
        help="those of --recipe if not given, or all that make sense for a series of numbers",
    )  # fmt: skip
    parser.add_argument("--threshold", default="mean_std", choices=list(THRESHOLDS))
    parser.add_argument("--output", type=Path, help="folder; runs/compare/<dataset>-<protocol>")
    args = parser.parse_args(arguments)
    args.protocol = args.protocol or dv.datasets.protocols(args.dataset)[0]
    usual = (f"{args.dataset}-{args.protocol}", args.dataset)
    args.pairs = args.pairs or pairs_of(args.recipe or PAIRS)
    args.recipes = {
        pair: chosen_recipe(
            argparse.Namespace(recipe=args.recipe, model=pair[0], objective=pair[1]), *usual
        )
        for pair in args.pairs
    }
    return args


def pairs_of(file: str) -> list[tuple[str, str]]:
    """The models and objectives that a file has recipes for."""
    recipes = recipes_in(file, Recipe)
    return list(dict.fromkeys((each.model, each.objective_name) for each in recipes.values()))


def baseline_rows(args: argparse.Namespace, data: Dataset, seed: int) -> list[Row]:
    """The baselines, among them calling everything abnormal."""
    fitted = baseline_detectors(data, args.threshold, seed)
    rows = [
        row(name, seed, data, detector.anomaly_score(data.x_test), detector.threshold_, seconds)
        for name, (detector, seconds) in fitted.items()
    ]
    return [*rows, all_abnormal(data, seed)]


def model_rows(
    args: argparse.Namespace, data: Dataset, seed: int, pair: tuple[str, str]
) -> list[Row]:
    """A model under each of its scores; a run that diverged is told as such."""
    specification = args.recipes[pair]
    started = time.perf_counter()
    try:
        model = specification.train(data.x_train, seed)
    except dv.TrainingDiverged:
        return [
            {
                "method": f"{specification.title}, diverged", "seed": seed,
                **dict.fromkeys(FIGURES, float("nan")),
            }
        ]  # fmt: skip
    seconds = time.perf_counter() - started
    return [
        row(
            f"{specification.title}, {score.replace('_', ' ')}", seed, data,
            detector.anomaly_score(data.x_test), detector.threshold_, seconds,
        )
        for score, detector in detectors_of(model, data, args.threshold).items()
    ]  # fmt: skip


def run(args: argparse.Namespace, console: Console) -> None:
    """All pieces, from where an interrupted run of the same command stopped."""
    output = args.output or Path("runs/compare") / f"{args.dataset}-{args.protocol}"
    results = Results.of_run(output, args)
    first = load_anomalies(args, args.seeds[0])
    rows: list[Row] = []
    for seed in args.seeds:
        data = load_anomalies(args, seed)
        pieces: dict[str, Callable[[], list[Row]]] = {
            f"baselines, seed {seed}": partial(baseline_rows, args, data, seed)
        }
        for pair in args.pairs:
            pieces[f"{'-'.join(pair)}, seed {seed}"] = partial(model_rows, args, data, seed, pair)
        rows.extend(chain(*results.compute(pieces, console).values()))

    summary = summarize(rows, list(FIGURES))
    listed = "\n".join(f"- `{':'.join(pair)}`: {each}" for pair, each in args.recipes.items())
    about = (
        f"{len(first.x_train)} normal training examples, {len(first.x_test)} scored"
        f"{' (carved from the training data)' if args.validation else ''}, seeds {args.seeds}"
    )
    results.write_tables(rows, about, f"{markdown_table(summary)}\nSettings:\n\n{listed}\n")
    results.finish()
    heading = f"{first.name}, protocol {first.protocol}, {len(args.seeds)} seeds"
    print_table(console, heading, summary.rename(columns=FIGURES))
    console.print(f"\nResults: {output}", soft_wrap=True)


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
