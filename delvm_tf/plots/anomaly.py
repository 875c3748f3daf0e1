"""Figures of anomaly detection."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score, roc_curve

from delvm_tf.plots.figure import new_figure
from delvm_tf.plots.labels import TEXT, legend_beside, round_ticks
from delvm_tf.plots.palette import ABNORMAL_COLOR, NORMAL_COLOR, line_look

ROOM = 0.2  # inches of a line of a legend


def plot_error_histogram(scores: Any, y: Any, threshold: float, label: str) -> Any:
    """Histogram of anomaly scores, normal against abnormal, with the threshold.

    Args:
        scores: anomaly scores, (n,); infinite ones are counted in the legend, not drawn.
        y: labels, (n,), 1 = abnormal.
        threshold: drawn as a line.
        label: of the axis, which is logarithmic if all scores are positive.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: if no score is finite.

    Examples:
        >>> detector = dv.AnomalyDetector(model).fit(x)
        >>> figure = dv.plots.plot_error_histogram(
        ...     detector.anomaly_score(x), np.arange(64) % 2, detector.threshold_, "error"
        ... )
        >>> figure.savefig("histogram.png")
    """
    scores, y = np.asarray(scores, np.float64), np.asarray(y)
    finite = np.isfinite(scores)
    if not finite.any():
        raise ValueError(f"none of {len(scores)} scores is finite, nothing to draw")
    beyond = {value: int(np.sum(~finite & (y == value))) for value in (0, 1)}
    scores, y = scores[finite], y[finite]
    figure, axes = new_figure()
    ax = axes[0, 0]
    positive = scores.min() > 0 and threshold > 0
    low, high = scores.min(), scores.max()
    bins = np.geomspace(low, high, 80) if positive else np.linspace(low, high, 80)
    if (np.diff(bins) <= 0).any():  # equal scores, up to rounding
        bins = np.array([low - 0.5 * max(abs(low), 1.0), high + 0.5 * max(abs(high), 1.0)])
    for value, name, color in ((0, "normal", NORMAL_COLOR), (1, "abnormal", ABNORMAL_COLOR)):
        name += f", {beyond[value]} infinite" if beyond[value] else ""
        ax.hist(scores[y == value], bins, alpha=0.6, label=name, color=color)
    ax.axvline(threshold, color="black", linestyle="--", label=f"threshold {threshold:.3g}")
    if positive:
        ax.set_xscale("log")
        round_ticks(ax.xaxis)
    ax.set_xlabel(label)
    ax.set_ylabel("examples")
    legend_beside(ax, columns=3)
    return figure


def plot_roc_curves(y: Any, scores: Mapping[str, Any]) -> Any:
    """ROC curves of several methods, named below the panel, the highest AUROC first.

    Args:
        y: labels, (n,), 1 = abnormal.
        scores: anomaly scores, (n,), by the name of the method; they may be infinite.

    Returns:
        A matplotlib figure, with the AUROC of each method in the legend.

    Examples:
        >>> scores = {"error": model.reconstruction_error(x), "energy": model.energy(x)}
        >>> figure = dv.plots.plot_roc_curves(np.arange(64) % 2, scores)
        >>> figure.savefig("roc.png")
    """
    figure, axes = new_figure(6.0, 4.6 + ROOM * len(scores))
    ax = axes[0, 0]
    # A curve depends on the order of the scores alone.
    ranks = {name: rankdata(values) for name, values in scores.items()}
    areas = {name: float(roc_auc_score(y, values)) for name, values in ranks.items()}
    for number, name in enumerate(sorted(areas, key=lambda name: -areas[name])):
        false_alarms, recall, _ = roc_curve(y, ranks[name])
        look = {**line_look(number), "marker": ""}
        ax.plot(false_alarms, recall, label=f"{name} ({areas[name]:.4f})", lw=1.8, **look)
    ax.set_xscale("symlog", linthresh=0.01)
    ax.set_xticks([0, 0.01, 0.1, 1], ["0", "0.01", "0.1", "1"])
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("false alarms among normal examples")
    ax.set_ylabel("abnormal examples found")
    legend_beside(ax, "AUROC", below=True)
    return figure


def plot_reconstructions(
    x: Any, rebuilt: Any, y: Any, scores: Any, label: str = "error", columns: int = 4
) -> Any:
    """Some inputs with their reconstructions, normal ones above, abnormal ones below.

    Args:
        x: inputs in raw units, (n, length) or images (n, height, width, channels).
        rebuilt: reconstructions, shape of x.
        y: labels, (n,), 1 = abnormal.
        scores: anomaly scores, (n,), for the titles.
        label: of the scores.
        columns: examples of each class, spread evenly from the lowest to the highest score.

    Returns:
        A matplotlib figure.

    Examples:
        >>> errors = model.reconstruction_error(x)
        >>> figure = dv.plots.plot_reconstructions(
        ...     x, model.reconstruct(x), np.arange(64) % 2, errors, columns=2
        ... )
        >>> figure.savefig("reconstructions.png")
    """
    x, rebuilt, y, scores = map(np.asarray, (x, rebuilt, y, scores))
    figure, axes = new_figure(2.6 * columns, 4.8, 2, columns)
    for row, (value, name) in enumerate(((0, "normal"), (1, "abnormal"))):
        members = np.flatnonzero(y == value)
        if len(members) == 0:
            raise ValueError(f"there is no {name} example (label {value}) to show")
        members = members[np.argsort(scores[members])]
        chosen = members[np.linspace(0, len(members) - 1, columns).astype(int)]
        for ax, index in zip(axes[row], chosen, strict=True):
            ax.set_title(f"{name}, {label} {scores[index]:.3g}", fontsize=TEXT)
            if x.ndim == 2:
                ax.plot(x[index], color=NORMAL_COLOR, label="input")
                ax.plot(rebuilt[index], color=ABNORMAL_COLOR, lw=1, label="reconstruction")
            else:
                # One brightness scale for both; black is 0 unless there are lower values.
                low, high = min(0.0, x[index].min()), 255 if x[index].max() > 16 else x[index].max()
                pair = np.concatenate([x[index], rebuilt[index]], axis=1, dtype="float64")
                pair = np.clip((pair - low) / max(float(high) - float(low), 1e-9), 0, 1)
                ax.imshow(np.squeeze(pair), cmap="gray", vmin=0, vmax=1)
                ax.set_axis_off()
    if x.ndim == 2:
        legend_beside(axes[0, 0], columns=2, below=True)
    return figure
