"""Learn filters of small patches without labels and compare them by Coates' protocol.

With no arguments: SM-DELVM, k-means and random filters, 400 each, on 10,000 images of CIFAR-10.
Random patches are contrast-normalised and whitened, each method learns filters on the same ones,
every patch of an image is encoded by them, codes are summed over quadrants, and a linear SVM is
trained on the sums. Writes tables and pictures of the filters. Finished methods of an interrupted
run are kept, and the same command goes on from there.
"""

from trainers.program import run_program

import argparse
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from delvm_tf.datasets import Dataset
from delvm_tf.features import PatchFeatures, PatchWhitening, sample_patches
from delvm_tf.plots.figure import save_figure
from delvm_tf.plots.filters import plot_filters
from trainers.arguments import add_training_arguments, parse_seeds, specification
from trainers.evaluation.probe import LinearProbe
from trainers.evaluation.tables import Row, csv_table, markdown_table, print_table, summarize
from trainers.experiments.features import image_datasets, load_data, score_features
from trainers.experiments.patches import DICTIONARIES, ENCODER_NAMES, HIDDEN, Learned, learn_model
from trainers.recipes.patches import METHODS, PatchMethod, patch_method
from trainers.results import Results

FIGURES = {
    "accuracy": "accuracy", "features": "features", "train seconds": "train s",
    "seconds": "features and SVM s",
}  # fmt: skip


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    data = parser.add_argument_group("data")
    data.add_argument("--dataset", default="cifar10", choices=image_datasets())
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
    filters.add_argument(
        "--method", nargs="+", default=["sm-delvm", "kmeans", "random"], choices=METHODS,
        metavar="METHOD", help=f"one or more of {', '.join(METHODS)}",
    )  # fmt: skip
    filters.add_argument("--filters", type=int, default=400)
    filters.add_argument(
        "--encoder", nargs="+", choices=ENCODER_NAMES,
        help="for all methods; that of a recipe if not given",
    )  # fmt: skip
    filters.add_argument("--threshold", type=float, nargs="+", help="of those encoders")
    settings = add_training_arguments(parser)
    features = parser.add_argument_group("features and their classifier")
    features.add_argument("--grid", type=int, default=2, help="parts of the image along each side")
    features.add_argument("--l2", type=float, nargs="+", default=[0.01, 0.03, 0.1, 0.3, 1.0, 3.0])
    features.add_argument("--probe-epochs", type=int, default=10)
    features.add_argument("--scratch", type=Path, help="folder for features beyond 1 GB")
    output = parser.add_argument_group("output")
    output.add_argument("--output", type=Path, help="folder; runs/patches/<dataset>")
    args = parser.parse_args(arguments)
    args.seeds = list(dict.fromkeys(args.seeds))
    args.method = list(dict.fromkeys(args.method))
    args.settings = {key: vars(args)[key] for key in settings if vars(args)[key] is not None}
    return args


def chosen(args: argparse.Namespace, name: str) -> PatchMethod:
    """A method's recipe with what the arguments change."""
    method = patch_method(name, args.filters)
    if method.specification is None:
        return method
    recipe = method.specification
    given = argparse.Namespace(model=recipe.model, objective=recipe.objective, **args.settings)
    changed = specification(given, recipe)
    return method._replace(title=changed.title, specification=changed)


def encoders(args: argparse.Namespace, method: PatchMethod) -> list[tuple[str, float]]:
    """Names and thresholds of the encoders to try with a method."""
    names = args.encoder or [method.encoder]
    thresholds = args.threshold or [method.threshold]
    pairs = [(name, 0.0 if name == HIDDEN else alpha) for name in names for alpha in thresholds]
    return list(dict.fromkeys(pairs))


def learn(
    args: argparse.Namespace, name: str, patches: np.ndarray, seed: int
) -> tuple[Learned, float]:
    """What a method makes of whitened patches, and the seconds it took."""
    started = time.perf_counter()
    if name in DICTIONARIES:
        learned = Learned(DICTIONARIES[name](patches, args.filters, seed))
    else:
        recipe = chosen(args, name).specification
        assert recipe is not None
        learned = learn_model(recipe, patches, seed)
    return learned, time.perf_counter() - started


def new_probe(args: argparse.Namespace, seed: int) -> LinearProbe:
    """The linear SVM that all methods share."""
    return LinearProbe(
        args.l2, epochs=args.probe_epochs, minimum_steps=500, seed=seed, loss="squared_hinge"
    )


