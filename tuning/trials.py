"""What a search has found, as tables and pictures."""

import textwrap
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from delvm_tf.catalog import Specification
from delvm_tf.plots.figure import new_figure
from delvm_tf.plots.labels import TEXT, fit_tick_labels, legend_beside, round_ticks
from delvm_tf.plots.palette import BLUE, ORANGE, VERMILLION
from tuning.measures import MEASURES
from tuning.space import Space

FEW = 5  # different numbers that are named side by side, and not placed by size
LONGEST = 22  # letters of a name below a panel


class Trial(NamedTuple):
    """One trial.

    Attributes:
        number: in the order of the search.
        figure: what was measured; None if it failed.
        values: of the settings that play a part, as in tables.
        specification: what was trained.
        reason: why it failed, or an empty string.
    """

    number: int
    figure: float | None
    values: dict[str, Any]
    specification: Specification
    reason: str


def trials_of(tuner: Any, space: Space, measure: str) -> list[Trial]:
    """All finished trials of a tuner."""
    found = []
    for number, name in enumerate(sorted(tuner.oracle.trials)):
        trial = tuner.oracle.trials[name]
        if trial.status not in ("COMPLETED", "FAILED", "INVALID"):
            continue
        values = trial.hyperparameters.values
        specification = space.specification(values)
        done = trial.status == "COMPLETED"
        reason = "" if done else reason_in(trial.message)
        shown = {
            **_shown(specification), **{k: v for k, v in values.items() if k == "tuner/epochs"}
        }  # fmt: skip
        found.append(Trial(number, trial.score if done else None, shown, specification, reason))
    return found


def reason_in(message: str | None) -> str:
    """Why a trial failed, all of it, from the traceback that KerasTuner keeps."""
    return (message or "unknown").rpartition("FailedTrialError: ")[2].strip()


def short(reason: str, length: int = 75) -> str:
    """A reason on one line of a screen."""
    first = reason.splitlines()[0] if reason else ""
    return textwrap.shorten(first, length, placeholder=" ...") if " " in first else first[:length]


def failures(trials: list[Trial]) -> list[str]:
    """One line for each short reason, with the trials that failed because of it."""
    found: dict[str, list[str]] = {}
    for trial in trials:
        if trial.figure is None:
            found.setdefault(short(trial.reason), []).append(str(trial.number))
    return [
        f"{len(numbers)} failed (trial {', '.join(numbers)}): {reason}"
        for reason, numbers in found.items()
    ]


def varying(trials: list[Trial], measure: str) -> pd.DataFrame:
    """Figures and the settings that vary, for a screen; settings of the most trials come first."""
    frame = pd.DataFrame(rows_of(trials, measure), dtype=object).drop(columns="failed")
    settings = frame.drop(columns=["trial", measure])
    parts = (settings != "").sum().sort_values(ascending=False, kind="stable").index
    shown = [name for name in parts if settings[name].astype(str).nunique() > 1]
    return frame[["trial", measure, *shown]].map(_rounded)


def table_of(trials: list[Trial], measure: str) -> pd.DataFrame:
    """All that `rows_of` gives, for a page; numbers have three digits."""
    return pd.DataFrame(rows_of(trials, measure), dtype=object).map(_rounded)


