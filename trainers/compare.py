"""Train every model by every sensible objective on normal data, and rank them in one table.

With no arguments: all pairs that make sense for a series of numbers, on the bundled heartbeats
(ECG5000, protocol `standard`, seed 0), with settings chosen on data carved from the training part.
Finished pieces of an interrupted run are kept, and the same command goes on from there.
"""

from trainers.program import run_program

import argparse
import sys
import time
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

import delvm_tf as dv
from delvm_tf.catalog import MODELS
from delvm_tf.datasets import Dataset
from delvm_tf.detection import THRESHOLDS
from trainers.arguments import parse_seeds
from trainers.evaluation.tables import Row, csv_table, markdown_table, print_table, summarize
from trainers.experiments.anomaly import (
    FIGURES,
    all_abnormal,
    baseline_detectors,
    detectors_of,
    row,
)
from trainers.recipes.anomaly import recipe
from trainers.results import Results

PAIRS = [
    "delvm:score-matching", "delvm:sliced", "delvm:denoising", "delvm:cd", "delvm:persistent-cd",
    "dem:score-matching", "dem:denoising", "dem:cd", "dem:persistent-cd",
    "dsebm:score-matching", "dsebm:denoising", "dsebm:cd",
    "cebm:score-matching", "cebm:denoising", "cebm:langevin-cd", "cebm-mixture:langevin-cd",
    "gaussian-rbm:score-matching", "gaussian-rbm:cd", "gaussian-rbm:persistent-cd",
    "dbn:cd", "dbm:persistent-cd", "autoencoder:reconstruction",
]  # fmt: skip


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
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--dataset", default="ecg5000", choices=dv.datasets.names())
    parser.add_argument("--protocol", help="the data set's default if not given")
    parser.add_argument("--normal-class", type=int, help="for the protocol one-vs-rest")
    parser.add_argument(
        "--validation", action="store_true",
        help="score on data carved from the training part, to choose settings by",
    )  # fmt: skip
    parser.add_argument("--seeds", type=parse_seeds, default=[0], metavar="0-9")
    parser.add_argument(
        "--pairs", type=parse_pair, nargs="+", default=[parse_pair(pair) for pair in PAIRS],
        metavar="MODEL:OBJECTIVE",
    )  # fmt: skip
    parser.add_argument("--threshold", default="mean_std", choices=list(THRESHOLDS))
    parser.add_argument("--output", type=Path, help="folder; runs/compare/<dataset>-<protocol>")
    args = parser.parse_args(arguments)
    args.protocol = args.protocol or dv.datasets.protocols(args.dataset)[0]
    return args


def load_data(args: argparse.Namespace, seed: int) -> Dataset:
    """The split to train and score on."""
    options = {} if args.normal_class is None else {"normal_class": args.normal_class}
    data = dv.datasets.load(args.dataset, protocol=args.protocol, seed=seed, **options)
    if not data.is_anomaly:
        raise ValueError(f"protocol {data.protocol!r} of {args.dataset} has no anomalies")
    return data.validation_split(seed=seed) if args.validation else data


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
    specification = recipe(args.dataset, args.protocol, *pair)
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
    first = load_data(args, args.seeds[0])
    output = args.output or Path("runs/compare") / f"{args.dataset}-{args.protocol}"
    settings = {
        ":".join(pair): str(recipe(args.dataset, args.protocol, *pair)) for pair in args.pairs
    }
    results = Results(output, {**{k: str(v) for k, v in vars(args).items()}, **settings})
    pieces: list[str] = []
    rows: list[Row] = []
    with Progress(console=console) as progress:
        task = progress.add_task("training", total=len(args.seeds) * (1 + len(args.pairs)))
        for seed in args.seeds:
            data = load_data(args, seed)
            for pair in [None, *args.pairs]:
                name = "-".join(pair) if pair else "baselines"
                piece = f"{name}-seed-{seed}"
                progress.update(task, description=piece)
                if piece not in results:
                    results[piece] = (
                        model_rows(args, data, seed, pair)
                        if pair
                        else baseline_rows(args, data, seed)
                    )
                rows.extend(results[piece])
                pieces.append(piece)
                progress.advance(task)

    summary = summarize(rows, list(FIGURES))
    command = "python " + " ".join(sys.argv)
    listed = "\n".join(f"- `{pair}`: {text}" for pair, text in settings.items())
    (results.folder / "results.csv").write_text(csv_table(rows))
    (results.folder / "results.md").write_text(
        f"{len(first.x_train)} normal training examples, {len(first.x_test)} scored"
        f"{' (carved from the training data)' if args.validation else ''}, seeds {args.seeds}, "
        f"{date.today()}.\n\n    {command}\n\n{markdown_table(summary)}\nSettings:\n\n{listed}\n"
    )
    results.finish(pieces)
    heading = f"{first.name}, protocol {first.protocol}, {len(args.seeds)} seeds"
    print_table(console, heading, summary.rename(columns=FIGURES))
    console.print(f"\nResults: {output}", soft_wrap=True)


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
