"""Draw images from energies and from simpler models, and judge them beside real ones.

With no arguments: the models of the recipes `generation` and ways to draw without a network, on
the bundled digits. A classifier that is trained first gives the features that judge. Writes tables,
pictures and a moving one. Finished pieces of an interrupted run are kept, and the same command goes
on from there.
"""

from trainers.program import run_program

import argparse
import dataclasses
import logging
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

import delvm_tf as dv
from delvm_tf.samplers.sampling import SamplingDiverged
from trainers.arguments import add_recipe_argument, new_parser, parse_seeds
from trainers.evaluation.tables import Row, markdown_table, print_table, summarize
from trainers.experiments.generation.baselines import BASELINES
from trainers.experiments.generation.bench import KEPT, Bench, remove_kept
from trainers.experiments.generation.drawing import draw_images
from trainers.experiments.generation.likelihood import Likelihood, likelihood
from trainers.experiments.generation.pictures import Pictures, save_drawn
from trainers.experiments.generation.recipes import GenerationRecipe
from trainers.experiments.generation.scales import SCALES
from trainers.experiments.generation.training import trained
from trainers.recipes import recipes_in
from trainers.results import Results

DATASETS = ("digits", "fashion_mnist", "cifar10")
REAL = "real (training images)"
LEAST = 8  # images to judge
DECIMALS = {
    "frechet": 2, "precision": 3, "recall": 3, "told_by_pixels": 3, "told_by_features": 3,
    "nearer_5_pixels": 3, "copies_pixels": 3, "train_seconds": 1, "draw_seconds": 2,
}  # fmt: skip
FIGURES = {
    "frechet": "Fréchet distance", "precision": "precision", "recall": "recall",
    "told_by_pixels": "told by pixels", "told_by_features": "told by features",
    "nearer_5_pixels": "nearer than 5% of real", "copies_pixels": "copies",
    "train_seconds": "train s", "draw_seconds": "64 images s",
}  # fmt: skip
NOTES = """
All rows have the same number of drawn images, and are compared with the same real ones that no
method was trained on. The first row has training images in the place of drawn ones: what it says is
as good as it gets.

- **Fréchet distance** of features of a small classifier, in squared standard deviations of a
  feature, 0 being best. It sees means and covariances of these features alone: nothing of fine
  texture that the classifier ignores, and copies of training images are perfect. It falls with the
  number of images, as by chance alone two sets of the same distribution differ more if they are
  small, and the features are those of this classifier: compare rows of one table, and not those of
  two.
- **Precision** and **recall**: shares of drawn images among real ones, and of real ones among drawn
  ones, by balls around the features that reach the fifth neighbour; 1 is best. A few stray images
  make large balls, so that much looks covered. Neither sees copies.
- **Told by pixels**, by a small network trained anew, and **by features**, by logistic regression:
  the share of held-out images, drawn or real, that is told right; 0.5 is best. On few images the
  network learns little, and 0.5 may be its own failure.
- **Nearer than 5% of real**: the share of drawn images that are nearer in pixels to a training
  image than 5% of real test images are; 0.05 is what new images have, and 1 is memory. Blurred
  images are near to many. **Copies** are less than a third as far from the nearest training image
  as from the second nearest. results.csv has both for features too, and tests of Kolmogorov and
  Smirnov.
- **64 images s**: seconds to draw 64 images, the making of graphs included.
"""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    parser.add_argument("--dataset", default="digits", choices=DATASETS)
    parser.add_argument(
        "--scale", default="cpu", choices=list(SCALES),
        help="how long the run takes: seconds, minutes to hours on a processor, more",
    )  # fmt: skip
    parser.add_argument("--seeds", type=parse_seeds, default=[0], metavar="0-2")
    parser.add_argument(
        "--train-size", type=int, help="training images, drawn by class; 0 for all; by the scale"
    )
    parser.add_argument(
        "--images", type=int, metavar="N",
        help="images to draw and judge, at most as many as test images; by the scale",
    )  # fmt: skip
    parser.add_argument(
        "--validation", action="store_true",
        help="judge by images carved from the training part, to choose settings by",
    )  # fmt: skip
    add_recipe_argument(parser, "generation")
    parser.add_argument(
        "--train-steps", type=int, metavar="N",
        help="of the optimizer, for all models, however many passes these are; by recipe and scale",
    )  # fmt: skip
    parser.add_argument(
        "--methods", nargs="+", metavar="NAME",
        help=f"among {', '.join(BASELINES)} and the recipes; all if not given",
    )  # fmt: skip
    parser.add_argument(
        "--keep", action="store_true", help=f"leave models and drawn images in the folder {KEPT}"
    )
    parser.add_argument("--output", type=Path, help="folder; runs/generate/<dataset>-<scale>")
    args = parser.parse_args(arguments)
    changes = {"train_size": args.train_size, "images": args.images}
    args.scale_name, args.scale = (
        args.scale,
        SCALES[args.scale]._replace(
            **{name: value for name, value in changes.items() if value is not None}
        ),
    )
    recipes = recipes_in(args.recipe, GenerationRecipe)
    args.methods = list(dict.fromkeys(args.methods or [*BASELINES, *recipes]))
    args.recipes = {
        name: args.scale.applied(recipes[name]) for name in args.methods if name not in BASELINES
    }
    if args.train_steps is not None:
        args.recipes = {
            name: dataclasses.replace(
                recipe.changed({"train_steps": args.train_steps}, "--train-steps: "), passes=None
            )
            for name, recipe in args.recipes.items()
        }
    if args.output is None:
        args.output = Path("runs/generate") / f"{args.dataset}-{args.scale_name}"
    return args


