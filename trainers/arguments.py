"""Command-line arguments: those of recipes are made from what a recipe can hold."""

import argparse
import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_origin

from delvm.arguments import add_table_arguments, table_options
from delvm_tf.catalog import (
    MODELS,
    OBJECTIVES,
    Detection,
    Recipe,
    Recipes,
    Specification,
    default_recipe,
)
from delvm_tf.catalog.settings import Setting, item_of, members_of, settings_of
from delvm_tf.datasets import names, protocols, register
from delvm_tf.datasets.streams import protocols_of
from delvm_tf.datasets.streams.stream import files_of
from trainers.recipes import NAMES, recipes_in

PARTS = ("model_settings", "objective_settings", "training", "detection")
Kind = TypeVar("Kind", bound=Recipe)


def new_parser(documentation: str | None, positional: str = "") -> argparse.ArgumentParser:
    """A parser that shows the first line of a program's documentation, and defaults."""
    return argparse.ArgumentParser(
        usage=f"%(prog)s [options] {positional}",
        description=(documentation or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def parse_seeds(text: str) -> list[int]:
    """Seeds from text such as `3`, `0-9` or `0,2,4`, each once."""
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
    return list(dict.fromkeys(seeds))


# Recipes.


def add_recipe_argument(parser: Any, usual: str | None = None, named: bool = False) -> None:
    """The option `--recipe`: a file, or, if `named`, also one of its recipes."""
    parser.add_argument(
        "--recipe", default=usual, metavar="FILE[:NAME]" if named else "FILE",
        help=f"of TOML, by its path or one of {', '.join(NAMES)}"
        + ("; and which of its recipes" if named else ""),
    )  # fmt: skip


def add_recipe_arguments(parser: argparse.ArgumentParser, usual: str) -> None:
    """The options `--recipe`, `--model` and `--objective`, and one for each setting but detection.

    Args:
        parser: gets them.
        usual: in words, which recipe is taken if none is given.
    """
    group = parser.add_argument_group("recipe")
    add_recipe_argument(group, named=True)
    group.add_argument(
        "--model", choices=list(MODELS), help=f"which of the recipes; {usual} if not given"
    )
    group.add_argument("--objective", choices=list(OBJECTIVES), help="the model's usual one")
    add_setting_arguments(parser)


def add_setting_arguments(
    parser: argparse.ArgumentParser, parts: Iterable[str] = PARTS[:3], without: Collection[str] = ()
) -> None:
    """An option for each setting of some parts of a recipe.

    Args:
        parser: gets them; what is given on the command line is stored as `part.name`.
        parts: among `PARTS`.
        without: settings that get no option.
    """
    for part in parts:
        title = part.replace("_", " ")
        group = parser.add_argument_group(f"{title} (what is not given comes from the recipe)")
        for setting, owners in _settings(part).values():
            if setting.name not in without:
                _add(group, part, setting, owners)


def _settings(part: str) -> dict[str, tuple[Setting, str]]:
    """Settings by name, and which models or objectives have them if not all do."""
    if part in ("training", "detection"):
        own = settings_of(Specification if part == "training" else Detection).items()
        return {k: (v, "") for k, v in own if k not in ("model", "objective", *PARTS)}
    kinds: Mapping[str, Any] = MODELS if part == "model_settings" else OBJECTIVES
    found: dict[str, tuple[Setting, str]] = {}
    owners: dict[str, list[str]] = {}
    for owner, kind in kinds.items():
        for name, setting in kind.settings.items():
            owners.setdefault(name, []).append(owner)
            found.setdefault(name, (setting, ""))
    return {
        name: (setting, "" if 2 * len(owners[name]) > len(kinds) else ", ".join(owners[name]))
        for name, (setting, _) in found.items()
    }


def _add(group: Any, part: str, setting: Setting, owners: str) -> None:
    members = [str if get_origin(each) is Literal else each for each in members_of(setting.kind)]
    items = [item_of(member) for member in members if item_of(member)]
    kind = next((each for each in (bool, float, int, str) if each in [*items, *members]), None)
    if kind is None:
        return  # a table, which has no place on a command line
    text = setting.help.partition(";")[0].rstrip(".").replace("%", "%%")
    options: dict[str, Any] = {
        "dest": f"{part}.{setting.name}", "default": argparse.SUPPRESS,
        "help": f"{text} [{owners}]" if owners else text,
    }  # fmt: skip
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction
    else:
        options |= {"type": kind, "choices": setting.choices or None}
        if setting.choices == ():
            options["metavar"] = {int: "N", float: "X", str: "WORD"}[kind]
    if items:
        options["nargs"] = "+"
        if kind in members:
            options["action"] = _OneOrSeveral
    group.add_argument(f"--{setting.name.replace('_', '-')}", **options)


class _OneOrSeveral(argparse.Action):
    """Stores one value as it is, and several as a list."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, values[0] if len(values) == 1 else values)


def changes(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that are given on the command line, as a recipe's table."""
    table: dict[str, Any] = {}
    for name, value in vars(args).items():
        part, dot, setting = name.partition(".")
        if dot:
            (table if part == "training" else table.setdefault(part, {}))[setting] = value
    return table


def changed_recipes(recipes: Mapping[str, Kind], args: argparse.Namespace) -> dict[str, Kind]:
    """Several recipes, each with those of the settings of the command line that it can have.

    Raises:
        ValueError: for a setting that none of them can have, or a wrong value.
    """
    given, used, changed = changes(args), set(), {}
    for name, recipe in recipes.items():
        known = {
            "model_settings": MODELS[recipe.model].settings,
            "objective_settings": OBJECTIVES[recipe.objective_name].settings,
        }
        own = dict(given)
        for part in known.keys() & given.keys():
            own[part] = {key: each for key, each in given[part].items() if key in known[part]}
            used |= own[part].keys()
        changed[name] = recipe.changed(own, "the command line: ")
    wanted = {key for part in PARTS[:2] for key in given.get(part, {})}
    if unknown := sorted(wanted - used):
        raise ValueError(f"none of the recipes {', '.join(recipes)} has the setting {unknown[0]}")
    return changed


def chosen_recipe(args: argparse.Namespace, *usual: str) -> Recipe:
    """The recipe that the arguments ask for, with the settings that they replace.

    Args:
        args: as parsed.
        usual: names of files for the data, of which the first that is there is taken unless
            another is asked for; without one the library's default recipe.

    Raises:
        FileNotFoundError: if the recipe's file is not there.
        ValueError: for what is wrong in it, a recipe that it does not have, or settings that its
            model or objective does not have.
    """
    file, _, name = (args.recipe or next((n for n in usual if n in NAMES), "")).partition(":")
    if not file:
        found: Recipe | None = default_recipe(args.model or "delvm", args.objective)
    elif name:
        found = _selected(recipes_in(file, Recipe)[name], args)
    else:
        found = _of_file(recipes_in(file, Recipe), args)
    if found is None:
        raise ValueError(f"{file} has no recipe for --model {args.model} and no [defaults]")
    return found.changed(changes(args), "the command line: ")


def _selected(found: Recipe, args: argparse.Namespace) -> Recipe:
    """A recipe with another model or objective, if these are given."""
    objective = args.objective or (None if args.model else found.objective)
    kept = found.objective_settings if objective in (None, found.objective) else {}
    model = args.model or found.model
    return dataclasses.replace(found, model=model, objective=objective, objective_settings=kept)


def _of_file(recipes: Recipes[Recipe], args: argparse.Namespace) -> Recipe | None:
    if args.model or args.objective or not recipes:
        first = next(iter(recipes.values())).model if recipes else "delvm"
        return recipes.of(args.model or first, args.objective)
    return next(iter(recipes.values()))


# Data sets and tables.


def add_dataset_arguments(parser: Any, usual: str, protocol: str | None = None) -> None:
    """The option `--dataset`, a name or files, and those of tables.

    Args:
        parser: gets them.
        usual: the default.
        protocol: that the data sets must have.
    """
    known = [n for n in names() if protocol is None or protocol in protocols(n)]
    parser.add_argument(
        "--dataset", default=usual, metavar="NAME|FILES",
        action=lambda **settings: _NameOrFiles(known, **settings),
        help=f"{', '.join(known)}, or a file, folder or quoted pattern of files with labels: "
        f"tables (with --label), .npz, .tfrecord or images",
    )  # fmt: skip
    add_table_arguments(parser)


class _NameOrFiles(argparse.Action):
    """Registers files as a data set, and stores its name."""

    def __init__(self, known: list[str], **settings: Any):
        super().__init__(**settings)
        self.known = known

    def __call__(self, parser: Any, namespace: Any, value: Any, option: Any = None) -> None:
        name = value
        if value not in self.known:
            try:
                files_of(value)
            except FileNotFoundError:
                raise argparse.ArgumentError(
                    self, f"invalid choice: {value!r} is neither a data set "
                    f"({', '.join(self.known)}) nor a file; quote patterns",
                ) from None  # fmt: skip
            except ValueError as error:
                raise argparse.ArgumentError(self, str(error)) from error
            named = [part for part in Path(value).parts if not set(part) & set("*?[")]
            name = re.sub(r"[^\w.-]+", "-", named[-1] if named else "").strip("-.") or "files"
            while name in names():
                name += "-files"
            register(name, protocols_of(value, name, lambda: table_options(namespace)))
        setattr(namespace, self.dest, name)
