"""The figures as declarations, and the points that they consist of."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from trainers.experiments.paper import recipes
from trainers.experiments.paper.cells import Cell
from trainers.experiments.paper.methods import ANOMALY_BASELINES, FEATURE_BASELINES, METHODS
from trainers.experiments.paper.published import BEST_SIZES, published_as
from trainers.experiments.paper.scales import BEATS, CIFAR, CIFAR_ANOMALIES, FASHION, Scale


@dataclasses.dataclass(frozen=True)
class Figure:
    """What a figure of the paper compares.

    Attributes:
        title: what it shows.
        claim: what the paper reads from it.
        data: which data, see `scales`.
        axis: `"filters"`, `"layers"`, `"units"` or `"table"`.
        methods: names in `METHODS`.
        comparisons: pairs of methods, of which the paper says that the first is better.
        best: by method, filters and size, or units, of each layer of deep networks.
    """

    title: str
    claim: str
    data: str
    axis: str
    methods: tuple[str, ...]
    comparisons: tuple[tuple[str, str], ...]
    best: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def measures(self) -> tuple[str, ...]:
        """What is tabulated, the one that is drawn first."""
        anomalies = self.data in (BEATS, CIFAR_ANOMALIES)
        return ("f1", "auroc", "precision", "recall") if anomalies else ("accuracy",)


class Point(NamedTuple):
    """Where a figure reads a number.

    Attributes:
        method: name in `METHODS`, or of a baseline.
        x: filters, layers or units; None for a baseline, which depends on none.
        size: side of the filters where it varies, else None.
        cell: where the number comes from.
        entry: which of the cell's results: a number of layers.
    """

    method: str
    x: int | None
    size: int | None
    cell: Cell
    entry: str = "1"


_SM_CD = ("sm-delvm", "sm-delvm-printed", "cd-delvm")
_DEM = ("sm-dem", "sm-dem-printed")
_RANDOM = ("random", "random-paper")
_OVER_CD = (("sm-delvm", "cd-delvm"), ("sm-delvm-printed", "cd-delvm"))
_OVER_DEM = (("sm-delvm", "sm-dem"), ("sm-delvm-printed", "sm-dem-printed"))
_OVER_AE = (("sm-delvm", "ae"), ("sm-delvm-printed", "ae"))
_OVER_CEBM = (("sm-delvm", "cebm"), ("sm-delvm-printed", "cebm"))
_DEEP = (*_SM_CD, *_DEM, "cebm", *_RANDOM, "random-cd")


def _deep_best(source: str, dem: tuple[int, int]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The paper's best sizes; a DEM's, which it gives for Fashion-MNIST; and untrained twins."""
    sizes = BEST_SIZES[source]
    sm, cd = sizes["sm-delvm"], sizes["cd-delvm"]
    twins = {"random": sm, "random-paper": sm, "random-cd": cd}
    return tuple({**sizes, "sm-dem": dem, **twins}.items())


