"""From model to service: SavedModels for TensorFlow Serving."""

from delvm_tf.serving.client import Client
from delvm_tf.serving.drift import DriftMonitor, ScoreHistogram
from delvm_tf.serving.errors import (
    RequestRefusedError,
    ServerError,
    ServerUnavailableError,
)
from delvm_tf.serving.export import export_saved_model
from delvm_tf.serving.model_card import ModelCard
from delvm_tf.serving.onnx_export import export_onnx
from delvm_tf.serving.rethreshold import set_threshold
from delvm_tf.serving.saved import ServedModel, load
from delvm_tf.storage.ownership import DamagedModelError

__all__ = [
    "Client",
    "DamagedModelError",
    "DriftMonitor",
    "ModelCard",
    "RequestRefusedError",
    "ScoreHistogram",
    "ServedModel",
    "ServerError",
    "ServerUnavailableError",
    "export_onnx",
    "export_saved_model",
    "load",
    "set_threshold",
]
