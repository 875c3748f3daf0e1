"""Learn filters of small patches without labels and compare them by Coates' protocol.

With no arguments: SM-DELVM, k-means and random filters, 400 each, on 10,000 images of CIFAR-10.
Random patches are contrast-normalised and whitened, each method learns filters on the same ones,
every patch of an image and of its mirror image is encoded by them, codes are summed over quadrants,
and a linear classifier is fitted to square roots of the sums. Writes tables and pictures of the
filters. Finished methods of an interrupted run are kept, and the same command goes on from there.
"""

from trainers.program import run_program

import argparse
import sys
import time
from functools import partial
from itertools import chain
from pathlib import Path

import tensorflow as tf
from rich.console import Console

from delvm_tf.datasets import Dataset
from delvm_tf.features import (
    LayeredPatchFeatures,
    Parts,
    PatchFeatures,
    PatchWhitening,
    Windows,
    sample_patches,
)
from delvm_tf.features.pooling import Pooling
from delvm_tf.plots.figure import save_figure
from delvm_tf.plots.filters import plot_filters
from trainers.arguments import (
    add_dataset_arguments,
    add_recipe_argument,
    add_setting_arguments,
    changed_recipes,
    new_parser,
    parse_seeds,
)
from trainers.evaluation.tables import Row, markdown_table, print_table, summarize
from trainers.experiments.features import load_data, score_features
from trainers.experiments.patch_layers import UpperLayers
from trainers.experiments.patches import (
    DICTIONARIES,
    ENCODER_NAMES,
    EPSILON,
    HIDDEN,
    METHODS,
    PatchRecipe,
    learn_from_images,
    patch_recipe,
)
from trainers.experiments.readouts import READOUTS, Probe, readout
from trainers.recipes import recipes_in
from trainers.results import Results

FIGURES = {
    "accuracy": "accuracy", "features": "features", "train seconds": "train s",
    "seconds": "features and classifier s",
}  # fmt: skip


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    data = parser.add_argument_group("data")
    add_dataset_arguments(data, "cifar10", "classification")
    data.add_argument(
        "--train-size", type=int, default=10_000,
        help="training images, drawn by class and seed, for filters and classifier; 0 for all. "
        "The test set is always whole",
    )  # fmt: skip
    data.add_argument(
        "--validation", action="store_true",
        help="score on data carved from the training part, to choose settings by",
    )  # fmt: skip
    data.add_argument("--seeds", type=parse_seeds, default=[0], metavar="0-2")
    data.add_argument("--patches", type=int, default=100_000, help="to learn filters on")
    data.add_argument("--patch-size", type=int, default=6)
    filters = parser.add_argument_group("filters and codes")
    add_recipe_argument(filters, "patches")
    filters.add_argument(
        "--method", nargs="+", default=["sm-delvm", "kmeans", "random"], metavar="METHOD",
        help=f"one or more of {', '.join(METHODS)}, or recipes by name",
    )  # fmt: skip
    filters.add_argument("--filters", type=int, default=400)
    filters.add_argument(
        "--encoder", nargs="+", choices=ENCODER_NAMES,
        help="for all methods; that of a recipe if not given",
    )  # fmt: skip
    filters.add_argument("--threshold", type=float, nargs="+", help="of those encoders")
    layers = ("units", "filters", "kernel_size", "strides", "padding")
    add_setting_arguments(parser, without=(*layers, "normalization"))
    features = parser.add_argument_group("features and their classifier")
    features.add_argument(
        "--epsilon", type=float, default=EPSILON, help="of the whitening of patches to be encoded"
    )
    features.add_argument("--grid", type=int, default=2, help="parts of the image along each side")
    features.add_argument(
        "--windows", type=int, nargs=2, metavar=("SIDE", "STRIDE"),
        help="in place of the grid, windows that may overlap",
    )  # fmt: skip
    features.add_argument("--power", type=float, default=0.5, help="of the sums over parts")
    features.add_argument(
        "--mirrored", action=argparse.BooleanOptionalAction, default=True,
        help="sum over each image and its mirror image",
    )  # fmt: skip
    features.add_argument("--readout", default="ridge", choices=READOUTS)
    features.add_argument("--l2", type=float, nargs="+", help="to choose from; by the read-out")
    features.add_argument("--probe-epochs", type=int, default=10, help="of all but ridge")
    features.add_argument("--scratch", type=Path, help="folder for tables of features")
    upper = parser.add_argument_group("layers above, each learned on the codes of the one below")
    upper.add_argument("--upper-filters", type=int, nargs="+", default=[], metavar="FILTERS")
    upper.add_argument("--upper-size", type=int, default=UpperLayers.size)
    upper.add_argument("--upper-components", type=int, default=UpperLayers.components)
    upper.add_argument("--upper-patches", type=int, default=UpperLayers.patches)
    output = parser.add_argument_group("output")
    output.add_argument("--output", type=Path, help="folder; runs/patches/<dataset>")
    args = parser.parse_args(arguments)
    recipes = recipes_in(args.recipe, PatchRecipe)
    args.recipes = {name: patch_recipe(recipes, name, args.filters) for name in args.method}
    models = {name: each for name, each in args.recipes.items() if name not in DICTIONARIES}
    args.recipes |= changed_recipes(models, args)
    return args


def encoders(args: argparse.Namespace, recipe: PatchRecipe) -> list[tuple[str, float]]:
    """Names and thresholds of the encoders to try with a method."""
    names = args.encoder or [recipe.encoder]
    thresholds = args.threshold or [recipe.threshold]
    pairs = [(name, 0.0 if name == HIDDEN else alpha) for name in names for alpha in thresholds]
    return list(dict.fromkeys(pairs))


