"""Figures, drawn with matplotlib (`pip install delvm_tf[plots]`) without a display."""

from delvm_tf.plots.anomaly import plot_error_histogram, plot_reconstructions, plot_roc_curves
from delvm_tf.plots.explanation import plot_explanation
from delvm_tf.plots.filters import plot_filters

__all__ = [
    "plot_error_histogram",
    "plot_explanation",
    "plot_filters",
    "plot_reconstructions",
    "plot_roc_curves",
]