def check(args: argparse.Namespace) -> None:
    """Refuse numbers out of range.

    Raises:
        ValueError: saying which argument, and what is expected.
    """
    if args.scale.train_size < 0:
        raise ValueError(f"--train-size must be 0 or more, got {args.scale.train_size}")
    if args.scale.images < LEAST:
        raise ValueError(f"--images must be {LEAST} or more, got {args.scale.images}")


def check_fit(args: argparse.Namespace, bench: Bench) -> None:
    """Refuse what does not fit the data, and unknown settings of models and samplers.

    Raises:
        ValueError: saying which argument or setting, and what is expected.
        TypeError: if a model cannot be learned by its objective.
    """
    real, train = len(bench.data.x_test), len(bench.train)
    most = min(real, train)
    if (args.images or min(args.scale.images, real)) > most:
        raise ValueError(
            f"--images must be at most {most}, for there are {real} test and {train} training "
            f"images"
        )
    shape = bench.data.input_shape
    for recipe in args.recipes.values():
        recipe.made_sampler()
        recipe.make(shape if recipe.of_images else (math.prod(shape),), 0)


def new_bench(args: argparse.Namespace, seed: int, folder: Path) -> Bench:
    """Data and judge under a seed."""
    return Bench(args.dataset, args.scale, args.validation, seed, folder)


def row_of(method: str, bench: Bench, figures: dict[str, float], **more: Any) -> Row:
    """A row of the table; NaN for what is not there."""
    usual = {"train_seconds": math.nan, "draw_seconds": math.nan, "remark": ""}
    return {"method": method, "seed": bench.seed, **figures, **usual, **more}


def real_row(bench: Bench) -> Row:
    """Training images in the place of drawn ones."""
    return row_of(REAL, bench, bench.real_figures())


def run_method(args: argparse.Namespace, name: str, bench: Bench, console: Console) -> Row:
    """Learn, draw and judge; the first seed gives pictures."""
    title = args.recipes[name].title if name in args.recipes else BASELINES[name]().title

    def learn(place: Path) -> tuple[Callable[[int, int], np.ndarray], str]:
        if name in args.recipes:
            recipe = args.recipes[name]
            model: Any = trained(recipe, bench.train, bench.seed, place, console)
            shape = bench.data.input_shape
            return lambda n, seed: draw_images(recipe, model, n, seed, shape), ""
        fitted = BASELINES[name]().fit(bench.train, bench.seed)
        return fitted.draw, fitted.about

    try:
        drawn = bench.drawn(name, learn)
    except (dv.TrainingDiverged, SamplingDiverged) as error:
        problem = "training" if isinstance(error, dv.TrainingDiverged) else "chains"
        console.print(f"  {title}: {problem} diverged", highlight=False)
        return row_of(title, bench, {}, remark=f"{problem} diverged")
    if bench.seed == args.seeds[0]:
        save_drawn(drawn.images, bench.train, bench.pixels, name, title, bench.folder)
    row = row_of(
        title, bench, bench.judge.figures(drawn.images), remark=drawn.about,
        train_seconds=drawn.train_seconds, draw_seconds=drawn.draw_seconds,
    )  # fmt: skip
    console.print(f"  {title}: Fréchet distance {row['frechet']:.2f}", highlight=False)
    return row


def save_pictures(args: argparse.Namespace, name: str, bench: Bench, console: Console) -> list[str]:
    """Pictures of what a model can do; none of one that diverges."""
    recipe = args.recipes[name]
    try:
        model: Any = trained(recipe, bench.train, bench.seed, bench.place(name), console)
        pictures = Pictures(recipe, model, bench.real, bench.pixels, bench.seed, bench.folder)
        return pictures.save()
    except (dv.TrainingDiverged, SamplingDiverged):
        return []


