"""Command-line arguments that describe a model and its training."""

import argparse
import re
from typing import Any

from delvm_tf.catalog import MODELS, OBJECTIVES, Specification
from delvm_tf.curvature import TRACES
from delvm_tf.datasets.streams import TableOptions
from delvm_tf.datasets.streams.reading import Column
from delvm_tf.normalization import MODES

MODEL_SETTINGS = (
    "units", "filters", "kernel_size", "activation", "bias_constraint", "normalization", "scale",
    "visible_precision", "latents", "components", "tied",
)  # fmt: skip
OBJECTIVE_SETTINGS = {"trace": "trace", "sign": "sign", "cd_steps": "k", "sigma": "sigma",
                      "noise": "noise"}  # fmt: skip
TRAINING = ("epochs", "batch_size", "learning_rate", "clipnorm", "layerwise")


def parse_seeds(text: str) -> list[int]:
    """Seeds from text such as `3`, `0-9` or `0,2,4`."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise argparse.ArgumentTypeError(
                f"expected seeds such as 0, 0-9 or 0,2,4, got {text!r}"
            )
        seeds.extend(range(int(first), int(last or first) + 1))
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r} names no seed")
    return seeds


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, layers, objective and training; what is not given is left to a recipe."""
    model = parser.add_argument_group("model (what is not given comes from a recipe)")
    model.add_argument("--model", default="delvm", choices=list(MODELS))
    model.add_argument("--units", type=int, nargs="+", help="of dense layers")
    model.add_argument("--filters", type=int, nargs="+", help="of convolutional layers")
    model.add_argument("--kernel-size", type=int)
    model.add_argument("--normalization", choices=MODES)
    model.add_argument("--latents", type=int, help="of a CEBM")
    model.add_argument("--components", type=int, help="of a CEBM's mixture prior")
    model.add_argument("--tied", action="store_true", default=None, help="autoencoder's weights")
    model.add_argument("--objective", choices=list(OBJECTIVES), help="the model's usual one")
    model.add_argument("--layerwise", action="store_true", default=None)
    add_training_arguments(parser)


def add_training_arguments(parser: argparse.ArgumentParser) -> list[str]:
    """Settings of one layer and its training; what is not given is left to a recipe.

    Returns:
        The names that they are stored under.
    """
    group = parser.add_argument_group("layer and training (what is not given comes from a recipe)")
    actions = [
        group.add_argument("--activation"),
        group.add_argument("--bias-constraint", choices=["non_positive"]),
        group.add_argument("--scale", type=float),
        group.add_argument("--visible-precision", choices=["scalar", "diagonal", "full"]),
        group.add_argument("--trace", choices=["auto", "exact", *TRACES], help="score matching"),
        group.add_argument("--sign", choices=["corrected", "as_printed"], help="score matching"),
        group.add_argument("--cd-steps", type=int, help="contrastive divergence"),
        group.add_argument("--sigma", type=float, help="denoising score matching"),
        group.add_argument("--noise", type=float, help="denoising autoencoders"),
        group.add_argument("--epochs", type=int),
        group.add_argument("--batch-size", type=int),
        group.add_argument("--learning-rate", type=float),
        group.add_argument("--clipnorm", type=float),
    ]
    return [action.dest for action in actions]


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """What the columns of .csv and .parquet files mean; see `TableOptions`."""
    group = parser.add_argument_group(
        "tables (a column is given by its name, or as #0, #1, ... by its number)"
    )
    group.add_argument("--columns", nargs="+", metavar="COLUMN", help="the features, in order")
    group.add_argument("--drop", nargs="+", metavar="COLUMN", help="columns to leave out")
    group.add_argument("--label", metavar="COLUMN", help="column of labels, left out too")
    group.add_argument("--index", nargs="+", metavar="COLUMN", help="numbers of rows, left out too")
    group.add_argument(
        "--header", action=argparse.BooleanOptionalAction,
        help="whether the first line of .csv names the columns; settled by types if it can be",
    )  # fmt: skip
    group.add_argument("--separator", default=",", help="between the cells of .csv")


def table_options(args: argparse.Namespace) -> TableOptions:
    """What `add_table_arguments` was given."""

    def column(text: str) -> Column:
        return int(text[1:]) if re.fullmatch(r"#-?\d+", text) else text

    def several(texts: list[str] | None) -> list[Column]:
        return [column(text) for text in texts or ()]

    return TableOptions(
        label=None if args.label is None else column(args.label),
        columns=several(args.columns) or None, drop=several(args.drop),
        index=several(args.index), header=args.header,
        separator="\t" if args.separator == "\\t" else args.separator,
    )  # fmt: skip


def specification(args: argparse.Namespace, recipe: Specification) -> Specification:
    """What the arguments ask for, with all else as in the recipe.

    Filters replace the recipe's units and the other way round. With another normalisation than the
    recipe's its scale means nothing, and is 1.
    """
    given = {key: value for key, value in vars(args).items() if value is not None}
    model = dict(recipe.model_settings)
    if "filters" in given or "units" in given:
        model.pop("units", None)
        model.pop("filters", None)
    if given.get("normalization") not in (None, model.get("normalization", "center")):
        model.pop("scale", None)
    model.update({key: given[key] for key in MODEL_SETTINGS if key in given})
    objective = {
        **recipe.objective_settings,
        **{name: given[key] for key, name in OBJECTIVE_SETTINGS.items() if key in given},
    }
    training: dict[str, Any] = {key: given[key] for key in TRAINING if key in given}
    return Specification(
        **{
            "epochs": recipe.epochs, "batch_size": recipe.batch_size,
            "learning_rate": recipe.learning_rate, "clipnorm": recipe.clipnorm,
            "layerwise": recipe.layerwise, **training,
        },
        model=args.model, objective=args.objective or recipe.objective_name,
        model_settings=model, objective_settings=objective,
    )  # fmt: skip
