"""Train an energy model on normal data and compare it with simple anomaly detectors.

With no arguments: SM-DELVM on the bundled heartbeats (ECG5000, protocol `standard`, one seed).
Writes a table, plots, a TensorBoard log and a SavedModel. Finished seeds of an interrupted run are
kept, and the same command goes on from there.
"""

from trainers.program import activation, run_program

import argparse
import shlex
import sys
import time
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

import delvm_tf as dv
from delvm.progress import TrainingProgress
from delvm_tf.datasets import Dataset
from delvm_tf.plots import plot_error_histogram, plot_reconstructions, plot_roc_curves
from delvm_tf.plots.figure import save_figure
from delvm_tf.serving import ModelCard
from delvm_tf.storage.ownership import make_folder
from delvm_tf.storage.paths import check_checkpoint_path, local_path
from trainers.arguments import (
    add_recipe_arguments,
    add_setting_arguments,
    chosen_recipe,
    new_parser,
)
from trainers.evaluation.tables import Row, markdown_table, print_table, summarize
from trainers.experiments.anomaly import (
    FIGURES,
    add_anomaly_data_arguments,
    all_abnormal,
    baseline_detectors,
    detectors_of,
    ensembles_of,
    load_anomalies,
    row,
    scores_of,
)
from trainers.results import Results

MEMBER_SEEDS = 1000  # between the members of an ensemble, so that no two runs share a model
PUBLISHED = (
    "Guo and Kim (2023), one layer of 2,048 units: F1 0.9481, precision 0.9057, recall 0.9946"
)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    add_anomaly_data_arguments(parser.add_argument_group("data"))
    add_recipe_arguments(parser, "the data set's first, or the library's default detector")
    add_setting_arguments(parser, ["detection"])
    output = parser.add_argument_group("output")
    output.add_argument("--output", type=Path, help="folder; runs/anomaly/<dataset>-<protocol>")
    output.add_argument("--saved-models", type=Path, default=Path("saved_models"))
    args = parser.parse_args(arguments)
    args.protocol = args.protocol or dv.datasets.protocols(args.dataset)[0]
    args.recipe = chosen_recipe(args, f"{args.dataset}-{args.protocol}", args.dataset)
    return args


def train(
    args: argparse.Namespace, data: Dataset, seed: int, log_dir: Path, console: Console
) -> tuple[list[Any], list[float]]:
    """The trained models of an ensemble and the seconds of each; the first has the seed itself."""
    models, seconds = [], []
    members = args.recipe.detection.ensemble
    with TrainingProgress(console) as progress:
        for member in range(members):
            logs = log_dir if member == 0 else log_dir.with_name(f"{log_dir.name}-member-{member}")
            name = "training" if members == 1 else f"model {member + 1} of {members}"
            started = time.perf_counter()
            model = args.recipe.train(
                data.x_train,
                seed + MEMBER_SEEDS * member,
                callbacks=[tensorboard(args, data, logs), progress.callback(name)],
            )
            models.append(model)
            seconds.append(time.perf_counter() - started)
    return models, seconds


def tensorboard(args: argparse.Namespace, data: Dataset, folder: Path) -> dv.TensorBoard:
    """The log of a run, with pictures of labelled training data where there are any."""
    shown: Any = data.x_train
    if data.x_calibration is not None and data.y_calibration is not None:
        order = np.random.default_rng(0).permutation(len(data.x_calibration))
        shown = (data.x_calibration[order], data.y_calibration[order])
    spec = args.recipe
    hparams = {"model": spec.model, "objective": spec.objective_name, "epochs": spec.epochs,
               **{name: str(value) for name, value in spec.model_settings.items()}}  # fmt: skip
    return dv.TensorBoard(folder, shown, normal=data.x_train, hparams=hparams)


def served_row(args: argparse.Namespace, model: Any) -> str:
    """The row of the table whose detector is exported: what the recipe makes of its models."""
    usual = "energy" if hasattr(model, "energy") else "reconstruction_error"
    detection = args.recipe.detection
    return method_name(args, detection.criterion or usual) + detection.together


