"""Figures, drawn with matplotlib (`pip install delvm_tf[plots]`) without a display."""

from delvm_tf.plots.anomaly import plot_error_histogram, plot_reconstructions, plot_roc_curves

__all__ = ["plot_error_histogram", "plot_reconstructions", "plot_roc_curves"]