def run_method(
    args: argparse.Namespace, name: str, data: Dataset, raw: np.ndarray, seed: int, folder: Path
) -> list[Row]:
    """Learn by one method and measure it under each encoder; the first seed gives a picture."""
    method = chosen(args, name)
    whiten = PatchWhitening(raw)
    learned, train_seconds = learn(args, name, whiten(raw).numpy(), seed)
    if learned.filters is not None and seed == args.seeds[0]:
        shape = (args.patch_size, args.patch_size, data.x_train.shape[-1])
        save_figure(plot_filters(learned.filters, shape), folder / f"filters-{name}.png")
    rows: list[Row] = []
    for encoder, threshold in encoders(args, method):
        started = time.perf_counter()
        function = PatchFeatures(
            args.patch_size, whiten, learned.encoder(encoder, threshold), args.grid
        )
        scored = score_features(function, data, new_probe(args, seed), args.scratch)
        label = f"{encoder} {threshold:g}" if threshold else encoder
        rows.append(
            {
                "method": f"{method.title}, {label}", "seed": seed, **scored._asdict(),
                "train seconds": round(train_seconds, 1),
                "seconds": round(time.perf_counter() - started, 1),
            }
        )  # fmt: skip
    return rows


def check(args: argparse.Namespace) -> None:
    """Refuse what would fail only after some work.

    Raises:
        ValueError: saying which argument, and what is expected.
        TypeError: if a model cannot be learned by its objective.
    """
    new_probe(args, 0).check_settings()
    for name in ("filters", "patches", "grid"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} must be a positive integer, got {getattr(args, name)}")
    if args.patches < max(2, args.filters):
        raise ValueError(
            f"--patches must be at least as many as --filters, {args.filters}, got {args.patches}"
        )
    if args.scratch is not None and not args.scratch.is_dir():
        raise ValueError(f"--scratch must be a folder, and {args.scratch} is none")
    for name in args.method:
        recipe = chosen(args, name).specification
        if recipe is not None:
            recipe.make((4,), 0)
        elif HIDDEN in (args.encoder or []):
            raise ValueError(f"--encoder {HIDDEN} needs a model, and {name} is none")


def check_fit(args: argparse.Namespace, data: Dataset) -> None:
    """Refuse patches and grids that do not fit the images.

    Raises:
        ValueError: saying what fits.
    """
    raw = sample_patches(data.x_train, args.patch_size, 2, 0)
    PatchFeatures(args.patch_size, PatchWhitening(raw), lambda p: p, args.grid)(data.x_train[:1])


def run(args: argparse.Namespace, console: Console) -> None:
    """All seeds and methods, from where an interrupted run of the same command stopped."""
    check(args)
    first = load_data(args.dataset, args.train_size, args.validation, args.seeds[0])
    check_fit(args, first)
    output = args.output or Path("runs/patches") / args.dataset
    results = Results(output, {key: str(value) for key, value in vars(args).items()})

    pieces = {f"{name}-seed-{seed}": (name, seed) for seed in args.seeds for name in args.method}
    rows: list[Row] = []
    for position, (piece, (name, seed)) in enumerate(pieces.items(), start=1):
        if piece in results:
            console.print(f"{name}, seed {seed}: done before the interruption")
        else:
            console.print(f"{name}, seed {seed} ({position} of {len(pieces)})")
            data = load_data(args.dataset, args.train_size, args.validation, seed)
            raw = sample_patches(data.x_train, args.patch_size, args.patches, seed)
            results[piece] = run_method(args, name, data, raw, seed, results.folder)
        rows.extend(results[piece])
        for row in results[piece]:
            console.print(f"  {row['method']}: accuracy {row['accuracy']:.4f}", highlight=False)

    summary = summarize(rows, list(FIGURES))
    (results.folder / "results.csv").write_text(csv_table(rows))
    (results.folder / "results.md").write_text(report(args, first, summary))
    results.finish(list(pieces))
    print_table(console, heading(args, first), summary.rename(columns=FIGURES))
    console.print(f"\nResults and pictures: {output}", soft_wrap=True, highlight=False)


def heading(args: argparse.Namespace, data: Dataset) -> str:
    """What was measured, in one line."""
    return (
        f"{data.name}: {args.filters} filters of {args.patch_size}×{args.patch_size}, "
        f"{args.patches} patches, {len(data.x_train)} training images, {len(data.x_test)} scored"
    )


def report(args: argparse.Namespace, data: Dataset, summary: pd.DataFrame) -> str:
    """The page that goes with the table."""
    carved = " (carved from the training data)" if args.validation else ""
    return (
        f"{heading(args, data)}{carved}, seeds {args.seeds}, {date.today()}.\n\n"
        f"    python {' '.join(sys.argv)}\n\n{markdown_table(summary)}"
    )


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run, "method")


if __name__ == "__main__":
    sys.exit(main())
