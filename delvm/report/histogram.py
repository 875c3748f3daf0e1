"""A histogram of anomaly scores as SVG, which stands in a page without further files."""

import html
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from delvm_tf.plots.palette import ABNORMAL_COLOR, NORMAL_COLOR, SKY

WIDTH, HEIGHT = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 30, 45
BINS, TICKS = 40, 7
COLOURS = (NORMAL_COLOR, SKY, ABNORMAL_COLOR)


class Scale(NamedTuple):
    """Where scores lie: asinh((s − middle) / unit), even in the middle and logarithmic far off.

    Scores of abnormal rows may be a million times those of normal ones.
    """

    middle: float
    unit: float
    low: float
    high: float

    @classmethod
    def of(cls, reference: np.ndarray, scores: np.ndarray) -> "Scale":
        """The scale of all finite scores, by the quartiles of the reference."""
        lower, middle, upper = np.percentile(reference, (25, 50, 75))
        unit = max(float(upper - lower), 1e-6 * max(1.0, abs(float(middle))))
        ends = np.arcsinh((np.array([scores.min(), scores.max()]) - middle) / unit)
        margin = 0.02 * max(float(ends[1] - ends[0]), 1e-3)
        return cls(float(middle), unit, float(ends[0]) - margin, float(ends[1]) + margin)

    def place(self, scores: np.ndarray | float) -> np.ndarray:
        """From 0 at the left to 1 at the right."""
        return (np.arcsinh((scores - self.middle) / self.unit) - self.low) / (self.high - self.low)

    def score(self, place: float) -> float:
        """The score at a place."""
        at = self.low + place * (self.high - self.low)
        return float(self.middle + self.unit * np.sinh(at))


def histogram(scores: Mapping[str, np.ndarray], threshold: float) -> str:
    """The shares of several kinds of rows by their scores, with the threshold.

    Args:
        scores: by the name of the kind, (n,) each; the first sets the scale. Infinite ones are
            left out.
        threshold: drawn as a line.
    """
    finite = {name: values[np.isfinite(values)] for name, values in scores.items()}
    finite = {name: values for name, values in finite.items() if len(values)}
    everything = np.concatenate([*finite.values(), [threshold]])
    scale = Scale.of(next(iter(finite.values())), everything)
    edges = np.linspace(0, 1, BINS + 1)
    shares = {n: np.histogram(scale.place(v), edges)[0] / len(v) for n, v in finite.items()}
    top = max(float(share.max()) for share in shares.values())
    parts = [_axes(scale, top)]
    for k, (name, share) in enumerate(shares.items()):
        parts.append(_area(edges, share / top, COLOURS[k % len(COLOURS)]))
        parts.append(_key(k, f"{name} ({len(scores[name]):,})", COLOURS[k % len(COLOURS)]))
    x = _x(float(scale.place(threshold)))
    bottom = HEIGHT - BOTTOM
    parts.append(
        f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#222" '
        f'stroke-dasharray="5 4"/>'
        f'<text x="{x:.1f}" y="{TOP - 8}" text-anchor="middle">threshold {threshold:.4g}</text>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="histogram of anomaly scores">{"".join(parts)}</svg>'
    )


def _x(place: float) -> float:
    return LEFT + place * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _axes(scale: Scale, top: float) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    lines = [f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#888"/>']
    for place in np.linspace(0, 1, TICKS):
        x = _x(float(place))
        lines.append(
            f'<line x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 5}" stroke="#888"/>'
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">'
            f"{scale.score(float(place)):.3g}</text>"
        )
    lines.append(
        f'<text x="{LEFT - 6}" y="{TOP + 4}" text-anchor="end">{top:.0%}</text>'
        f'<text x="{LEFT - 6}" y="{bottom + 4}" text-anchor="end">0</text>'
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"anomaly score</text>"
    )
    return "".join(lines)


def _area(edges: np.ndarray, shares: np.ndarray, colour: str) -> str:
    steps = "".join(
        f"V{_y(float(share)):.1f}H{_x(float(end)):.1f}"
        for share, end in zip(shares, edges[1:], strict=True)
    )
    return (
        f'<path d="M{_x(0):.1f} {_y(0):.1f}{steps}V{_y(0):.1f}Z" fill="{colour}" '
        f'fill-opacity="0.35" stroke="{colour}"/>'
    )


def _key(number: int, text: str, colour: str) -> str:
    y = TOP + 14 + 18 * number
    return (
        f'<rect x="{WIDTH - 260}" y="{y - 9}" width="12" height="12" fill="{colour}" '
        f'fill-opacity="0.6"/><text x="{WIDTH - 242}" y="{y + 1}">{html.escape(text)}</text>'
    )
