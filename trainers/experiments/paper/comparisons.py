"""What the numbers of a figure say about the paper's claims, in words."""

import numpy as np

from trainers.experiments.paper.tables import FIGURES, METHODS, Figure, published_as, title
from trainers.experiments.paper.values import Place, Value

Values = dict[Place, Value]


def compare(values: Values, first: str, second: str, measure: str) -> str:
    """How often, and by how much on average, the first method is ahead at the same place.

    Where the size of the filters is each method's own, places are told apart by x alone, and in a
    table not at all. A place at which one of the two diverged under all seeds is left out.
    """
    pairs = [
        (value.mean(measure), other.mean(measure))
        for place, value in values.items()
        if place.method == first
        for other in [_partner(values, place, second)]
        if other is not None and not value.diverged and not other.diverged
    ]
    if not pairs:
        return f"{title(first)} against {title(second)}: nothing to compare."
    gaps = np.array([a - b for a, b in pairs])
    return (
        f"{title(first)} against {title(second)}: ahead at {int((gaps > 0).sum())} of "
        f"{len(gaps)} places, by {gaps.mean():+.2f} points on average."
    )


def _partner(values: Values, place: Place, method: str) -> Value | None:
    same = values.get(Place(method, place.size, place.x))
    if same is not None:
        return same
    own = [p for p in values if p.method == method]
    return values[own[0]] if len(own) == 1 else None


def claims(figure: Figure, values: Values) -> str:
    """A line for each comparison that the paper makes."""
    measure = figure.measures[0]
    lines = [f"- {compare(values, *pair, measure)}" for pair in figure.comparisons]
    return f"Comparisons ({measure}):\n\n" + "\n".join(lines)


def beside_random(figure: Figure, values: Values) -> str:
    """A line for each trained method that has an untrained twin in the figure."""
    pairs = [
        (method, twin)
        for method in figure.methods
        for twin in (METHODS[method].twin, "random-cd" if method == "cd-delvm" else "")
        if twin in figure.methods
    ]
    lines = []
    for method, twin in pairs:
        shapes = {value.layers for place, value in values.items() if place.method == method}
        twins = {value.layers for place, value in values.items() if place.method == twin}
        if shapes == twins:
            lines.append(f"- {compare(values, method, twin, figure.measures[0])}")
    return "Against the same network untrained:\n\n" + "\n".join(lines) if lines else ""


def best_of_grid(name: str, values: Values) -> str:
    """The best size of each method beside the paper's; empty for figures without a choice."""
    figure = FIGURES[name]
    if not figure.best:
        return ""
    measure = figure.measures[0]
    lines = []
    for method in dict.fromkeys(p.method for p in values if p.size is not None):
        places = [p for p in values if p.method == method and not values[p].diverged]
        if published_as(method) not in figure.best or not places:
            continue
        best = max(places, key=lambda p: values[p].mean(measure))
        filters, size = figure.best[published_as(method)]
        lines.append(
            f"- {title(method)}: {best.x} of {best.size}×{best.size} "
            f"({values[best].text(measure)}%); the paper: {filters} of {size}×{size}"
        )
    return (
        f"Best number and size of filters among those that were run, by {measure} on the test set "
        f"as in the paper, hence flattering:\n\n" + "\n".join(lines)
    )
