"""All models and objectives by name, as programs, searches and comparisons ask for them."""

from delvm_tf.catalog.models import MODELS, ModelKind, make_model
from delvm_tf.catalog.objectives import OBJECTIVES, ObjectiveKind, make_objective
from delvm_tf.catalog.recipe import Detection, Recipe, Recipes, default_recipe
from delvm_tf.catalog.specification import Specification

__all__ = [
    "MODELS",
    "OBJECTIVES",
    "Detection",
    "ModelKind",
    "ObjectiveKind",
    "Recipe",
    "Recipes",
    "Specification",
    "default_recipe",
    "make_model",
    "make_objective",
]
