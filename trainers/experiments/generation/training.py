"""Training the models that draw images."""

import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.storage.ownership import read_json, whole, write_json
from delvm_tf.training.backups import Backup, backed_up_epoch
from trainers.experiments.features import as_inputs
from trainers.experiments.generation.recipes import GenerationRecipe

MODEL = "model.keras"
BACKUP, SECONDS = "backup", "seconds.json"
STEPS_OF_A_BACKUP = 250  # at most
WARM_UP = 0.02  # share of the steps in which the learning rate rises
AVERAGED = 1 / 12  # share of the steps that the moving average of the weights reaches back over


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
    model = recipe.adapted(x, seed)
    fit(recipe, model, x, seed, folder, console)
    with whole(path) as partial:
        model.save(partial)
    return model


def fit(
    recipe: GenerationRecipe, model: ReconstructionModel, x: np.ndarray, seed: int, folder: Path,
    console: Console,
) -> None:  # fmt: skip
    """Train by the steps of a recipe; the model ends with the moving average of its weights.

    An interrupted run goes on from its last backup, with other noise and another order of images.
    """
    in_all = recipe.steps_on(len(x))
    epochs = math.ceil(in_all / STEPS_OF_A_BACKUP)
    steps = math.ceil(in_all / epochs)
    model.compile(_optimizer(recipe, in_all))
    backup = Backup(str(folder / BACKUP))
    done = backed_up_epoch([backup])
    batches = (
        tf.data.Dataset.from_tensor_slices(x)
        .shuffle(len(x), seed=seed + done)
        .repeat()
        .batch(min(recipe.batch_size, len(x)), drop_remainder=True)
        .prefetch(2)
    )
    before = seconds_of_training(folder) if done else 0.0
    started = time.perf_counter()

    def tell(epoch: int, logs: Any) -> None:
        write_json(folder / SECONDS, before + time.perf_counter() - started)
        console.print(
            f"  step {(epoch + 1) * steps:,} of {epochs * steps:,}: loss {logs['loss']:.4f}",
            highlight=False,
        )

    model.fit(
        batches, steps_per_epoch=steps, epochs=epochs, verbose=0, shuffle=False,
        callbacks=[backup, keras.callbacks.LambdaCallback(on_epoch_end=tell)],
    )  # fmt: skip


def seconds_of_training(folder: Path) -> float:
    """Seconds that training took, those before interruptions included; 0 without training."""
    path = folder / SECONDS
    return float(read_json(path)) if path.exists() else 0.0


def _optimizer(recipe: GenerationRecipe, steps: int) -> keras.Optimizer:
    """Adam at a rate that rises and falls over so many steps, averaging the weights."""
    rate = recipe.learning_rate
    assert isinstance(rate, float)  # of all layers together
    rising = max(1, round(WARM_UP * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / rising, max(1, steps - rising), warmup_target=rate, warmup_steps=rising
    )
    momentum = 1 - 1 / max(1.0, AVERAGED * steps)
    return keras.optimizers.Adam(
        schedule, global_clipnorm=recipe.clipnorm, use_ema=True, ema_momentum=momentum
    )
