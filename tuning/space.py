"""What can be searched over: settings of a `Specification`, as the tables of spaces.toml say."""

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from delvm_tf.catalog import Specification
from delvm_tf.catalog.tables import from_table, read_toml

SPACES_FILE = Path(__file__).with_name("spaces.toml")


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting: one of several values, a number between two, or one value that is fixed.

    Attributes:
        name: of the setting.
        values: numbers, words, or sequences of integers such as layers' sizes; `"none"` for None.
        low: the least number, where there are no values.
        high: the greatest; between them numbers are drawn on a logarithmic scale.
        part: whether it is a field of the specification, or one of the settings of its model or
            objective.
        when: another setting, and its values under which this one plays a part; empty for always.
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    part: Literal["specification", "model", "objective"] = "specification"
    when: dict[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.values and not 0 < self.low < self.high:
            raise ValueError(f"{self.name} needs values, or 0 < low < high")

    @property
    def key(self) -> str:
        """What KerasTuner calls it: fixed values under several conditions need several names."""
        conditions = (f"{name}={','.join(map(str, values))}" for name, values in self.when.items())
        fixed = len(self.values) == 1 and self.when
        return f"{self.name} ({', '.join(conditions)})" if fixed else self.name

    def declare(self, hp: Any) -> None:
        """Declare the setting to KerasTuner."""
        values = [encode(value) for value in self.values]
        if not values:
            hp.Float(self.key, self.low, self.high, sampling="log")
        elif len(values) == 1:
            hp.Fixed(self.key, *values)
        else:
            hp.Choice(self.key, values, ordered=False)

    def points(self) -> Sequence[Any]:
        """The values that a grid has."""
        return self.values or (self.low, math.sqrt(self.low * self.high), self.high)

    def words(self) -> dict[str, str]:
        """What it is, for people."""
        values = ", ".join(str(encode(value)) for value in self.values)
        conditions = (f"{name} is {' or '.join(map(str, v))}" for name, v in self.when.items())
        return {
            "setting": self.name, "values": values or f"{self.low:g} to {self.high:g}",
            "when": " and ".join(conditions),
        }  # fmt: skip


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
                {**point, setting.key: encode(value)}
                for point in points
                for value in setting.points()
                if self._plays_part(setting, point)
            ] + [point for point in points if not self._plays_part(setting, point)]
        return points

    def specification(self, values: Mapping[str, Any]) -> Specification:
        """The specification for values of the settings, as KerasTuner gives them.

        Settings that play no part under these values are left out.
        """
        parts: dict[str, dict[str, Any]] = {"specification": {}, "model": {}, "objective": {}}
        for setting in self.settings:
            if not self._plays_part(setting, values):
                continue
            value = decode(values[setting.key])
            if value is not None:
                parts[setting.part][setting.name] = value
        return Specification(
            **parts["specification"],
            model_settings=parts["model"],
            objective_settings=parts["objective"],
        )

    def _conditions(self, setting: Setting) -> list[tuple[str, tuple[Any, ...]]]:
        """The setting's own conditions, those of the settings it depends on, and so on."""
        parents = [each for each in self.settings if each.name in setting.when]
        return [*setting.when.items(), *(c for each in parents for c in self._conditions(each))]

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


SPACES = {
    name: from_table(Space, table, f"spaces.toml: {name}.")
    for name, table in read_toml(SPACES_FILE).items()
}
