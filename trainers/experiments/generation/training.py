"""Training the models that draw images."""

import math
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.storage.ownership import whole
from trainers.experiments.features import as_inputs
from trainers.experiments.generation.recipes import GenerationRecipe

MODEL = "model.keras"


def trained(
    recipe: GenerationRecipe, images: np.ndarray, seed: int, folder: Path, console: Console
) -> ReconstructionModel:
    """The model of a recipe, or the one that the folder has from before.

    Args:
        recipe: model and training; the learning rate falls towards 0 as a cosine.
        images: to learn from, in raw units, (n, height, width, channels).
        seed: of weights, order and noise.
        folder: keeps the model.
        console: is told that it was there.

    Raises:
        TrainingDiverged: if it ran away.
    """
    path = folder / MODEL
    if path.exists():
        console.print(f"  {recipe.title}: trained before the interruption", highlight=False)
        return keras.models.load_model(path)
    rate = recipe.learning_rate
    assert isinstance(rate, float)  # of all layers together

    def falling(epoch: int, _: float) -> float:
        return 0.5 * rate * (1 + math.cos(math.pi * epoch / recipe.epochs))

    schedule = keras.callbacks.LearningRateScheduler(falling)
    x = as_inputs(np.asarray(images, np.float32), recipe.of_images)
    model = recipe.train(x, seed, callbacks=[schedule])
    with whole(path) as partial:
        model.save(partial)
    return model
