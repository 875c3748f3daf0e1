"""Learn features without labels and measure how well a linear classifier does with them.

With no arguments: SM-DELVM with 70 filters of 5×5 on 10,000 images of Fashion-MNIST, one seed.
Untrained random filters, raw pixels and principal components stand beside it. Writes a table,
pictures of the filters and a TensorBoard log. Finished seeds of an interrupted run are kept, and
the same command goes on from there.
"""

from trainers.program import activation, run_program

import argparse
import sys
import time
from functools import partial
from itertools import chain
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

import delvm_tf as dv
from delvm.progress import TrainingProgress
from delvm_tf.catalog import OBJECTIVES, Specification
from delvm_tf.datasets import Dataset
from delvm_tf.plots.figure import save_figure
from delvm_tf.plots.filters import plot_filters
from trainers.arguments import (
    add_dataset_arguments,
    add_recipe_arguments,
    chosen_recipe,
    new_parser,
    parse_seeds,
)
from trainers.evaluation.tables import Row, markdown_table, print_table, summarize
from trainers.experiments.features import (
    FeatureFunction,
    as_inputs,
    load_data,
    model_features,
    principal_components,
    raw_pixels,
    score_features,
)
from trainers.experiments.readouts import Probe, readout
from trainers.results import Results

FIGURES = {"accuracy": "accuracy", "train seconds": "train s", "probe seconds": "probe s"}
RANDOM = "random filters"
COMPONENTS = 256
L2 = (1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3)  # of logistic regression
TRAIN_SIZES = {"fashion_mnist": 10_000, "cifar10": 10_000}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    data = parser.add_argument_group("data")
    add_dataset_arguments(data, "fashion_mnist", "classification")
    data.add_argument(
        "--train-size", type=int,
        help="training images, drawn by class and seed, for model and classifier; 0 for all; "
        "10,000 if not given, or all of a smaller data set. The test set is always whole",
    )  # fmt: skip
    data.add_argument(
        "--validation", action="store_true",
        help="score on data carved from the training part, to choose settings by",
    )  # fmt: skip
    data.add_argument("--seeds", type=parse_seeds, default=[0], metavar="0-2")
    add_recipe_arguments(parser, "SM-DELVM")
    parser.add_argument(
        "--trained", type=Path, metavar="FILE",
        help="a model that was saved, .keras, whose features are scored; nothing is trained",
    )  # fmt: skip
    features = parser.add_argument_group("features and their classifier")
    features.add_argument("--layers", default="all", choices=["all", "last"])
    features.add_argument(
        "--feature-levels", type=float, nargs="+", default=[], metavar="SIGMA",
        help="of noise, whose features stand side by side; of a noise-conditional model",
    )  # fmt: skip
    features.add_argument("--pool", type=int, default=2, help="side of the max-pooling; 1 for none")
    features.add_argument("--readout", default="logistic", choices=["ridge", "svm", "logistic"])
    features.add_argument("--l2", type=float, nargs="+", help="penalties to choose from")
    features.add_argument("--probe-epochs", type=int, default=10)
    features.add_argument("--scratch", type=Path, help="folder for tables of features")
    output = parser.add_argument_group("output")
    output.add_argument("--output", type=Path, help="folder; runs/features/<dataset>-<model>")
    args = parser.parse_args(arguments)
    if args.trained is not None:
        args.output = args.output or Path("runs/features") / f"{args.dataset}-{args.trained.stem}"
    if args.train_size is None:
        args.train_size = TRAIN_SIZES.get(args.dataset, 0)
    args.recipe = chosen_recipe(args, f"features-{args.dataset}")
    return args


def takes_images(spec: Specification) -> bool:
    """Whether the model has convolutions; others see images as vectors."""
    return bool(spec.model_settings.get("filters"))


def train(
    args: argparse.Namespace, x: np.ndarray, seed: int, log_dir: Path, console: Console
) -> tuple[dv.ReconstructionModel, dv.ReconstructionModel, float]:
    """A trained model, the same one untrained but adapted, and the seconds of training."""
    spec = args.recipe
    untrained = spec.adapted(x, seed)
    started = time.perf_counter()
    with TrainingProgress(console) as progress:
        callbacks = [dv.TensorBoard(log_dir, x[:500]), progress.callback("training")]
        model = spec.train(x, seed, callbacks=callbacks)
    return model, untrained, time.perf_counter() - started


def check_levels(args: argparse.Namespace, noise_conditional: bool, title: str) -> None:
    """Refuse levels of a model that knows none."""
    if args.feature_levels and not noise_conditional:
        raise ValueError(
            f"--feature-levels are those of a noise-conditional model, and not of {title}"
        )