FIGURES = {
    "fig1": Figure(
        "Features of Fashion-MNIST, one layer: SM-DELVM and CD-DELVM by number and size of filters",
        "SM is better than CD at the same number and size of filters.",
        FASHION, "filters", (*_SM_CD, *_RANDOM), _OVER_CD,
    ),
    "fig2": Figure(
        "Features of Fashion-MNIST, one layer: SM-DELVM and SM-DEM by number and size of filters",
        "DELVM improves with the number of filters and is better than DEM, which gets worse.",
        FASHION, "filters", ("sm-delvm", "sm-delvm-printed", *_DEM, *_RANDOM), _OVER_DEM,
    ),
    "fig3": Figure(
        "Features of Fashion-MNIST by number of layers",
        "SM is best at two layers; SM-DELVM is better than CD-DELVM, CEBM and DEM, in that order.",
        FASHION, "layers", _DEEP, (*_OVER_CD, *_OVER_CEBM, *_OVER_DEM),
        _deep_best("fig1", (20, 5)),
    ),
    "fig4": Figure(
        "Features of CIFAR-10, one layer: SM-DELVM and CD-DELVM by number and size of filters",
        "SM and CD are nearly the same; both improve with the number of filters.",
        CIFAR, "filters", (*_SM_CD, *_RANDOM), _OVER_CD,
    ),
    "fig5": Figure(
        "Features of CIFAR-10, one layer: SM-DELVM and SM-DEM by number and size of filters",
        "DELVM is better than DEM for every number of filters; sizes 3 and 5 are the best.",
        CIFAR, "filters", ("sm-delvm", "sm-delvm-printed", *_DEM, *_RANDOM), _OVER_DEM,
    ),
    "fig6": Figure(
        "Features of CIFAR-10 by number of layers",
        "From two layers on SM is a little better than CD; both are better than CEBM and DEM.",
        CIFAR, "layers", _DEEP, (*_OVER_CD, *_OVER_CEBM, *_OVER_DEM),
        _deep_best("fig4", (80, 3)),
    ),
    "fig7": Figure(
        "Abnormal heartbeats, one layer, by number of units",
        "SM-DELVM is better than CD-DELVM and AE for every number of units.",
        BEATS, "units", (*_SM_CD, "ae"),
        (*_OVER_CD, *_OVER_AE),
    ),
    "fig8": Figure(
        "Abnormal heartbeats by number of layers",
        "SM-DELVM is much better than CD-DELVM and CEBM and level with AE.",
        BEATS, "layers", (*_SM_CD, "ae", "cebm"), (*_OVER_CD, *_OVER_CEBM, *_OVER_AE),
        (("sm-delvm", (2048,)), ("cd-delvm", (512,)), ("ae", (256,)), ("cebm", (2048,))),
    ),
    "table1": Figure(
        "Anomalies of CIFAR-10, one layer, at the best number and size of filters",
        "F1 of SM-DELVM is above that of CD-DELVM, and both are above CAE's.",
        CIFAR_ANOMALIES, "table", (*_SM_CD, "cae"), (*_OVER_CD, ("cd-delvm", "cae")),
    ),
    "fig9": Figure(
        "Anomalies of CIFAR-10 by number of layers",
        "DELVM is better than CAE for every number of layers, and SM better than CD.",
        CIFAR_ANOMALIES, "layers", (*_SM_CD, "cae", "cebm"),
        (*_OVER_CD, ("cd-delvm", "cae")), tuple(BEST_SIZES["table1"].items()),
    ),
}  # fmt: skip


def points(name: str, scale: Scale, seeds: Sequence[int] | None = None) -> list[Point]:
    """All points of a figure, the baselines last.

    Args:
        name: in `FIGURES`.
        scale: size of the run.
        seeds: the scale's own if None.
    """
    figure = FIGURES[name]
    made: list[Point] = []
    for seed in seeds if seeds is not None else scale.seeds(figure.data):
        recipe = recipes.Recipe(figure.data, scale, seed)
        for method in figure.methods:
            made += _method_points(name, figure, recipe, method)
        anomalies = figure.data in (BEATS, CIFAR_ANOMALIES)
        for baseline in ANOMALY_BASELINES if anomalies else FEATURE_BASELINES:
            made.append(Point(baseline, None, None, recipe.baseline(baseline)))
    return made


def _method_points(
    name: str, figure: Figure, recipe: recipes.Recipe, method: str
) -> list[Point]:  # fmt: skip
    scale = recipe.scale
    if figure.axis == "filters" or (figure.axis == "table" and scale.table_filters):
        filters = scale.filters if figure.axis == "filters" else scale.table_filters or ()
        return [
            Point(method, n, size, recipe.one_layer(method, n, size))
            for size in scale.sizes
            for n in filters
        ]
    if figure.axis == "table":
        n, size = BEST_SIZES[name][published_as(method)]
        return [Point(method, n, size, recipe.one_layer(method, n, size))]
    if figure.axis == "units":
        return [Point(method, n, None, recipe.one_layer(method, n)) for n in scale.units]
    if METHODS[method].model == "cebm":  # its heads belong to one depth
        units = dict(figure.best).get(method)
        return [
            Point(method, depth, None, recipe.cebm(method, depth, units), str(depth))
            for depth in scale.depths
        ]
    cell = recipe.stack(method, *dict(figure.best)[published_as(method)])
    return [Point(method, depth, None, cell, str(depth)) for depth in scale.depths]
