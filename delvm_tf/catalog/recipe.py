"""Recipes: all that makes a detector of data, as it is written in a TOML file."""

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, Generic, Literal, Self, TypeVar, cast

from delvm_tf.catalog.models import MODELS
from delvm_tf.catalog.objectives import OBJECTIVES
from delvm_tf.catalog.settings import Setting
from delvm_tf.catalog.specification import Specification
from delvm_tf.catalog.tables import from_table, read_toml, typed
from delvm_tf.samplers.named import get_sampler

DEFAULTS = "defaults"


@dataclasses.dataclass(frozen=True)
class Detection:
    """How trained models become a detector.

    Attributes:
        ensemble: models of different seeds, whose scores are averaged.
        power: of an ensemble's mean excess; it moves the threshold and no ranking.
        neighbours: normal rows, the nearest, whose mean distance is one more score of an ensemble;
            0 for no such score.
        principal: components to measure these distances in; None for all values.
        criterion: the model's method that gives the anomaly score; None for its energy, or its
            reconstruction error if it has none.
        threshold: the rule that sets the threshold.

    Raises:
        ValueError: for numbers out of range.

    Examples:
        >>> detection = dv.catalog.Detection(ensemble=5, power=2.5, neighbours=3)
        >>> detection.together
        ', ensemble of 5, 3 neighbours, power 2.5'
        >>> recipe = dv.catalog.Recipe(detection=detection)
    """

    ensemble: int = 1
    power: float = 1.0
    neighbours: int = 0
    principal: int | None = None
    criterion: Literal["energy", "reconstruction_error"] | None = None
    threshold: Literal["contamination", "mean_std", "best_f1"] = "mean_std"

    def __post_init__(self) -> None:
        if self.ensemble < 1:
            raise ValueError(f"ensemble must be 1 or more, got {self.ensemble}")
        if not 0 < self.power < math.inf:
            raise ValueError(f"power must be positive and finite, got {self.power}")
        if self.neighbours < 0:
            raise ValueError(f"neighbours must be 0 or more, got {self.neighbours}")
        if self.principal is not None and self.principal < 1:
            raise ValueError(f"principal must be 1 or more, got {self.principal}")

    @property
    def together(self) -> str:
        """In words, what is made of several models or scores; empty for one model as it is."""
        members = f", ensemble of {self.ensemble}" if self.ensemble > 1 else ""
        members += f", {self.neighbours} neighbours" if self.neighbours else ""
        return members + (f", power {self.power:g}" if self.power != 1 else "")