def new_probe(args: argparse.Namespace, seed: int, codes: int = 1) -> Probe:
    """The linear classifier that all methods share."""
    return readout(args.readout, args.l2, args.probe_epochs, codes, seed)


def new_pooling(args: argparse.Namespace) -> Pooling:
    """The parts of an image."""
    return Windows(*args.windows) if args.windows else Parts(args.grid)


def upper_layers(args: argparse.Namespace) -> UpperLayers:
    """What is above the filters of images."""
    return UpperLayers(
        tuple(args.upper_filters), args.upper_size, args.upper_components, args.upper_patches
    )


def layered(args: argparse.Namespace, layers: list[PatchFeatures]) -> LayeredPatchFeatures:
    """From images to the features of all layers."""
    return LayeredPatchFeatures(layers, power=args.power, mirrored=args.mirrored)


def run_method(
    args: argparse.Namespace, name: str, seed: int, folder: Path, console: Console
) -> list[Row]:
    """Learn by one method and measure it under each encoder; the first seed gives a picture."""
    recipe = args.recipes[name]
    data = load_data(args.dataset, args.train_size, args.validation, seed)
    started = time.perf_counter()
    whiten, learned = learn_from_images(
        name, recipe, data.x_train, args.patch_size, args.filters, args.patches, seed, args.epsilon
    )
    train_seconds = time.perf_counter() - started
    if learned.filters is not None and seed == args.seeds[0]:
        shape = (args.patch_size, args.patch_size, data.x_train.shape[-1])
        save_figure(plot_filters(learned.filters, shape), folder / f"filters-{name}.png")
    rows: list[Row] = []
    for encoder, threshold in encoders(args, recipe):
        started = time.perf_counter()
        encode = learned.encoder(encoder, threshold)
        codes = int(encode(tf.zeros((1, len(whiten.shift)))).shape[-1])
        pooling = new_pooling(args)
        lowest = PatchFeatures(args.patch_size, whiten, encode, pooling)
        layers = upper_layers(args).grown(
            lowest, name, recipe, data.x_train, pooling, (encoder, threshold), seed
        )
        scored = score_features(
            layered(args, layers), data, new_probe(args, seed, codes), args.scratch
        )
        label = f"{encoder} {threshold:g}" if threshold else encoder
        rows.append(
            {
                "method": f"{recipe.title}, {label}", "seed": seed, **scored._asdict(),
                "train seconds": round(train_seconds, 1),
                "seconds": round(time.perf_counter() - started, 1),
            }
        )  # fmt: skip
        console.print(f"  {rows[-1]['method']}: accuracy {scored.accuracy:.4f}", highlight=False)
    return rows


def check(args: argparse.Namespace) -> None:
    """Refuse what would fail only after some work.

    Raises:
        ValueError: saying which argument, and what is expected.
        TypeError: if a model cannot be learned by its objective.
    """
    new_probe(args, 0)  # refuses wrong settings
    upper_layers(args).check()
    if args.upper_filters and args.readout == "low-rank":
        raise ValueError(
            "a low-rank read-out takes the codes of one layer, without --upper-filters"
        )
    for name in ("filters", "patches", "grid"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} must be a positive integer, got {getattr(args, name)}")
    if args.patches < max(2, args.filters):
        raise ValueError(
            f"--patches must be at least as many as --filters, {args.filters}, got {args.patches}"
        )
    if args.scratch is not None and not args.scratch.is_dir():
        raise ValueError(f"--scratch must be a folder, and {args.scratch} is not a folder")
    for name, recipe in args.recipes.items():
        if name not in DICTIONARIES:
            recipe.make((4,), 0)
        elif HIDDEN in (args.encoder or []):
            raise ValueError(f"--encoder {HIDDEN} needs a model, and {name} is not one")


def check_fit(args: argparse.Namespace, data: Dataset) -> None:
    """Refuse patches and grids that do not fit the images.

    Raises:
        ValueError: saying what fits.
    """
    raw = sample_patches(data.x_train, args.patch_size, 2, 0)
    whiten = PatchWhitening(raw, epsilon=args.epsilon)
    sizes = [args.patch_size, *(args.upper_size for _ in args.upper_filters)]
    layers = [PatchFeatures(size, whiten, lambda p: p, new_pooling(args)) for size in sizes]
    layered(args, layers).check(data.x_train.shape)


def run(args: argparse.Namespace, console: Console) -> None:
    """All seeds and methods, from where an interrupted run of the same command stopped."""
    check(args)
    output = args.output or Path("runs/patches") / args.dataset
    results = Results.of_run(output, args)
    first = load_data(args.dataset, args.train_size, args.validation, args.seeds[0])
    check_fit(args, first)
    pieces = {
        f"{name}, seed {seed}": partial(run_method, args, name, seed, results.folder, console)
        for seed in args.seeds for name in args.recipes
    }  # fmt: skip
    rows: list[Row] = list(chain(*results.compute(pieces, console).values()))
    summary = summarize(rows, list(FIGURES))
    carved = " (carved from the training data)" if args.validation else ""
    about = f"{heading(args, first)}{carved}, seeds {args.seeds}"
    results.write_tables(rows, about, markdown_table(summary))
    results.finish()
    print_table(console, heading(args, first), summary.rename(columns=FIGURES))
    console.print(f"\nResults and pictures: {output}", soft_wrap=True, highlight=False)


def heading(args: argparse.Namespace, data: Dataset) -> str:
    """What was measured, in one line."""
    above = "".join(f", {n} above" for n in args.upper_filters)
    return (
        f"{data.name}: {args.filters} filters of {args.patch_size}×{args.patch_size}{above}, "
        f"{args.patches} patches, {len(data.x_train)} training images, {len(data.x_test)} scored"
    )


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run, "method")


if __name__ == "__main__":
    sys.exit(main())
