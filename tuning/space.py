"""What can be searched over: settings of a `Specification`, declared as data."""

import abc
import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from delvm_tf.catalog import Specification

PARTS = ("specification", "model", "objective")
When = tuple[str, tuple[Any, ...]] | None


@dataclasses.dataclass(frozen=True)
class Setting(abc.ABC):
    """One setting.

    Attributes:
        name: of the setting.
        part: whether it is a field of the specification, or one of the settings of its model or
            objective.
        when: another setting and its values under which this one plays a part; None for always.
    """

    name: str
    part: str = "specification"
    when: When = None

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ValueError(f"part must be one of {', '.join(PARTS)}, got {self.part!r}")

    @abc.abstractmethod
    def declare(self, hp: Any) -> None:
        """Declare the setting to KerasTuner."""

    @abc.abstractmethod
    def points(self) -> Sequence[Any]:
        """The values that a grid has."""

    @abc.abstractmethod
    def words(self) -> str:
        """The values, for people."""


@dataclasses.dataclass(frozen=True)
class Options(Setting):
    """One of several values: numbers, words, or sequences of integers such as layers' sizes."""

    values: tuple[Any, ...] = ()

    def declare(self, hp: Any) -> None:
        """Declare the setting to KerasTuner."""
        hp.Choice(self.name, [encode(value) for value in self.values], ordered=False)

    def points(self) -> Sequence[Any]:
        """The values that a grid has."""
        return self.values

    def words(self) -> str:
        """The values, for people."""
        return ", ".join(str(encode(value)) for value in self.values)


@dataclasses.dataclass(frozen=True)
class Range(Setting):
    """A number between two, on a logarithmic scale."""

    low: float = 0.0
    high: float = 0.0

    def declare(self, hp: Any) -> None:
        """Declare the setting to KerasTuner."""
        hp.Float(self.name, self.low, self.high, sampling="log")

    def points(self) -> Sequence[Any]:
        """The values that a grid has."""
        return (self.low, math.sqrt(self.low * self.high), self.high)

    def words(self) -> str:
        """The values, for people."""
        return f"{self.low:g} to {self.high:g}"


@dataclasses.dataclass(frozen=True)
class Fixed(Setting):
    """One value."""

    value: Any = None

    def declare(self, hp: Any) -> None:
        """Declare the setting to KerasTuner."""
        hp.Fixed(self.name if self.when is None else _conditional_name(self), encode(self.value))

    def points(self) -> Sequence[Any]:
        """The value."""
        return (self.value,)

    def words(self) -> str:
        """The value, for people."""
        return str(encode(self.value))


@dataclasses.dataclass(frozen=True)
class Space:
    """Settings to search over, on a data set.

    Attributes:
        dataset: name of the data set.
        protocol: of the data set.
        measure: what is searched for, unless something else is asked for.
        settings: those that others depend on first.
        description: one line.
    """

    dataset: str
    protocol: str
    measure: str
    settings: tuple[Setting, ...]
    description: str = ""

    def declare(self, hp: Any) -> None:
        """Declare all settings to KerasTuner, conditional ones in their scopes."""
        for setting in self.settings:
            with contextlib.ExitStack() as scopes:
                for parent, values in reversed(self._conditions(setting)):
                    allowed = [encode(value) for value in values]
                    scopes.enter_context(hp.conditional_scope(parent, allowed))
                setting.declare(hp)

    def grid(self) -> list[dict[str, Any]]:
        """Values of all combinations that differ, as KerasTuner would give them, in a fixed order.

        A range counts as its ends and their geometric mean.
        """
        points: list[dict[str, Any]] = [{}]
        for setting in self.settings:
            points = [
                {**point, _name_of(setting): encode(value)}
                for point in points
                for value in setting.points()
                if self._plays_part(setting, point)
            ] + [point for point in points if not self._plays_part(setting, point)]
        return points

    def specification(self, values: Mapping[str, Any]) -> Specification:
        """The specification for values of the settings, as KerasTuner gives them.

        Settings that play no part under these values are left out.
        """
        parts: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
        for setting in self.settings:
            if not self._plays_part(setting, values):
                continue
            value = decode(values[_name_of(setting)])
            if value is not None:
                parts[setting.part][setting.name] = value
        return Specification(
            **parts["specification"],
            model_settings=parts["model"],
            objective_settings=parts["objective"],
        )

    def _conditions(self, setting: Setting) -> list[tuple[str, tuple[Any, ...]]]:
        """The setting's own condition, that of the setting it depends on, and so on."""
        conditions = []
        while setting.when is not None:
            conditions.append(setting.when)
            setting = next(each for each in self.settings if each.name == conditions[-1][0])
        return conditions

    def _plays_part(self, setting: Setting, values: Mapping[str, Any]) -> bool:
        return all(
            values.get(parent) in [encode(value) for value in allowed]
            for parent, allowed in self._conditions(setting)
        )


def encode(value: Any) -> Any:
    """A value as KerasTuner can hold it: sizes of layers as `512-128`, None as `none`."""
    if isinstance(value, tuple | list):
        return "-".join(map(str, value)) + ("-" if len(value) == 1 else "")
    return "none" if value is None else value


def decode(value: Any) -> Any:
    """The value that `encode` was given."""
    if value == "none":
        return None
    if isinstance(value, str) and value.replace("-", "").isdecimal():
        return [int(part) for part in value.split("-") if part]
    return value


def _conditional_name(setting: Setting) -> str:
    """Fixed values of one setting under several conditions need names of their own."""
    assert setting.when is not None
    return f"{setting.name} ({setting.when[0]}={','.join(map(str, setting.when[1]))})"


def _name_of(setting: Setting) -> str:
    fixed = isinstance(setting, Fixed) and setting.when is not None
    return _conditional_name(setting) if fixed else setting.name
