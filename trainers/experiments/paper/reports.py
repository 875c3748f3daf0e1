"""A figure as a page of markdown and as rows of numbers."""

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import pandas as pd

from trainers.evaluation.tables import markdown_table
from trainers.experiments.paper.comparisons import beside_random, best_of_grid, claims
from trainers.experiments.paper.tables import (
    BEATS,
    FIGURES,
    METHODS,
    PAPER,
    SCALES,
    Figure,
    Scale,
    published_as,
    title,
)
from trainers.experiments.paper.values import Place, Value, label

HEADINGS = {
    "accuracy": "Accuracy (%)", "f1": "F1 (%)", "auroc": "AUROC (%)",
    "precision": "Precision (%)", "recall": "Recall (%)",
}  # fmt: skip
AXES = {"filters": "filters", "layers": "layers", "units": "units", "table": "filters"}


class Report(NamedTuple):
    """What a page is about.

    Attributes:
        name: of the figure.
        scale: of the run.
        seeds: that it covers.
        values: by place.
        command: that gave it.
        date: of the run.
    """

    name: str
    scale: Scale
    seeds: Sequence[int]
    values: dict[Place, Value]
    command: str
    date: str

    @property
    def figure(self) -> Figure:
        """The declaration."""
        return FIGURES[self.name]


def rows(name: str, values: dict[Place, Value]) -> list[dict[str, Any]]:
    """One row for each place and seed, with every measure of the figure."""
    measures = FIGURES[name].measures
    return [
        {
            "figure": name, "method": title(place.method), "size": place.size or "",
            AXES[FIGURES[name].axis]: place.x or "", "seed": seed,
            "status": "diverged" if numbers is None else "done",
            **{m: "" if numbers is None else numbers[m] for m in measures},
        }
        for place, value in values.items()
        for seed, numbers in value.by_seed.items()
    ]  # fmt: skip


