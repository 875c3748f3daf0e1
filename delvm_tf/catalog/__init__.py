"""All models and objectives by name, as programs, searches and comparisons ask for them."""

from delvm_tf.catalog.models import MODELS, ModelKind, make_model
from delvm_tf.catalog.objectives import OBJECTIVES, ObjectiveKind, make_objective
from delvm_tf.catalog.specification import Specification

__all__ = [
    "MODELS",
    "OBJECTIVES",
    "ModelKind",
    "ObjectiveKind",
    "Specification",
    "make_model",
    "make_objective",
]
