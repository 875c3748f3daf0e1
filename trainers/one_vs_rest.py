"""Train on one class of images and find all others: AUROC for each class, and the mean.

With no arguments: the baselines, SM-DELVM on images, and detectors of patch features with filters
of DSM-DELVM and untrained ones, on all ten classes of CIFAR-10, each learned on the normal class
alone. Writes tables and a picture. Finished classes of an interrupted run are kept, and the same
command goes on from there.
"""

from trainers.program import run_program

import argparse
import sys
from datetime import date
from pathlib import Path

from rich.console import Console
from sklearn.metrics import average_precision_score, roc_auc_score

import delvm_tf as dv
from delvm_tf.catalog import Specification
from delvm_tf.plots.figure import save_figure
from trainers.arguments import add_model_arguments, parse_seeds, specification
from trainers.evaluation.tables import Row, csv_table, markdown_table, print_table, summarize
from trainers.experiments.one_vs_rest import (
    PatchSettings,
    Scored,
    baseline_scores,
    class_table,
    contrast_normalized,
    load_one_vs_rest,
    model_scores,
    norm_scores,
    patch_scores,
)
from trainers.plots.classes import plot_class_scores
from trainers.recipes.one_vs_rest import one_vs_rest_patch_method, one_vs_rest_recipe
from trainers.recipes.patches import METHODS
from trainers.results import Results

PARTS = ("baselines", "model", "patches")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    data = parser.add_argument_group("data")
    data.add_argument("--dataset", default="cifar10", choices=data_sets())
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
        "--parts", nargs="+", default=list(PARTS), choices=PARTS, help="in the order to be run in"
    )
    add_model_arguments(parser)
    features = parser.add_argument_group("features and their detectors")
    features.add_argument("--pool", type=int, default=8, help="of the model's feature maps")
    features.add_argument(
        "--patch-methods", nargs="+", default=["dsm-delvm", "random"], choices=METHODS,
        metavar="METHOD", help=f"one or more of {', '.join(METHODS)}",
    )  # fmt: skip
    features.add_argument("--patch-filters", type=int, default=PatchSettings().filters)
    features.add_argument("--patch-size", type=int, default=PatchSettings().size)
    features.add_argument("--patches", type=int, default=PatchSettings().patches)
    features.add_argument("--grid", type=int, default=PatchSettings().grid)
    output = parser.add_argument_group("output")
    output.add_argument("--output", type=Path, help="folder; runs/one-vs-rest/<dataset>")
    args = parser.parse_args(arguments)
    args.seeds = list(dict.fromkeys(args.seeds))
    args.classes = list(dict.fromkeys(args.classes))
    return args


def data_sets() -> list[str]:
    """Names of the data sets with the protocol."""
    return [name for name in dv.datasets.names() if "one-vs-rest" in dv.datasets.protocols(name)]


def chosen(args: argparse.Namespace) -> Specification:
    """The model and training that the arguments and a recipe give together."""
    return specification(args, one_vs_rest_recipe(args.model, args.objective))


def patch_settings(args: argparse.Namespace) -> PatchSettings:
    """How features are made of patches."""
    return PatchSettings(args.patch_size, args.patches, args.patch_filters, args.grid)


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
        found.update(model_scores(chosen(args), seen, seed, args.pool))
    else:
        for name in args.patch_methods:
            method = one_vs_rest_patch_method(name, args.patch_filters)
            found.update(patch_scores(name, method, data, seen, seed, patch_settings(args)))
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
    checked = [load_data(args, each, args.seeds[0]) for each in args.classes]
    first = checked[0]  # mistakes show before any work
    if "model" in args.parts:
        chosen(args).make(first.input_shape, 0)
    if "patches" in args.parts:
        patch_settings(args).check(first.input_shape)
    output = args.output or Path("runs/one-vs-rest") / args.dataset
    results = Results(output, {key: str(value) for key, value in vars(args).items()})

    pieces = {
        f"{part}-class-{each}-seed-{seed}": (part, each, seed)
        for part in args.parts for seed in args.seeds for each in args.classes
    }  # fmt: skip
    rows: list[Row] = []
    for position, (piece, (part, normal_class, seed)) in enumerate(pieces.items(), start=1):
        name = f"{part}, class {normal_class}, seed {seed}"
        if piece in results:
            console.print(f"{name}: done before the interruption")
        else:
            console.print(f"{name} ({position} of {len(pieces)})")
            results[piece] = run_part(args, part, normal_class, seed, console)
        rows.extend(results[piece])

    table = class_table(rows)
    columns = [name for name in table[0] if name not in ("method", "seed")]
    summary = summarize(table, columns)
    (results.folder / "results.csv").write_text(csv_table(rows))
    (results.folder / "results.md").write_text(
        f"AUROC of {args.dataset}, one class against the rest: {len(first.x_train)} normal "
        f"training images, {len(first.x_test)} scored"
        f"{' (carved from the training data)' if args.validation else ''}, seeds {args.seeds}, "
        f"{date.today()}.\n\n    python {' '.join(sys.argv)}\n\n{markdown_table(summary)}"
    )
    save_figure(plot_class_scores(table), results.folder / "classes.png")
    results.finish(list(pieces))

    print_table(console, f"AUROC of {args.dataset}, by normal class", summary)
    console.print(f"\nResults and picture: {output}", soft_wrap=True, highlight=False)


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run, "class")


if __name__ == "__main__":
    sys.exit(main())
