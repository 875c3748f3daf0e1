"""What models, objectives and records can be told: names, types, choices and help of settings."""

import dataclasses
import functools
import importlib
import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from delvm_tf.curvature import TRACES
from delvm_tf.models.visible import PRECISIONS
from delvm_tf.normalization import MODES
from delvm_tf.objectives.score_matching import SIGNS
from delvm_tf.samplers.named import SAMPLERS

# What a setting of a name may be, where it is a word.
CHOICES = {
    "normalization": MODES, "visible_precision": PRECISIONS, "bias_constraint": ("non_positive",),
    "trace": ("auto", "exact", *TRACES), "sign": SIGNS,
    "sampler": tuple(name for name, kind in SAMPLERS.items() if not kind.over_levels),
}  # fmt: skip
NOT_WRITTEN = ("seed", "input_shape")  # they come with the data and the run
_WRITTEN = (bool, int, float, str)


class Setting(NamedTuple):
    """A setting that can be written down.

    Attributes:
        name: the argument's.
        kind: its type, without what cannot be written in a file.
        help: what its documentation says, in short.
    """

    name: str
    kind: Any
    help: str = ""

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it may be; empty if it is none of a few words."""
        return (
            get_args(self.kind) if get_origin(self.kind) is Literal else CHOICES.get(self.name, ())
        )


def imported(package: str, path: str) -> Any:
    """What a module of a package of this library holds, by a path such as `"dem.DEM"`."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"delvm_tf.{package}.{module}"), name)


def settings_of(*makers: Callable[..., Any]) -> dict[str, Setting]:
    """The settings of classes and functions, by name; of the first that has the name.

    Where a class passes keyword arguments on, those of its bases belong to it. Help comes from the
    sections Args and Attributes of docstrings.
    """
    found: dict[str, Setting] = {}
    for maker in makers:
        helps: dict[str, str] = {}
        for owner in reversed(_owners(maker)):
            helps |= {name: text for name, text in _documented(owner) if text[:4] != "see "}
        for name, parameter in parameters_of(maker).items():
            kind = _written(parameter.annotation)
            if kind is not None and name not in NOT_WRITTEN:
                found.setdefault(name, Setting(name, kind, helps.get(name, "")))
    return found


def parameters_of(maker: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The named parameters of a class or function, with those that it passes on to its bases."""
    found: dict[str, inspect.Parameter] = {}
    for owner in _owners(maker):
        if inspect.isclass(owner) and "__init__" not in vars(owner):
            continue
        parameters = inspect.signature(owner, eval_str=True).parameters.values()
        variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        for parameter in parameters:
            if parameter.kind not in variable:
                found.setdefault(parameter.name, parameter)
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            break
    return found


def members_of(kind: Any) -> tuple[Any, ...]:
    """The types that a type stands for; several if it is a union."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def item_of(kind: Any) -> Any:
    """The type of a sequence's items; None if the type is no sequence."""
    return get_args(kind)[0] if get_origin(kind) in (Sequence, tuple, list) else None


def _owners(maker: Callable[..., Any]) -> list[Any]:
    if isinstance(maker, functools.partial):
        return _owners(maker.func)
    if not inspect.isclass(maker):
        return [maker]
    return [each for each in maker.__mro__ if each.__module__.split(".")[0] not in _FOREIGN]


_FOREIGN = ("keras", "tensorflow", "abc", "builtins")


def _written(kind: Any) -> Any:
    """The part of a type that a file can hold; None if there is none."""
    kept = [
        each
        for each in members_of(kind)
        if each in _WRITTEN
        or get_origin(each) in (Literal, Mapping, dict)
        or item_of(each) in _WRITTEN
        or dataclasses.is_dataclass(each)
    ]
    return Union[tuple(kept)] if kept else None  # noqa: UP007


def _documented(owner: Any) -> Iterator[tuple[str, str]]:
    """Names and texts of the sections Args and Attributes of a docstring."""
    section = re.search(
        r"^(?:Args|Attributes):\n((?:    .*\n?|\n)+)", inspect.getdoc(owner) or "", re.MULTILINE
    )
    for entry in re.split(r"\n(?=    \S)", section[1] if section else ""):
        name, _, text = entry.strip().partition(": ")
        yield name, " ".join(text.replace("`", "").split())
