"""Figures of what makes an example abnormal."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from delvm_tf.plots.figure import new_figure
from delvm_tf.plots.labels import legend_beside
from delvm_tf.plots.palette import ABNORMAL_COLOR, NORMAL_COLOR

LETTER = 0.08  # inches of a letter


def plot_explanation(
    x: Any, contributions: Any, expected: Any = None, names: Sequence[str] | None = None,
    most: int = 10,
) -> Any:  # fmt: skip
    """One example and the contributions of its values to the anomaly score.

    With names the columns that contribute most, as bars with their values and what they should have
    been; a series without names as a line over a band of contributions; an image beside a map of
    them.

    Args:
        x: the example in raw units, (d,) or (height, width, channels).
        contributions: shape of x.
        expected: what it should have been, shape of x, or None.
        names: of the d columns.
        most: columns shown.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if shapes differ.

    Examples:
        >>> detector = dv.AnomalyDetector(model).fit(x)
        >>> explained = detector.explain(x[:1])
        >>> figure = dv.plots.plot_explanation(
        ...     x[0], explained.contributions[0], explained.expected[0], names=list("abcdef")
        ... )
        >>> figure.savefig("explanation.png")
    """
    x, contributions = np.asarray(x), np.asarray(contributions)
    if x.shape != contributions.shape or x.ndim not in (1, 3):
        raise ValueError(
            f"expected an example (d,) or (height, width, channels) and its contributions, got "
            f"shapes {x.shape} and {contributions.shape}"
        )
    if names is not None and (x.ndim != 1 or len(names) != len(x)):
        raise ValueError(f"expected names of the {x.shape} values, got {len(names)}")
    if x.ndim == 3:
        return _image(x, contributions, expected)
    return _series(x, contributions, expected) if names is None else _bars(
        x, contributions, expected, names, most
    )  # fmt: skip


def _bars(x: Any, contributions: Any, expected: Any, names: Sequence[str], most: int) -> Any:
    order = np.argsort(-np.abs(contributions))[:most][::-1]
    labels = [f"{names[k]} = {x[k]:.4g}" for k in order]
    if expected is not None:
        labels = [
            f"{label} (expected {expected[k]:.4g})" for label, k in zip(labels, order, strict=True)
        ]
    longest = max(map(len, labels))
    figure, axes = new_figure(min(4.0 + LETTER * longest, 10.0), 0.8 + 0.35 * len(order))
    ax = axes[0, 0]
    colors = [ABNORMAL_COLOR if contributions[k] > 0 else NORMAL_COLOR for k in order]
    ax.barh(range(len(order)), contributions[order], color=colors)
    ax.set_yticks(range(len(order)), labels)
    ax.set_xlabel("contribution to the anomaly score")
    return figure


def _series(x: Any, contributions: Any, expected: Any) -> Any:
    figure, axes = new_figure(7.0, 3.5)
    ax = axes[0, 0]
    ax.plot(x, color="black", label="as it is")
    if expected is not None:
        ax.plot(np.asarray(expected), color=NORMAL_COLOR, linestyle="--", label="as expected")
    low, high = ax.get_ylim()
    ax.imshow(
        np.maximum(contributions, 0)[np.newaxis], aspect="auto", cmap="Reds", alpha=0.6,
        extent=(-0.5, len(x) - 0.5, low, high), zorder=0,
    )  # fmt: skip
    ax.set_xlabel("place (red: contributes to the anomaly score)")
    legend_beside(ax, columns=2)
    return figure


def _image(x: Any, contributions: Any, expected: Any) -> Any:
    shown = [("as it is", x)] + ([] if expected is None else [("as expected", expected)])
    figure, axes = new_figure(2.6 * (len(shown) + 1), 2.8, 1, len(shown) + 1)
    low, high = float(x.min()), float(x.max())
    for ax, (title, image) in zip(axes[0], shown, strict=False):
        scaled = np.clip((np.asarray(image) - low) / max(high - low, 1e-12), 0, 1)
        ax.imshow(scaled if x.shape[-1] == 3 else scaled[..., 0], cmap="gray", vmin=0, vmax=1)
        ax.set_title(title)
    heat = contributions.sum(axis=-1)
    size = max(np.abs(heat).max(), 1e-12)
    drawn = axes[0, -1].imshow(heat, cmap="RdBu_r", vmin=-size, vmax=size)
    figure.colorbar(drawn, ax=axes[0, -1], shrink=0.8)
    axes[0, -1].set_title("contributions")
    for ax in axes[0]:
        ax.set_axis_off()
    return figure
