"""The colours and signs of all pictures; those who see no red or green tell them apart too.

Source: Okabe and Ito (2008), Color universal design.
"""

from typing import Any

BLACK = "#000000"
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
GREY = "#8C8C8C"
COLORS = {
    "blue": BLUE, "orange": ORANGE, "green": GREEN, "vermillion": VERMILLION, "purple": PURPLE,
    "sky": SKY, "black": BLACK,
}  # fmt: skip
PALETTE = tuple(COLORS.values())
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))

NORMAL_COLOR = BLUE
ABNORMAL_COLOR = VERMILLION
HOLLOW = {"markerfacecolor": "white"}


def line_look(number: int) -> dict[str, Any]:
    """Colour, dashes and marker of a line, different for 28 lines and in two ways between many."""
    return {
        "color": PALETTE[number % len(PALETTE)], "linestyle": DASHES[number % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
    }  # fmt: skip


def family_look(color: str, member: int) -> dict[str, Any]:
    """The look of a line of a family, which shares its colour and marker.

    Args:
        color: of the family, in `COLORS`.
        member: its number in the family; the first is solid and filled, others dashed and hollow.
    """
    look = {
        "color": COLORS[color], "marker": MARKERS[[*COLORS].index(color)],
        "linestyle": DASHES[member % len(DASHES)],
    }  # fmt: skip
    return look | (HOLLOW if member else {})
