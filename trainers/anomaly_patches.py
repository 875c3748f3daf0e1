"""Find abnormal images by features of patches, with a threshold by F1 on labelled training rows.

With no arguments: the anomaly protocol of Guo and Kim's table 1 on CIFAR-10. The detectors are
those of `one_vs_rest.py`, with filters learned on the normal training images alone; a fifth of
these is held out to set the threshold, with the abnormal training images, at the best F1. Calling
every image abnormal, and the baselines, stand beside it. Finished seeds of an interrupted run are
kept, and the same command goes on from there.
"""

from trainers.program import run_program

import argparse
import sys
from functools import partial
from itertools import chain
from pathlib import Path

from rich.console import Console

import delvm_tf as dv
from delvm_tf.datasets import Dataset
from delvm_tf.storage.ownership import make_folder
from delvm_tf.storage.paths import check_checkpoint_path, local_path
from trainers.arguments import add_dataset_arguments, add_recipe_argument, new_parser, parse_seeds
from trainers.evaluation.tables import Row, markdown_table, print_table, summarize
from trainers.experiments.anomaly import FIGURES, all_abnormal, row
from trainers.experiments.held_out import HeldOut, hold_out
from trainers.experiments.one_vs_rest import (
    Scored,
    add_patch_arguments,
    baseline_scores,
    contrast_normalized,
    patch_detector,
    patch_recipes,
    patch_row,
    patch_scores,
    patch_settings,
)
from trainers.experiments.subsets import subset
from trainers.results import Results


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    add_dataset_arguments(parser, "cifar10")
    parser.add_argument("--protocol", default="paper", help="one with abnormal training images")
    parser.add_argument("--seeds", type=parse_seeds, default=[0], metavar="0-2")
    parser.add_argument(
        "--train-size", type=int, default=0, help="labelled training images; 0 for all"
    )
    parser.add_argument("--test-size", type=int, default=0, help="images to score; 0 for all")
    parser.add_argument(
        "--validation", action="store_true",
        help="score images carved from the training part, to choose settings by",
    )  # fmt: skip
    parser.add_argument("--baselines", action=argparse.BooleanOptionalAction, default=True)
    add_recipe_argument(parser, "one-vs-rest-patches")
    add_patch_arguments(parser)
    parser.add_argument("--output", type=Path, help="folder; runs/anomaly-patches/<dataset>")
    parser.add_argument(
        "--saved-models", type=Path, help="export the first method's detector of the first seed"
    )
    args = parser.parse_args(arguments)
    args.patch_recipes = patch_recipes(args, args.recipe)
    return args


def load_data(args: argparse.Namespace, seed: int) -> Dataset:
    """The split to train and score on."""
    data = dv.datasets.load(args.dataset, protocol=args.protocol, seed=seed)
    if args.validation:
        data = data.validation_split(seed=seed)
    return subset(data, args.train_size, args.test_size, seed)


def run_seed(args: argparse.Namespace, seed: int, console: Console) -> list[Row]:
    """Train and score everything under one seed."""
    data = load_data(args, seed)
    held = hold_out(data, seed=seed)
    pixels = contrast_normalized(held.data)
    found: dict[str, Scored] = baseline_scores(pixels, seed) if args.baselines else {}
    for name, recipe in args.patch_recipes.items():
        found.update(patch_scores(name, recipe, held.data, pixels, seed, patch_settings(args)))
    rows = [all_abnormal(data, seed)]
    for title, (scores, seconds) in found.items():
        threshold = held.threshold(scores)
        rows.append(row(title, seed, data, held.of_test(scores), threshold, seconds))
    if args.saved_models is not None and seed == args.seeds[0]:
        export(args, held, seed, {str(row["method"]): row for row in rows}, found)
    best = max(rows, key=lambda each: each["f1"])
    console.print(f"  best F1: {best['f1']:.4f}, {best['method']}", highlight=False)
    return rows


def export(
    args: argparse.Namespace, held: HeldOut, seed: int, rows: dict[str, Row],
    found: dict[str, Scored],
) -> None:  # fmt: skip
    """Write the first method's detector, with the threshold of its row, as a SavedModel."""
    name, recipe = next(iter(args.patch_recipes.items()))
    images = held.data.x_train
    detector = patch_detector(name, recipe, images, seed, patch_settings(args))
    row = patch_row(recipe)
    threshold = held.threshold(found[row].scores)
    served = dv.AnomalyDetector(detector, threshold).fit(held.normal)  # so p-values are honest
    test = {k: float(v) for k, v in rows[row].items() if k not in ("method", "seed")}
    about = {"data": args.dataset, "protocol": args.protocol, "seed": seed, "detector": row}
    folder = args.saved_models / args.dataset
    dv.export_saved_model(served, folder, about={**about, "test": test}, max_batch_size=64)


def run(args: argparse.Namespace, console: Console) -> None:
    """All seeds, from where an interrupted run of the same command stopped."""
    if args.saved_models is not None:
        args.saved_models = local_path(args.saved_models, "--saved-models")
        check_checkpoint_path(args.saved_models)
        make_folder(args.saved_models / args.dataset)  # before any training
    output = args.output or Path("runs/anomaly-patches") / args.dataset
    results = Results.of_run(output, args)
    first = load_data(args, args.seeds[0])
    hold_out(first, seed=args.seeds[0])  # mistakes show before any work
    patch_settings(args).check(first.input_shape)
    pieces = {f"seed {seed}": partial(run_seed, args, seed, console) for seed in args.seeds}
    rows: list[Row] = list(chain(*results.compute(pieces, console).values()))
    figures = {**FIGURES, "train seconds": "train and score s"}
    summary = summarize(rows, list(figures))
    about = (
        f"{args.dataset}, protocol {first.protocol}: {len(first.x_train)} normal training images, "
        f"a fifth of them held out for the threshold, {len(first.x_test)} scored"
        f"{' (carved from the training data)' if args.validation else ''}, seeds {args.seeds}"
    )
    results.write_tables(rows, about, markdown_table(summary))
    results.finish()
    shown = summary.rename(columns=figures)
    print_table(console, f"{args.dataset}, protocol {first.protocol}", shown)
    console.print(f"\nResults: {output}", soft_wrap=True, highlight=False)


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run, "seed")


if __name__ == "__main__":
    sys.exit(main())
