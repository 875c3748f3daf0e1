"""Training the models that draw images."""

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.storage.ownership import whole
from delvm_tf.training.backups import Backup, backed_up_epoch
from trainers.experiments.features import as_inputs
from trainers.experiments.generation.recipes import GenerationRecipe

MODEL = "model.keras"
BACKUP = "backup"
STEPS_OF_A_BACKUP = 250
WARM_UP = 0.02  # share of the steps in which the learning rate rises
AVERAGE = 0.999  # what a step keeps of the moving average of the weights


def trained(
    recipe: GenerationRecipe, images: np.ndarray, seed: int, folder: Path, console: Console
) -> ReconstructionModel:
    """The model of a recipe, or the one that the folder has from before.

    Args:
        recipe: model and training; the learning rate falls towards 0 as a cosine.
        images: to learn from, in raw units, (n, height, width, channels).
        seed: of weights, order and noise.
        folder: keeps the model, and while it is trained a backup to go on from.
        console: is told how far it is.

    Raises:
        TrainingDiverged: if it ran away.
    """
    path = folder / MODEL
    if path.exists():
        console.print(f"  {recipe.title}: trained before the interruption", highlight=False)
        return keras.models.load_model(path)
    x = as_inputs(np.asarray(images, np.float32), recipe.of_images)
    train = trained_by_steps if recipe.train_steps else trained_by_epochs
    model = train(recipe, x, seed, folder / BACKUP, console)
    with whole(path) as partial:
        model.save(partial)
    return model


def trained_by_epochs(
    recipe: GenerationRecipe, x: np.ndarray, seed: int, *_: Any
) -> ReconstructionModel:
    """The model after the epochs of its recipe."""
    rate = recipe.learning_rate
    assert isinstance(rate, float)  # of all layers together

    def falling(epoch: int, _: float) -> float:
        return 0.5 * rate * (1 + math.cos(math.pi * epoch / recipe.epochs))

    return recipe.train(x, seed, callbacks=[keras.callbacks.LearningRateScheduler(falling)])


def trained_by_steps(
    recipe: GenerationRecipe, x: np.ndarray, seed: int, backup: Path, console: Console
) -> ReconstructionModel:
    """The model after the steps of its recipe, with the moving average of its weights.

    An interrupted run goes on from its last backup, with other noise and another order of images.
    """
    model = recipe.adapted(x, seed)
    steps = min(STEPS_OF_A_BACKUP, recipe.train_steps)
    model.compile(_optimizer(recipe), steps_per_execution=1)
    keep = Backup(str(backup))
    done = backed_up_epoch([keep])
    order = seed + 1000 * done
    batches = (
        tf.data.Dataset.from_tensor_slices(x)
        .shuffle(len(x), seed=order)
        .repeat()
        .batch(recipe.batch_size, drop_remainder=True)
        .prefetch(2)
    )
    told = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: console.print(
            f"  step {(epoch + 1) * steps:,} of {recipe.train_steps:,}: loss {logs['loss']:.4f}",
            highlight=False,
        )
    )
    model.fit(
        batches, steps_per_epoch=steps, epochs=math.ceil(recipe.train_steps / steps), verbose=0,
        shuffle=False, callbacks=[keep, told],
    )  # fmt: skip
    return model


def _optimizer(recipe: GenerationRecipe) -> keras.Optimizer:
    """Adam at a rate that rises and falls, averaging the weights."""
    rate = recipe.learning_rate
    assert isinstance(rate, float)  # of all layers together
    rising = max(1, round(WARM_UP * recipe.train_steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / rising, max(1, recipe.train_steps - rising), warmup_target=rate, warmup_steps=rising
    )
    return keras.optimizers.Adam(
        schedule, global_clipnorm=recipe.clipnorm, use_ema=True, ema_momentum=AVERAGE
    )