def run_seed(args: argparse.Namespace, seed: int, folder: Path, console: Console) -> list[Row]:
    """Train and score everything under one seed; the first seed also gives plots and a model."""
    data = load_anomalies(args, seed)
    models, seconds = train(args, data, seed, folder / "tensorboard" / f"seed-{seed}", console)
    detection = args.recipe.detection
    threshold = detection.threshold
    detectors = {
        method_name(args, score): (fitted, seconds[0])
        for score, fitted in detectors_of(models[0], data, threshold).items()
    }
    if detection.together:
        ensembles = ensembles_of(models, detection, data)
        for score, fitted in ensembles.items():
            name = method_name(args, score) + detection.together
            detectors[name] = (fitted, sum(seconds))
    detectors |= baseline_detectors(data, threshold, seed)
    scores = {
        method: fitted.anomaly_score(data.x_test) for method, (fitted, _) in detectors.items()
    }
    rows = [
        row(method, seed, data, scores[method], fitted.threshold_, elapsed)
        for method, (fitted, elapsed) in detectors.items()
    ]
    rows.append(all_abnormal(data, seed))

    if seed == args.seeds[0]:
        save_plots(args, data, detectors, scores, folder)
        name = served_row(args, models[0])
        (test,) = (each for each in rows if each["method"] == name)
        about = {"data": args.dataset, "protocol": args.protocol, "seed": seed, "detector": name}
        about["test"] = {k: float(v) for k, v in test.items() if k not in ("method", "seed")}
        dv.export_saved_model(detectors[name][0], args.saved_models / args.dataset, about=about)
        models[0].save(folder / "model.keras")
    return rows


def method_name(args: argparse.Namespace, score: str) -> str:
    """What the table calls the model under a score."""
    return f"{args.recipe.title}, {score.replace('_', ' ')}"


def save_plots(
    args: argparse.Namespace, data: Dataset, detectors: dict[str, Any],
    scores: dict[str, np.ndarray], folder: Path,
) -> None:  # fmt: skip
    """A histogram of each score, ROC curves and reconstructions."""
    fitted = detectors[method_name(args, "reconstruction_error")][0]
    for score in scores_of(fitted.model):
        method = method_name(args, score)
        label = score.replace("_", " ")
        threshold = detectors[method][0].threshold_
        histogram = plot_error_histogram(
            scores[method], data.y_test, threshold, f"{label} of the test data"
        )
        save_figure(histogram, folder / f"histogram-{score}.png")
    save_figure(plot_roc_curves(data.y_test, scores), folder / "roc.png")
    rebuilt = fitted.model.reconstruct(data.x_test)
    errors = scores[method_name(args, "reconstruction_error")]
    save_figure(
        plot_reconstructions(data.x_test, rebuilt, data.y_test, errors),
        folder / "reconstructions.png",
    )


def run(args: argparse.Namespace, console: Console) -> None:
    """All seeds, from where an interrupted run of the same command stopped."""
    args.saved_models = local_path(args.saved_models, "--saved-models")
    check_checkpoint_path(args.saved_models)
    make_folder(args.saved_models / args.dataset)  # before any training
    output = args.output or Path("runs/anomaly") / f"{args.dataset}-{args.protocol}"
    results = Results.of_run(output, args)
    first = load_anomalies(args, args.seeds[0])
    pieces = {
        f"seed {seed}": partial(run_seed, args, seed, results.folder, console)
        for seed in args.seeds
    }
    rows: list[Row] = list(chain(*results.compute(pieces, console).values()))
    summary = summarize(rows, list(FIGURES))
    about = (
        f"{len(first.x_train)} normal training examples, {len(first.x_test)} scored"
        f"{' (carved from the training data)' if args.validation else ''}, seeds {args.seeds}"
    )
    results.write_tables(rows, about, markdown_table(summary))
    results.finish()
    show(console, args, first, summary, output)


def show(
    console: Console, args: argparse.Namespace, data: Dataset, summary: pd.DataFrame, output: Path
) -> None:
    """The table, and what to do next."""
    heading = (
        f"{data.name}, protocol {data.protocol}: {len(data.x_train)} normal examples, "
        f"{int(np.sum(data.y_test))} abnormal among {len(data.y_test)} scored"
    )
    print_table(console, heading, summary.rename(columns=FIGURES))
    if data.name == "ecg5000" and data.protocol == "paper" and args.recipe.model == "delvm":
        console.print(PUBLISHED)
    versions = args.saved_models / args.dataset
    newest = max((int(p.name) for p in versions.iterdir() if p.name.isdecimal()), default=0)
    served = versions / str(newest)
    name = ModelCard.read(served).about["detector"]
    console.print(
        f"\nTable and plots: {output}\nModel: {output / 'model.keras'}\n"
        f"SavedModel: {served}, which serves {name!r}\n\n"
        f"Next:\n{activation()}"
        f"  look at the training: tensorboard --logdir {output / 'tensorboard'}\n"
        f"  score your own files: delvm score {served} 'data/*.csv' -o scores.csv\n"
        f"  {going_on(args)}",
        soft_wrap=True, highlight=False, markup=False,
    )  # fmt: skip


def going_on(args: argparse.Namespace) -> str:
    """The same with ten seeds, or after several seeds all models and objectives."""
    if len(args.seeds) == 1:
        return f"more seeds: python {shlex.join(sys.argv)} --seeds 0-9"
    return (
        f"all models and objectives: python trainers/compare.py --dataset {args.dataset} "
        f"--protocol {args.protocol}"
    )


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run, "seed")


if __name__ == "__main__":
    sys.exit(main())