@dataclasses.dataclass(frozen=True)
class Recipe(Specification):
    """A specification, and what makes a detector of its models.

    In TOML, its attributes are keys, and `model_settings`, `objective_settings` and `detection`
    are tables:

        model = "delvm"
        objective = "denoising"
        model_settings = { units = [256, 128], normalization = "center", scale = 0.35 }
        objective_settings = { sigma = 1.0 }
        epochs = 20
        detection = { ensemble = 5, power = 2.5 }

    Attributes:
        name: what tables call its models; that of model and objective if empty.
        detection: how a detector is made of trained models.

    Examples:
        >>> recipe = dv.catalog.Recipe.from_table(
        ...     {"model": "delvm", "model_settings": {"units": [4]}, "detection": {"ensemble": 2}}
        ... )
        >>> recipe.title, recipe.detection.ensemble
        ('SM-DELVM', 2)
        >>> detector = dv.AnomalyDetector(recipe, epochs=1).fit(x)
    """

    name: str = ""
    detection: Detection = dataclasses.field(default_factory=Detection)

    @property
    def arrays_only(self) -> bool:
        """Whether it learns from arrays and from no streams: an ensemble, or layer by layer."""
        return bool(self.detection.together) or self.layerwise

    @property
    def title(self) -> str:
        """What tables call its models."""
        return self.name or super().title

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str = "") -> Self:
        """A recipe from a table of TOML, or of the same names and types.

        Args:
            table: values by name.
            where: put before names in messages.

        Raises:
            ValueError: for unknown names of keys, models, objectives or settings, or values of the
                wrong type: where, what came and what is expected.
        """
        made = from_table(cls, table, where)
        made.check(where)
        return made

    def check(self, where: str = "") -> None:
        """Refuse unknown models, objectives and settings, and settings of the wrong type."""
        if self.model not in MODELS:
            raise _unknown(f"{where}model", self.model, MODELS)
        kind = MODELS[self.model]
        if self.objective_name not in kind.objectives:
            known = "unknown" if self.objective not in OBJECTIVES else "not for this model"
            raise _unknown(f"{where}objective ({known})", self.objective_name, kind.objectives)
        _check_settings(
            self.model_settings, kind.settings, f"{where}model_settings.",
            f"the model {self.model!r}",
        )  # fmt: skip
        _check_settings(
            self.objective_settings, OBJECTIVES[self.objective_name].settings,
            f"{where}objective_settings.", f"the objective {self.objective_name!r}",
        )  # fmt: skip

    def changed(self, changes: Mapping[str, Any], where: str = "") -> Self:
        """The recipe with some values replaced; see `merged`."""
        return type(self).from_table(merged(dataclasses.asdict(self), changes), where)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's table with the values of another in their place, setting by setting.

    Layers replace layers: units the filters and what goes with them, and the other way round.
    With another normalisation the scale means nothing, and is left out; a level of noise replaces
    a ladder of levels.
    """
    parts = [key for key, value in base.items() if isinstance(value, Mapping)]
    layers, new = _part(base, "model_settings"), _part(changes, "model_settings")
    gone: tuple[str, ...] = ()
    if "filters" in new:
        gone = ("units", "filters")
    elif "units" in new:
        gone = ("units", "filters", "kernel_size", "strides")
    if new.get("normalization") not in (None, layers.get("normalization", "center")):
        gone += ("scale",)
    if "sigma" in _part(changes, "objective_settings"):
        gone += ("smallest", "levels")
    result = {**base, **changes}
    for key in parts:
        kept = {name: value for name, value in base[key].items() if name not in gone}
        if key not in changes:
            result[key] = kept
        elif isinstance(changes[key], Mapping):
            result[key] = {**kept, **changes[key]}
    return result


def _part(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    return value if isinstance(value, Mapping) else {}


Kind = TypeVar("Kind", bound=Recipe)


class Recipes(Mapping[str, Kind], Generic[Kind]):
    """The recipes of a TOML file, by name.

    A file holds one recipe, named after the file, or a table for each of several; what one of these
    leaves out stands in the table `[defaults]`, or else is the default of `Recipe`. One without an
    objective is for all objectives of its model.

    Args:
        path: of the file.
        kind: a subclass of `Recipe`, if there is more in it; `Recipe` if None.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for what is not TOML, or no recipe; see `Recipe.from_table`.

    Examples:
        >>> import pathlib
        >>> pathlib.Path("mine.toml").write_text('model = "delvm"')
        >>> recipes = dv.catalog.Recipes("mine.toml")
        >>> recipes["mine"].title
        'SM-DELVM'
        >>> recipes.of("delvm", "score-matching").epochs
        10
    """

    def __init__(self, path: str | os.PathLike[str], kind: type[Kind] | None = None):
        table = read_toml(path)
        self.path = path
        self._kind = kind = cast("type[Kind]", Recipe) if kind is None else kind
        names = {field.name for field in dataclasses.fields(kind)}
        self._defaults: Mapping[str, Any] | None = None
        if not table or names & table.keys():
            table = {os.path.splitext(os.path.basename(path))[0]: table}
        elif isinstance(table.get(DEFAULTS), Mapping):
            self._defaults = table.pop(DEFAULTS)
        for name, value in table.items():
            if not isinstance(value, Mapping):
                raise ValueError(
                    f"{path}: {name}: unknown key; expected a table [{name}] with a recipe, or one "
                    f"of {', '.join(sorted(names))}"
                )
        self._found = {name: self._made(value, name) for name, value in table.items()}

    def _made(self, table: Mapping[str, Any], name: str) -> Kind:
        return self._kind.from_table(merged(self._defaults or {}, table), f"{self.path}: {name}.")

    def __getitem__(self, name: str) -> Kind:
        if name not in self._found:
            raise _unknown(f"{self.path}: recipe", name, self._found)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def of(self, model: str, objective: str | None = None) -> Kind | None:
        """The first recipe for a model and objective, its usual one if None.

        Where there is none, `[defaults]` alone serve; without these there is no recipe, and None.
        """
        wanted = objective or MODELS[model].objectives[0]
        for found in self._found.values():
            if found.model == model and found.objective in (None, wanted):
                return dataclasses.replace(found, objective=wanted)
        return self.plain(model, wanted)

    def plain(self, model: str, objective: str) -> Kind | None:
        """`[defaults]` for a model and objective; None where the file has none."""
        if self._defaults is None:
            return None
        return self._made({"model": model, "objective": objective}, DEFAULTS)


def default_recipe(model: str = "delvm", objective: str | None = None) -> Recipe:
    """What a data set gets that no recipe was chosen for: denoising score matching on z-scores.

    It is for 30 epochs. `AnomalyDetector`, which uses it where no model is given, stops at a
    million rows, those of all epochs counted: beyond 33,333 rows the number of steps is the same.

    Args:
        model: a name in `MODELS`.
        objective: a name in `OBJECTIVES`; denoising, or the usual one of models that are not
            learned by it, if None.

    Examples:
        >>> recipe = dv.catalog.default_recipe()
        >>> recipe.title, recipe.epochs, recipe.model_settings
        ('DSM-DELVM', 30, {'units': [256, 128], 'normalization': 'zscore'})
    """
    kind = MODELS[model]
    usual = "denoising" if "denoising" in kind.objectives else kind.objectives[0]
    layers: dict[str, Any] = {"units": [256] if model == "gaussian-rbm" else [256, 128]}
    if kind.layers == "filters" or model == "conv-autoencoder":
        layers = {"filters": [32] if model == "conv-rbm" else [32, 32]}
    objective = objective or usual
    return Recipe.from_table(
        {
            "model": model, "objective": objective, "epochs": 30,
            "model_settings": {**layers, "normalization": "zscore"},
            "objective_settings": {"sigma": 1.0} if objective == "denoising" else {},
        }
    )  # fmt: skip


def _check_settings(
    settings: Mapping[str, Any], known: Mapping[str, Setting], where: str, whose: str
) -> None:
    for name, value in settings.items():
        if name not in known:
            raise ValueError(
                f"{where}{name}: {whose} has no setting {name}; expected one of {', '.join(known)}"
            )
        typed(known[name].kind, value, where + name)
        choices = known[name].choices
        if name == "sampler" and isinstance(value, Mapping):
            try:
                get_sampler(value)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{where}{name}: {error}") from error
        elif isinstance(value, str) and choices and value not in choices:
            raise _unknown(where + name, value, choices)


def _unknown(what: str, name: Any, known: Any) -> ValueError:
    return ValueError(f"{what}: expected one of {', '.join(known)}, got {name!r}")
