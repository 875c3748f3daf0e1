"""From model to service: SavedModels for TensorFlow Serving."""

from delvm_tf.serving.export import export_saved_model

__all__ = ["export_saved_model"]