def page(report: Report) -> str:
    """The whole page."""
    figure = report.figure
    parts = [
        f"# {report.name}: {figure.title}",
        f"The paper's claim: {figure.claim}",
        _conditions(report),
        *(_table(report, measure) for measure in figure.measures),
        _beside_the_paper(report),
        claims(figure, report.values),
        beside_random(figure, report.values),
        _diverged(report.values),
        _models(figure, report.values),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _conditions(report: Report) -> str:
    schedules = {METHODS[method].schedule for method in report.figure.methods}
    left_out = reductions(report.scale, report.figure.data, report.figure.axis, schedules)
    said = "\n" + "".join(f"\n- {line}" for line in left_out) if left_out else " nothing."
    return (
        f"    {report.command}\n\nScale `{report.scale.name}`, seeds "
        f"{', '.join(map(str, report.seeds))}, {report.date}. Mean ± standard deviation over the "
        f"seeds where there are several. Reduced against the paper:{said}"
    )


def _table(report: Report, measure: str) -> str:
    xs = sorted({place.x for place in report.values if place.x is not None})
    across = report.figure.axis != "table"
    by = f", by {AXES[report.figure.axis]}" if across else ""
    head = [HEADINGS[measure] + by, *(map(str, xs) if across else ("filters", ""))]
    lines: list[list[str]] = []
    for line in dict.fromkeys((place.method, place.size) for place in report.values):
        first = Place(*line, None)
        if first in report.values:  # a baseline is the same everywhere
            text = report.values[first].text(measure)
            cells = [text, *[""] * (len(head) - 2)] if across else ["", text]
            lines.append([label(first), *cells])
        elif across:
            places = [Place(*line, x) for x in xs]
            cells = [report.values[p].text(measure) if p in report.values else "" for p in places]
            lines.append([label(first), *cells])
        else:
            lines += [
                [label(p), str(p.x), report.values[p].text(measure)]
                for p in report.values if p[:2] == line
            ]  # fmt: skip
    return markdown_table(pd.DataFrame(lines, columns=head)).rstrip()


def _beside_the_paper(report: Report) -> str:
    figure, lines = report.figure, []
    for entry in figure.published:
        for method in figure.methods:
            place = Place(method, entry.size, entry.x)
            if published_as(method) != entry.method:
                continue
            value = report.values.get(place)
            for measure, printed in _with_f1(entry.values).items():
                ours = value.text(measure) if value else "not at this scale"
                lines.append(
                    [label(place), str(entry.x), measure, f"{printed:.2f}", ours]
                )  # fmt: skip
    best = best_of_grid(report.name, report.values)
    if not lines and not best:
        return "The paper shows its values in a picture only, and gives none in numbers."
    said = ""
    if lines:
        head = ["beside the paper", AXES[figure.axis], "measure", "paper (%)", "here (%)"]
        said = markdown_table(pd.DataFrame(lines, columns=head)) + "\n"
    else:
        said = "The paper shows its accuracies in a picture only.\n\n"
    if best:
        said += best
    else:
        said += "The paper's other values are in a picture only."
    return said.strip()


def _with_f1(values: dict[str, float]) -> dict[str, float]:
    """The paper's numbers, with the F1 that follows from precision and recall."""
    if "f1" in values or "precision" not in values:
        return values
    p, r = values["precision"], values["recall"]
    return {**values, "f1": 2 * p * r / (p + r)}  # the paper prints the first two


def _diverged(values: dict[Place, Value]) -> str:
    lines = [
        f"- {label(place)}{'' if place.x is None else f', {place.x}'}, seed {seed}: {reason}"
        for place, value in values.items()
        for seed, reason in value.reasons.items()
    ]
    return "Diverged:\n\n" + "\n".join(lines) if lines else ""


def _models(figure: Figure, values: dict[Place, Value]) -> str:
    """How each method sees its inputs, and the layers of deep networks."""
    lines = []
    for name in dict.fromkeys(METHODS[m].inputs for m in figure.methods):
        settings = PAPER.inputs[name][PAPER.data[figure.data].dataset]
        text = ", ".join(f"{key} {value}" for key, value in settings.items())
        used = ", ".join(title(m) for m in figure.methods if METHODS[m].inputs == name)
        lines.append(f"- {text}: {used}")
    text = "Inputs:\n\n" + "\n".join(lines)
    if figure.axis == "layers":
        layers = {place.method: value.layers for place, value in values.items() if value.layers}
        text += "\n\nEach layer:\n\n"
        text += "\n".join(f"- {title(method)}: {words}" for method, words in layers.items())
    return text


def reductions(scale: Scale, data: str, axis: str, schedules: Container[str]) -> list[str]:
    """In words, what a figure on some data has less of than the paper.

    Args:
        scale: of the run.
        data: the figure's data.
        axis: what the figure varies: filters, layers, units or table.
        schedules: kinds of training in the figure.
    """
    full, said = SCALES["full"], []

    def compare(what: str, mine: object, theirs: object) -> None:
        if mine != theirs:
            said.append(f"{what}: {_words(mine)} instead of {_words(theirs)}")

    anomalies = PAPER.data[data].is_anomaly
    labelled = "labelled training rows" if anomalies else "training rows"
    compare(labelled, scale.train_size.get(data, 0) or "all", "all")
    compare("test rows", scale.test_size.get(data, 0) or "all", "all")
    if axis == "filters":
        compare("numbers of filters", scale.filters, full.filters)
        compare("sizes of filters", scale.sizes, full.sizes)
    if axis == "table":
        grid = (full.table_filters, full.sizes)
        mine = (scale.table_filters, scale.sizes) if scale.table_filters else "the paper's best"
        compare("numbers and sizes of filters", mine, grid)
    if axis == "units":
        compare("units", scale.units, full.units)
    if axis == "layers":
        compare("layers", scale.depths, full.depths)
        bound = scale.depth_units if data == BEATS else scale.depth_filters
        compare("units or filters of each layer", f"at most {bound}" if bound else "", "")
    for schedule, name in (("sm", "SM"), ("cd", "CD"), ("ae", "autoencoders"), ("cebm", "CEBM")):
        if schedule in schedules:
            compare(f"epochs, {name}", scale.epochs(data, schedule), full.epochs(data, schedule))
    if "cebm" in schedules:
        compare("Langevin steps of the CEBM's chains", scale.chain_steps, full.chain_steps)
    if not anomalies:
        compare("penalties that the classifier chooses from", scale.probe.l2, full.probe.l2)
        compare(
            "least steps of the classifier", scale.probe.minimum_steps, full.probe.minimum_steps
        )
    return said


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return " by ".join(map(_words, value)) if isinstance(value[0], tuple) else (
            ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
        )  # fmt: skip
    return str(value) or "the paper's best"
