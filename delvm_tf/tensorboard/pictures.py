"""Figures and curves as TensorBoard summaries."""

import io
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.stats import rankdata

from delvm_tf.detection.detector import AnomalyDetector
from delvm_tf.detection.validation import rows_of
from delvm_tf.inputs.arrays import as_array
from delvm_tf.metrics.anomaly import auroc
from delvm_tf.plots import plot_error_histogram, plot_filters, plot_reconstructions, plot_roc_curves


def write_figure(name: str, figure: Any, step: int) -> None:
    """A matplotlib figure as an image summary, under the current writer."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=72)
    image = tf.io.decode_png(buffer.getvalue(), channels=3)
    tf.summary.image(name, image[tf.newaxis], step=step)


def write_filters(model: Any, step: int) -> None:
    """A mosaic of the first layer's filters, if they can be shown as images."""
    kernel = next((w for w in model.trainable_variables if w.name.startswith("kernel")), None)
    if kernel is None:
        return
    shape = model.input_shape_or_none
    try:
        figure = plot_filters(keras.ops.convert_to_numpy(kernel), shape)
    except ValueError:  # filters of vectors, or of many channels
        return
    write_figure("filters", figure, step)


def write_errors(
    model: Any, x: Any, y: np.ndarray | None, normal: Any, step: int
) -> dict[str, float]:
    """Histograms of the reconstruction error; with labels also the threshold, ROC and PR curves.

    Args:
        model: a built model.
        x: validation rows in raw units.
        y: 1 = abnormal, 0 = normal, or None.
        normal: rows whose errors give the threshold, mean + standard deviation; those of x if None.
        step: the epoch.

    Returns:
        Figures written as scalars: threshold and AUROC; the AUROC alone where fewer than two normal
        rows or errors that overflow allow no threshold. Rows whose errors overflow count as the
        most abnormal, and are left out of the pictures.
    """
    detector = AnomalyDetector(model, "mean_std", "reconstruction_error")
    errors = detector.anomaly_score(x)
    shown = np.isfinite(errors)
    kinds = np.zeros(len(x), int) if y is None else y
    for value, name in ((0, "normal"), (1, "abnormal")):
        rows = shown & (kinds == value)
        if rows.any():
            tf.summary.histogram(f"reconstruction error/{name}", errors[rows], step=step)
    if y is None:
        return {}
    try:
        detector.fit(rows_of(x, np.flatnonzero(y == 0)) if normal is None else normal)
    except ValueError:  # one row, or errors that overflow: there is no threshold
        return {"auroc": auroc(y, errors)}
    if len(np.unique(y[shown])) < 2:
        return {"auroc": auroc(y, errors)}
    threshold = detector.threshold_
    label = "reconstruction error"
    write_figure("errors", plot_error_histogram(errors, y, threshold, label), step)
    write_figure("roc", plot_roc_curves(y, {label: errors}), step)
    rebuilt = np.asarray(model.reconstruct(x))
    values = np.asarray(as_array(x))
    figure = plot_reconstructions(values[shown], rebuilt[shown], y[shown], errors[shown], columns=3)
    write_figure("reconstructions", figure, step)
    _write_precision_recall(errors, y, step)
    return {"threshold": threshold, "auroc": auroc(y, errors)}


def _write_precision_recall(scores: np.ndarray, y: np.ndarray, step: int) -> None:
    """For the page of precision and recall; it needs scores in [0, 1], so their ranks enter."""
    from tensorboard.plugins.pr_curve import summary

    ranks = (rankdata(scores) - 1) / max(len(scores) - 1, 1)
    written = summary.pb("precision and recall", y.astype(bool), ranks, num_thresholds=201)
    tf.summary.experimental.write_raw_pb(written.SerializeToString(), step=step)
