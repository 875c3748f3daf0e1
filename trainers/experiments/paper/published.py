"""What the paper gives in numbers; all else it shows in pictures only."""

from typing import NamedTuple


class Published(NamedTuple):
    """A result of the paper.

    Attributes:
        method: name in `METHODS`; the objective as printed shares it.
        x: filters, units or layers.
        size: side of the filters, or None.
        values: in percent, by name.
    """

    method: str
    x: int
    size: int | None
    values: dict[str, float]


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "fig7": (
        Published("sm-delvm", 2048, None, {"precision": 90.57, "recall": 99.46}),
        Published("cd-delvm", 512, None, {"precision": 90.5, "recall": 90.18}),
        Published("ae", 256, None, {"precision": 96.24, "recall": 91.43}),
    ),
    "fig8": (Published("sm-delvm", 4, None, {"f1": 96.46}),),
    "table1": (
        Published("sm-delvm", 70, 7, {"precision": 74.39, "recall": 99.67, "f1": 85.23}),
        Published("cd-delvm", 70, 3, {"precision": 74.44, "recall": 99.52, "f1": 85.17}),
        Published("cae", 50, 5, {"precision": 74.15, "recall": 98.91, "f1": 84.76}),
    ),
}

# Number and side of the filters that the paper finds best.
BEST_SIZES: dict[str, dict[str, tuple[int, int]]] = {
    "fig1": {"sm-delvm": (70, 5), "cd-delvm": (80, 9)},
    "fig2": {"sm-delvm": (70, 5), "sm-dem": (20, 5)},
    "fig4": {"sm-delvm": (80, 3), "cd-delvm": (60, 7)},
    "table1": {"sm-delvm": (70, 7), "cd-delvm": (70, 3), "cae": (50, 5)},
}

METHOD_OF = {"sm-delvm-printed": "sm-delvm", "sm-dem-printed": "sm-dem"}


def published_as(method: str) -> str:
    """The method under the name that the paper's numbers have."""
    return METHOD_OF.get(method, method)