def _rounded(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def best_first(trials: list[Trial], measure: str) -> list[Trial]:
    """The trials that did not fail, the best first."""
    sign = -1 if MEASURES[measure].direction == "max" else 1
    return sorted((t for t in trials if t.figure is not None), key=lambda t: sign * (t.figure or 0))


def rows_of(trials: list[Trial], measure: str) -> list[dict[str, Any]]:
    """One row for each trial, with the same columns in all."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    return [
        {
            "trial": trial.number, measure: "" if trial.figure is None else f"{trial.figure:.4f}",
            **{name: trial.values.get(name, "") for name in names}, "failed": trial.reason,
        }
        for trial in trials
    ]  # fmt: skip


def plot_search(trials: list[Trial], measure: str) -> Any:
    """The measure by trial with the best so far, and by each setting that varies.

    Trials so bad that they would flatten all others are triangles at the edge of each panel, and
    the heading says how many they are: those further from the quartiles on the bad side than 1.5
    times the distance of the quartiles.
    """
    done = [trial for trial in trials if trial.figure is not None]
    names = [
        name
        for name in dict.fromkeys(name for trial in done for name in trial.values)
        if len({trial.values.get(name) for trial in done if name in trial.values}) > 1
    ]
    higher = MEASURES[measure].direction == "max"
    figures = [float(trial.figure or 0.0) for trial in done]
    low, high = _limits(figures, higher)
    columns = 3
    rows = -(-(len(names) + 1) // columns)
    figure, axes = new_figure(3.4 * columns, 0.5 + 2.6 * rows, rows, columns)
    panels = list(axes.flat)
    best = np.maximum.accumulate(figures) if higher else np.minimum.accumulate(figures)
    panels[0].step([t.number for t in done], best, where="post", color=ORANGE, label="best so far")
    _scatter(panels[0], [t.number for t in done], figures, low, high)
    panels[0].set(xlabel="trial")
    panels[0].xaxis.get_major_locator().set_params(integer=True)
    legend_beside(panels[0])
    for axis, name in zip(panels[1:], names, strict=False):
        shown = [(trial.values[name], value) for trial, value in zip(done, figures, strict=True)
                 if name in trial.values]  # fmt: skip
        values = [value for value, _ in shown]
        places = _axis_of(axis, values)
        _scatter(axis, places, [value for _, value in shown], low, high)
        axis.set(xlabel=name)
        if min(places) > 0 and axis.get_xscale() == "log":
            round_ticks(axis.xaxis)
    for axis in panels[: len(names) + 1]:
        axis.set_ylim(low - _margin(low, high), high + _margin(low, high))
    fit_tick_labels(*panels[: len(names) + 1])
    for axis in axes[:, 0]:
        axis.set_ylabel(measure)
    for axis in panels[len(names) + 1 :]:
        axis.set_visible(False)
    beyond = sum(not low <= value <= high for value in figures)
    if beyond:
        where = f"below {low:.3g}" if higher else f"above {high:.3g}"
        figure.suptitle(f"triangles: {beyond} of {len(done)} trials, {where}", fontsize=TEXT + 1)
    return figure


def _limits(figures: list[float], higher: bool) -> tuple[float, float]:
    """The lowest and the highest figure that is not far worse than the others (Tukey's fence)."""
    values = np.asarray(figures)
    first, third = np.quantile(values, [0.25, 0.75])
    reach = 1.5 * (third - first)
    kept = values[values >= first - reach] if higher else values[values <= third + reach]
    return float(kept.min()), float(kept.max())


def _scatter(axis: Any, places: list[Any], figures: list[float], low: float, high: float) -> None:
    inside = [(x, y) for x, y in zip(places, figures, strict=True) if low <= y <= high]
    beyond = [(x, y) for x, y in zip(places, figures, strict=True) if not low <= y <= high]
    axis.plot(*zip(*inside, strict=True), "o", color=BLUE, alpha=0.7) if inside else None
    for x, y in beyond:
        away = 0.6 * _margin(low, high)
        edge, marker = (low - away, "v") if y < low else (high + away, "^")
        axis.plot([x], [edge], marker, color=VERMILLION, ms=7)


def _margin(low: float, high: float) -> float:
    return 0.13 * (high - low) or 0.5


def _axis_of(axis: Any, values: list[Any]) -> list[Any]:
    """Places of values on an axis, which is made to suit: few values are named side by side."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    different = list(dict.fromkeys(values))
    if numbers and (len(different) > FEW or any(isinstance(v, float) for v in values)):
        if min(values) > 0 and max(values) > 5 * min(values):
            axis.set_xscale("log")
        return values
    named = sorted(different) if numbers else different
    axis.set_xticks(range(len(named)), [_named(value) for value in named])
    axis.set_xlim(-0.5, len(named) - 0.5)
    return [named.index(value) for value in values]


def _named(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _shown(specification: Specification) -> dict[str, Any]:
    settings = {**specification.model_settings, **specification.objective_settings}
    common = {
        "model": specification.model, "objective": specification.objective_name,
        "learning_rate": specification.learning_rate, "batch_size": specification.batch_size,
        "epochs": specification.epochs,
    }  # fmt: skip
    words = {k: "-".join(map(str, v)) if isinstance(v, list) else v for k, v in settings.items()}
    return {**common, **words}
