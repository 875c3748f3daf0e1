"""Tables of TOML files as typed values: what is unknown or of another type is refused by name."""

import dataclasses
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from delvm_tf.catalog.settings import item_of, members_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Made = TypeVar("Made", bound="DataclassInstance")
_WORDS = {
    bool: "true or false", int: "an integer", float: "a number", str: "a text",
    type(None): "nothing",
}  # fmt: skip
_PLURALS = {bool: "truth values", int: "integers", float: "numbers", str: "texts"}


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The contents of a TOML file.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged, and where.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error


def from_table(kind: type[Made], table: Mapping[str, Any], where: str = "") -> Made:
    """A dataclass from a table with the names of its fields.

    Args:
        kind: the dataclass; its fields may be dataclasses too.
        table: values by name.
        where: put before names in messages, such as `"recipe.toml: detection."`.

    Raises:
        ValueError: for an unknown or missing name, a value of the wrong type, or one that the
            dataclass refuses: its name, what came and what is expected.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    for name in table:
        if name not in fields:
            raise ValueError(f"{where}{name}: unknown key; expected one of {', '.join(fields)}")
    for name, field in fields.items():
        needed = field.default is field.default_factory is dataclasses.MISSING
        if needed and name not in table:
            raise ValueError(f"{where}{name}: missing; expected {words(hints[name])}")
    values = {name: typed(hints[name], value, where + name) for name, value in table.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from error


def typed(kind: Any, value: Any, where: str) -> Any:
    """A value of a TOML file as one of a Python type; arrays become tuples where it says so.

    Raises:
        ValueError: if the value has another type; see `from_table`.
    """
    for member in members_of(kind):
        found = _as(member, value, where)
        if found is not _MISMATCH:
            return found
    raise ValueError(f"{where}: expected {words(kind)}, got {value!r}")


def words(kind: Any) -> str:
    """What values of a type are called."""
    return " or ".join(_word(member) for member in members_of(kind) if member is not type(None))


_MISMATCH = object()


def _as(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any or origin is Literal:
        return value if kind is Any or value in arguments else _MISMATCH
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        fits = isinstance(value, Mapping)
        return from_table(kind, value, f"{where}.") if fits else _MISMATCH
    if origin in (dict, Mapping):
        fits = isinstance(value, Mapping)
        of = arguments[1]
        return {k: typed(of, v, f"{where}.{k}") for k, v in value.items()} if fits else _MISMATCH
    if item_of(kind) is not None:
        return _sequence(kind, value, where)
    if kind is float and type(value) is int and abs(value) <= sys.float_info.max:
        return float(value)
    return value if type(value) is kind else _MISMATCH


def _sequence(kind: Any, value: Any, where: str) -> Any:
    arguments = get_args(kind)
    if not isinstance(value, list | tuple):
        return _MISMATCH
    if get_origin(kind) is tuple and arguments[-1] is not ...:
        if len(value) != len(arguments):
            return _MISMATCH
        return tuple(typed(k, v, where) for k, v in zip(arguments, value, strict=True))
    made = [typed(arguments[0], item, where) for item in value]
    return tuple(made) if get_origin(kind) is tuple else made


def _word(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    if item_of(kind) is not None:
        return f"a list of {_PLURALS.get(item_of(kind), 'values')}"
    return _WORDS.get(kind, "a table")
