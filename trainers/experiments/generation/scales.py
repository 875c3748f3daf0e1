"""How large a run is."""

import dataclasses
import math
from typing import NamedTuple

from trainers.experiments.generation.recipes import GenerationRecipe


class Scale(NamedTuple):
    """Numbers that decide how long a run takes.

    Attributes:
        train_size: training images for the methods; 0 for all, as of a set that has fewer.
        images: drawn images to judge, and real ones to compare them with.
        classifier_steps: of the classifier whose features judge.
        told_steps: of each classifier that tells pixels of drawn images from real ones.
        train_steps: factor on the steps of the optimizer.
        steps: factor on the steps of samplers.
    """

    train_size: int
    images: int
    classifier_steps: int
    told_steps: int
    train_steps: float = 1.0
    steps: float = 1.0

    def applied(self, recipe: GenerationRecipe) -> GenerationRecipe:
        """A recipe with its steps at this scale, one or more of each."""
        return dataclasses.replace(
            recipe,
            train_steps=math.ceil(self.train_steps * recipe.train_steps),
            steps=max(1, math.ceil(self.steps * recipe.steps)),
        )


SCALES = {
    "smoke": Scale(300, 64, 60, 20, train_steps=5e-4, steps=0.05),
    "cpu": Scale(10_000, 2000, 600, 200),
    "full": Scale(0, 10_000, 3000, 600, train_steps=4.0),
}
