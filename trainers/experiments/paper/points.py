"""The points that figures consist of."""

from collections.abc import Sequence
from typing import NamedTuple

from trainers.experiments.paper.cells import Cell, Maker
from trainers.experiments.paper.tables import FIGURES, METHODS, Figure, Scale, published_as


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
        maker = Maker(figure.data, scale, seed)
        for method in figure.methods:
            made += _method_points(figure, maker, method)
        made += [Point(name, None, None, maker.baseline(name)) for name in figure.baselines]
    return made


def _method_points(figure: Figure, maker: Maker, method: str) -> list[Point]:
    scale = maker.scale
    if figure.axis == "units":
        return [Point(method, n, None, maker.one_layer(method, n)) for n in scale.units]
    if figure.axis != "layers":
        filters = scale.filters if figure.axis == "filters" else scale.table_filters
        grid = [(n, size) for size in scale.sizes for n in filters]
        return [
            Point(method, n, size, maker.one_layer(method, n, size))
            for n, size in grid or [figure.best[published_as(method)]]
        ]
    if METHODS[method].model == "cebm":  # its heads belong to one depth
        units = figure.layers.get(method)
        return [
            Point(method, depth, None, maker.cebm(method, depth, units), str(depth))
            for depth in scale.depths
        ]
    cell = maker.stack(method, *figure.layers[published_as(method)])
    return [Point(method, depth, None, cell, str(depth)) for depth in scale.depths]