def saved_model(path: Path) -> tuple[dv.ReconstructionModel, dv.ReconstructionModel]:
    """A saved model, and the same one with the weights of the start.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no model of the library.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--trained: there is no file {path}")
    model = keras.saving.load_model(path)
    if not isinstance(model, dv.ReconstructionModel):
        raise ValueError(f"--trained: {path} holds no model of delvm_tf, but {type(model)}")
    return model, type(model).from_config(model.get_config())


def feature_functions(
    args: argparse.Namespace, data: Dataset, seed: int, folder: Path, console: Console
) -> dict[str, tuple[FeatureFunction, float]]:
    """By method, what takes images to features, and the seconds of its training."""
    if args.trained is not None:
        model, untrained = saved_model(args.trained)
        images = len(model.input_shape_or_none or ()) == 3
        untrained.adapt(as_inputs(data.x_train, images))
        settings = (images, args.pool, args.layers, args.feature_levels)
        return {
            args.trained.stem: (model_features(model, *settings), 0.0),
            RANDOM: (model_features(untrained, *settings), 0.0),
        }
    spec = args.recipe
    images = takes_images(spec)
    x = as_inputs(data.x_train, images)
    log = folder / "tensorboard" / f"seed-{seed}"
    model, untrained, seconds = train(args, x, seed, log, console)
    if seed == args.seeds[0]:
        shape = data.x_train.shape[1:]
        for name, shown in (("filters", model), ("filters-random", untrained)):
            save_figure(plot_filters(first_kernel(shown), shape), folder / f"{name}.png")
        model.save(folder / "model.keras")

    started = time.perf_counter()
    components = principal_components(data.x_train, COMPONENTS, seed)
    elapsed = time.perf_counter() - started
    settings = (images, args.pool, args.layers, args.feature_levels)
    return {
        spec.title: (model_features(model, *settings), seconds),
        RANDOM: (model_features(untrained, *settings), 0.0),
        "raw pixels": (raw_pixels, 0.0),
        f"PCA ({COMPONENTS})": (components, elapsed),
    }


def first_kernel(model: dv.ReconstructionModel) -> np.ndarray:
    """Weights of the first layer, (height, width, channels, filters) or (values, units)."""
    kernels = (w for w in model.trainable_variables if w.name.startswith("kernel"))
    return keras.ops.convert_to_numpy(next(kernels))


def new_probe(args: argparse.Namespace, seed: int) -> Probe:
    """The classifier that all methods share."""
    l2 = args.l2 or (L2 if args.readout == "logistic" else None)
    return readout(args.readout, l2, args.probe_epochs, 0, seed)


def run_seed(args: argparse.Namespace, seed: int, folder: Path, console: Console) -> list[Row]:
    """Train and measure everything under one seed; the first seed also gives pictures."""
    data = load_data(args.dataset, args.train_size, args.validation, seed)
    rows: list[Row] = []
    methods = feature_functions(args, data, seed, folder, console)
    for method, (function, seconds) in methods.items():
        started = time.perf_counter()
        scored = score_features(function, data, new_probe(args, seed), args.scratch)
        rows.append(
            {
                "method": method, "seed": seed, **scored._asdict(),
                "train seconds": round(seconds, 3),
                "probe seconds": round(time.perf_counter() - started, 3),
            }
        )  # fmt: skip
        console.print(f"  {method}: accuracy {scored.accuracy:.4f}", highlight=False)
    return rows


def gain(rows: list[Row], title: str) -> str:
    """How far training is ahead of none, seed by seed."""
    by_method = {
        method: np.array([row["accuracy"] for row in rows if row["method"] == method])
        for method in (title, RANDOM)
    }
    differences = by_method[title] - by_method[RANDOM]
    spread = f" ± {differences.std(ddof=1):.4f}" if len(differences) > 1 else ""
    return f"{title} minus {RANDOM}, seed by seed: {differences.mean():+.4f}{spread}"


def run(args: argparse.Namespace, console: Console) -> None:
    """All seeds, from where an interrupted run of the same command stopped."""
    spec = args.recipe
    new_probe(args, 0)  # refuses wrong settings
    if args.pool < 1:
        raise ValueError(f"--pool must be a positive integer, 1 for no pooling, got {args.pool}")
    if args.trained is None:
        check_levels(args, OBJECTIVES[spec.objective].noise_conditional, spec.title)
    else:
        model, _ = saved_model(args.trained)
        check_levels(args, model.objective.noise_conditional, args.trained.stem)
    if args.scratch is not None and not args.scratch.is_dir():
        raise ValueError(f"--scratch must be a folder, and {args.scratch} is not a folder")
    output = args.output or Path("runs/features") / f"{args.dataset}-{spec.model}"
    results = Results.of_run(output, args)
    first = load_data(args.dataset, args.train_size, args.validation, args.seeds[0])
    pieces = {
        f"seed {seed}": partial(run_seed, args, seed, results.folder, console)
        for seed in args.seeds
    }
    rows: list[Row] = list(chain(*results.compute(pieces, console).values()))
    summary = summarize(rows, list(FIGURES))
    about = (
        f"{len(first.x_train)} training images, {len(first.x_test)} scored"
        f"{' (carved from the training data)' if args.validation else ''}, seeds {args.seeds}"
    )
    title = spec.title if args.trained is None else args.trained.stem
    page = f"{markdown_table(summary)}\n{gain(rows, title)}\n"
    results.write_tables(rows, about, page)
    results.finish()

    heading = f"{first.name}: {len(first.x_train)} training images, {len(first.x_test)} scored"
    print_table(console, heading, summary.rename(columns=FIGURES))
    ending = f"{gain(rows, title)}\n\nResults and pictures: {output}"
    if args.trained is None:
        ending += (
            f"\n\nNext:\n{activation()}"
            f"  python trainers/features.py --dataset {args.dataset} --model {spec.model} "
            f"--seeds 0-2\n  tensorboard --logdir {output / 'tensorboard'}"
        )
    console.print(ending, soft_wrap=True, highlight=False)


def main() -> int:
    """The program; its exit status."""
    return run_program(parse_arguments, run, "seed")


if __name__ == "__main__":
    sys.exit(main())
