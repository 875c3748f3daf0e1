"""What a search has found, as tables and pictures."""

import textwrap
from typing import Any, NamedTuple

import pandas as pd

from delvm_tf.catalog import Specification
from delvm_tf.plots.figure import new_figure
from tuning.measures import MEASURES
from tuning.space import Space


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
    return frame[["trial", measure, *shown]].map(
        lambda value: f"{value:.3g}" if isinstance(value, float) else str(value)
    )


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
    """The measure by trial with the best so far, and by each setting that varies."""
    done = [trial for trial in trials if trial.figure is not None]
    names = [
        name
        for name in dict.fromkeys(name for trial in done for name in trial.values)
        if len({trial.values.get(name) for trial in done if name in trial.values}) > 1
    ]
    columns = 4
    rows = -(-(len(names) + 1) // columns)
    figure, axes = new_figure(3.2 * columns, 2.6 * rows, rows, columns)
    panels = list(axes.flat)
    better = max if MEASURES[measure].direction == "max" else min
    best: list[float] = []
    for trial in done:
        value = trial.figure or 0.0
        best.append(better([value, *best[-1:]]))
    panels[0].plot([t.number for t in done], [t.figure for t in done], "o")
    panels[0].step([t.number for t in done], best, where="post")
    panels[0].set(xlabel="trial", ylabel=measure)
    for axis, name in zip(panels[1:], names, strict=False):
        shown = [trial for trial in done if name in trial.values]
        values = [trial.values[name] for trial in shown]
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        axis.plot(values if numbers else [str(v) for v in values], [t.figure for t in shown], "o")
        axis.set(xlabel=name)
        if numbers and min(values) > 0 and max(values) > 5 * min(values):
            axis.set_xscale("log")
    for axis in panels[len(names) + 1 :]:
        axis.set_visible(False)
    return figure


def _shown(specification: Specification) -> dict[str, Any]:
    settings = {**specification.model_settings, **specification.objective_settings}
    common = {
        "model": specification.model, "objective": specification.objective_name,
        "learning_rate": specification.learning_rate, "batch_size": specification.batch_size,
        "epochs": specification.epochs,
    }  # fmt: skip
    words = {k: "-".join(map(str, v)) if isinstance(v, list) else v for k, v in settings.items()}
    return {**common, **words}
