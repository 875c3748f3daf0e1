"""Recipes of models that draw images: how they are trained, and how they are drawn from."""

import dataclasses
from typing import Any

from delvm_tf.catalog import MODELS, Recipe


@dataclasses.dataclass(frozen=True)
class GenerationRecipe(Recipe):
    """A recipe, and how images are drawn.

    Attributes:
        sampler: its `name` and settings; the model's usual one if empty.
        steps: of each chain.
        train_steps: of the optimizer, in place of epochs; 0 for epochs.
    """

    sampler: dict[str, Any] = dataclasses.field(default_factory=dict)
    steps: int = 1000
    train_steps: int = 0

    @property
    def of_images(self) -> bool:
        """Whether the network takes images, and not vectors of pixels."""
        return "filters" in self.model_settings or "channels" in self.model_settings

    @property
    def of_all_levels(self) -> bool:
        """Whether the model is an energy of all noise levels."""
        return "network" in MODELS[self.model].layers and MODELS[self.model].layers != "network"
