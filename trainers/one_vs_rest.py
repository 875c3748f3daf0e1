"""Train on one class of images and find all others: AUROC for each class, and the mean.

With no arguments: the baselines, SM-DELVM on images, and detectors of patch features with filters
of DSM-DELVM and untrained ones, on all ten classes of CIFAR-10, each learned on the normal class
alone. Writes tables and a picture. Finished classes of an interrupted run are kept, and the same
command goes on from there.
"""

from trainers.program import run_program

import argparse
import sys
from functools import partial
from itertools import chain
from pathlib import Path

from rich.console import Console
from sklearn.metrics import average_precision_score, roc_auc_score

import delvm_tf as dv
from delvm_tf.plots.figure import save_figure
from trainers.arguments import (
    add_dataset_arguments,
    add_recipe_arguments,
    chosen_recipe,
    new_parser,
    parse_seeds,
)
from trainers.evaluation.tables import Row, markdown_table, print_table, summarize
from trainers.experiments.one_vs_rest import (
    Scored,
    add_patch_arguments,
    baseline_scores,
    class_table,
    contrast_normalized,
    default_scores,
    load_one_vs_rest,
    model_scores,
    norm_scores,
    patch_recipes,
    patch_scores,
    patch_settings,
)
from trainers.plots.classes import plot_class_scores
from trainers.results import Results

PARTS = ("baselines", "model", "patches", "default")
USUAL_PARTS = ("baselines", "model", "patches")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    data = parser.add_argument_group("data")
    add_dataset_arguments(data, "cifar10", "one-vs-rest")
    data.add_argument("--classes", type=parse_seeds, default=list(range(10)), metavar="0-9")
    data.add_argument("--seeds", type=parse_seeds, default=[0], metavar="0-2")
    data.add_argument("--train-size", type=int, default=0, help="normal images; 0 for all")
    data.add_argument("--test-size", type=int, default=0, help="images to score; 0 for all")
    data.add_argument(
        "--validation", action="store_true",
        help="score images carved from the training part, to choose settings by, for all classes "
        "together",
    )  # fmt: skip
    data.add_argument(
        "--contrast", action=argparse.BooleanOptionalAction, default=True,
        help="normalise brightness and contrast of each image, for baselines and model; patches "
        "are normalised each for itself",
    )  # fmt: skip
    parser.add_argument(
        "--parts", nargs="+", default=list(USUAL_PARTS), choices=PARTS,
        help="in the order to be run in; 'default' is the detector of images without settings",
    )  # fmt: skip
    add_recipe_arguments(parser, "SM-DELVM")
    features = parser.add_argument_group("features and their detectors")
    features.add_argument("--pool", type=int, default=8, help="of the model's feature maps")
    features.add_argument(
        "--patch-recipes", default="one-vs-rest-patches", metavar="FILE",
        help="of the methods of patches, as --recipe",
    )  # fmt: skip
    add_patch_arguments(features)
    output = parser.add_argument_group("output")
    output.add_argument("--output", type=Path, help="folder; runs/one-vs-rest/<dataset>")
    args = parser.parse_args(arguments)
    args.recipe = chosen_recipe(args, "one-vs-rest")
    args.patch_recipes = patch_recipes(args, args.patch_recipes)
    return args


def load_data(args: argparse.Namespace, normal_class: int, seed: int) -> dv.datasets.Dataset:
    """One class against the rest."""
    return load_one_vs_rest(
        args.dataset, normal_class, seed,
        validation=args.validation, train_size=args.train_size, test_size=args.test_size,
    )  # fmt: skip


def run_part(
    args: argparse.Namespace, part: str, normal_class: int, seed: int, console: Console
) -> list[Row]:
    """Train and score one part of the methods on one class under one seed."""
    data = load_data(args, normal_class, seed)
    seen = contrast_normalized(data) if args.contrast else data
    found: dict[str, Scored] = {}
    if part == "baselines":
        found.update(norm_scores(data) | baseline_scores(seen, seed))
    elif part == "model":
        found.update(model_scores(args.recipe, seen, seed, args.pool))
    elif part == "default":
        found.update(default_scores(data, seed))
    else:
        for name, recipe in args.patch_recipes.items():
            found.update(patch_scores(name, recipe, data, seen, seed, patch_settings(args)))
    rows: list[Row] = [
        {
            "method": method, "class": f"{normal_class} {data.class_names[0]}", "seed": seed,
            "auroc": float(roc_auc_score(data.y_test, each.scores)),
            "average precision": float(average_precision_score(data.y_test, each.scores)),
            "seconds": round(each.seconds, 1),
        }
        for method, each in found.items()
    ]  # fmt: skip
    best = max(rows, key=lambda row: row["auroc"])
    console.print(f"  highest: {best['auroc']:.4f}, {best['method']}", highlight=False)
    return rows


def run(args: argparse.Namespace, console: Console) -> None:
    """All parts, seeds and classes, from where an interrupted run of the same command stopped."""
    output = args.output or Path("runs/one-vs-rest") / args.dataset
    results = Results.of_run(output, args)
    checked = [load_data(args, each, args.seeds[0]) for each in args.classes]
    first = checked[0]  # mistakes show before any work
    if "model" in args.parts:
        args.recipe.make(first.input_shape, 0)
    if "patches" in args.parts:
        patch_settings(args).check(first.input_shape)
    pieces = {
        f"{part}, class {each}, seed {seed}": partial(run_part, args, part, each, seed, console)
        for part in args.parts for seed in args.seeds for each in args.classes
    }  # fmt: skip
    rows: list[Row] = list(chain(*results.compute(pieces, console).values()))
    table = class_table(rows)
    columns = [name for name in table[0] if name not in ("method", "seed")]
    summary = summarize(table, columns)
    about = (
        f"AUROC of {args.dataset}, one class against the rest: {len(first.x_train)} normal "
        f"training images, {len(first.x_test)} scored"
        f"{' (carved from the training data)' if args.validation else ''}, seeds {args.seeds}"
    )
    results.write_tables(rows, about, markdown_table(summary))
    save_figure(plot_class_scores(table), results.folder / "classes.png")
    results.finish()

    print_table(console, f"AUROC of {args.dataset}, by normal class", summary)
    console.print(f"\nResults and picture: {output}", soft_wrap=True, highlight=False)


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run, "class")


if __name__ == "__main__":
    sys.exit(main())