def measure_likelihood(
    args: argparse.Namespace, name: str, bench: Bench, console: Console
) -> dict[str, Any] | None:
    """Bits of real images; None of a model that has no density."""
    recipe = args.recipes[name]
    if recipe.model != "density-delvm" or not recipe.of_images:
        return None
    model: Any = trained(recipe, bench.train, bench.seed, bench.place(name), console)
    return likelihood(model, bench.train, bench.real, bench.seed)._asdict()


def pictured(args: argparse.Namespace) -> str | None:
    """The recipe that pictures are made of: the first of all noise levels, or else the first."""
    of_all = [name for name, recipe in args.recipes.items() if recipe.of_all_levels]
    return next(iter([*of_all, *args.recipes]), None)


def run(args: argparse.Namespace, console: Console) -> None:
    """All pieces, from where an interrupted run of the same command stopped."""
    check(args)
    results = Results.of_run(args.output, args)
    check_fit(args, new_bench(args, args.seeds[0], results.folder))
    rows: list[Row] = []
    accuracies: list[float] = []
    found: dict[str, Any] | None = None
    for seed in args.seeds:
        bench = new_bench(args, seed, results.folder)
        classifier = f"classifier, seed {seed}"
        accuracies.append(
            results.compute({classifier: bench.fit_classifier}, console)[classifier]["accuracy"]
        )
        work: dict[str, Callable[[], Row]] = {f"real images, seed {seed}": partial(real_row, bench)}
        for name in args.methods:
            work[f"{name}, seed {seed}"] = partial(run_method, args, name, bench, console)
        rows.extend(results.compute(work, console).values())
        name = pictured(args)
        if seed == args.seeds[0] and name is not None:
            pictures = partial(save_pictures, args, name, bench, console)
            results.compute({f"pictures of {name}": pictures}, console)
            bits = partial(measure_likelihood, args, name, bench, console)
            measured = results.compute({f"likelihood by {name}": bits}, console)
            found = measured[f"likelihood by {name}"]
    density = None if found is None else Likelihood(**found)
    write(args, results, rows, accuracies, density, new_bench(args, args.seeds[0], results.folder))
    if not args.keep:
        remove_kept(results.folder)
    results.finish()
    print_table(console, args.dataset, summary(rows), left=["remark"])
    console.print(f"\nResults and pictures: {args.output}", soft_wrap=True, highlight=False)


def summary(rows: list[Row]) -> pd.DataFrame:
    """The cells of the table by method, the last column for what was chosen or went wrong."""
    complete = whole_rows(rows)
    parts = [summarize(complete, [name], digits) for name, digits in DECIMALS.items()]
    table = pd.concat(parts, axis=1).rename(columns=FIGURES)
    remarks: dict[str, list[str]] = {title: [] for title in table.index}
    for row in rows:
        if row["remark"] and row["remark"] not in remarks[row["method"]]:
            remarks[row["method"]].append(row["remark"])
    table["remark"] = ["; ".join(each) for each in remarks.values()]
    return table


def whole_rows(rows: list[Row]) -> list[Row]:
    """The rows with the same columns in the same order, NaN where one has no number."""
    first = rows[0]
    return [{name: row.get(name, math.nan) for name in first} for row in rows]


def write(
    args: argparse.Namespace, results: Results, rows: list[Row], accuracies: list[float],
    density: Likelihood | None, bench: Bench,
) -> None:  # fmt: skip
    """The tables as CSV and markdown."""
    carved = ", carved from the training data" if args.validation else ""
    about = (
        f"{args.dataset}: {len(bench.train)} training images, {len(bench.real)} drawn and as many "
        f"real{carved}, seeds {args.seeds}; features of a classifier with an accuracy of "
        f"{np.mean(accuracies):.3f}"
    )
    page = markdown_table(summary(rows)) + NOTES
    if density is not None:
        page += f"\n{density.text}\n"
    if args.recipes:
        page += "\nSettings (normalised units; the learning rate falls to 0 as a cosine):\n\n"
        page += "".join(f"- {each.title}: {each.text}\n" for each in args.recipes.values())
    results.write_tables(whole_rows(rows), about, page)


def main() -> int:
    """The program; its exit status."""
    # Each test of two samples trains a network anew, and TensorFlow warns that graphs are many.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return run_program(parse_arguments, run, "method")


if __name__ == "__main__":
    sys.exit(main())
