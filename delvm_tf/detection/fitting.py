"""What a detector trains."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from delvm_tf.catalog.models import MODELS
from delvm_tf.catalog.recipe import Recipe, default_recipe
from delvm_tf.detection.ensemble import ensemble_of
from delvm_tf.detection.images.image_detector import MOST_IMAGES, ImageDetector
from delvm_tf.detection.levels.level_detector import LevelDetector, rows_looked_at
from delvm_tf.detection.levels.network import BATCH, STEPS
from delvm_tf.detection.table_rows import TableRows
from delvm_tf.inputs.batches import CheckedRows, inputs_of, stream_names
from delvm_tf.models.reconstruction_model import ReconstructionModel
from delvm_tf.training.array_batches import array_batches
from delvm_tf.training.tracing import new_functions

DEFAULT = default_recipe()
MOST_ROWS = 1_000_000  # that a default model is trained on, counting those of all epochs
MEMBER_SEEDS = 1000  # between the models of an ensemble


def criterion_of(recipe: Recipe, wanted: str | None) -> str:
    """The criterion of a recipe's models: the one wanted, the recipe's, or energy if they have one.

    Raises:
        ValueError: if they do not have the one that is wanted.
    """
    made: Any = MODELS[recipe.model].model
    made = made.func
    usual = "energy" if hasattr(made, "energy") else "reconstruction_error"
    name = wanted or recipe.detection.criterion or usual
    if not hasattr(made, name):
        raise ValueError(f"the model {recipe.model!r} has no method {name}; choose {usual!r}")
    return name


def of_recipe(
    recipe: Recipe, X: Any, shape: tuple[int, ...], seed: int, criterion: str, verbose: Any,
    callbacks: Sequence[keras.callbacks.Callback], most: float,
) -> Any:  # fmt: skip
    """The trained model of a recipe, or what it makes of several.

    Args:
        recipe: says how.
        X: checked rows, those of table files, or a stream.
        shape: of one example.
        seed: of the first model; each further one has its own.
        criterion: whose scores an ensemble averages.
        verbose: as in Keras.
        callbacks: of Keras.
        most: rows to train on, counting those of all epochs.

    Raises:
        TypeError: for a stream, if it is an ensemble or trained layer by layer.
    """
    several = bool(recipe.detection.together)
    if recipe.arrays_only and not isinstance(X, CheckedRows):
        raise TypeError(
            f"{recipe.title}{recipe.detection.together} takes arrays only, got "
            f"{type(X).__name__}; pass an array of all rows"
        )
    models = []
    for member in range(recipe.detection.ensemble):
        model = recipe.make(shape, seed + MEMBER_SEEDS * member)
        model.adapt(X.rows if isinstance(X, TableRows) else X)
        if recipe.layerwise:
            recipe.fit(model, X.values, verbose, callbacks)
        else:
            model.compile(keras.optimizers.Adam(recipe.learning_rate, clipnorm=recipe.clipnorm))
            train(model, X, recipe.epochs, recipe.batch_size, verbose, most, callbacks)
        models.append(model)
    if not several:
        return models[0]
    return ensemble_of(models, criterion, recipe.detection).fit(X.values)


def of_levels(
    X: Any, trusted: bool, epochs: int | None, seed: int, verbose: Any,
    callbacks: Sequence[keras.callbacks.Callback],
) -> LevelDetector:  # fmt: skip
    """The detector of a table that was given no model.

    Args:
        X: rows to train on: checked ones, (n, d), those of table files, or a stream.
        trusted: whether labels say that the rows are normal.
        epochs: how often the network sees each row; None for as many steps as usual.
        seed: of everything that is drawn.
        verbose: as in Keras.
        callbacks: of Keras.
    """
    rows = X.values if isinstance(X, CheckedRows) else _some_rows(X, seed, rows_looked_at)
    steps = STEPS if epochs is None else max(1, math.ceil(epochs * len(rows) / BATCH))
    detector = LevelDetector(trusted, steps, seed, verbose).fit(rows, callbacks=callbacks)
    names = stream_names(X)
    if names is not None:
        detector.feature_names_in_ = np.asarray(names, object)
    return detector


def of_images(X: Any, seed: int) -> ImageDetector:
    """The detector of images that was given no model.

    Args:
        X: images to train on, checked ones or a stream.
        seed: of everything that is drawn.
    """
    checked = isinstance(X, CheckedRows)
    images = X.values if checked else _some_rows(X, seed, lambda _: MOST_IMAGES)
    return ImageDetector(seed).fit(images)


def _some_rows(X: Any, seed: int, most_of: Callable[[int], int]) -> np.ndarray:
    """Random rows of a stream, as many as are looked at, in one pass: those of the least keys."""
    rng = np.random.default_rng(seed)
    rows, keys, most = np.empty(0), np.empty(0), 0
    waiting: list[np.ndarray] = []

    def take() -> None:
        nonlocal rows, keys
        rows = np.concatenate([*([rows] if len(rows) else []), *waiting])
        keys = np.concatenate([keys, rng.random(len(rows) - len(keys))])
        waiting.clear()
        if len(rows) > most:
            least = np.argpartition(keys, most)[:most]
            rows, keys = rows[least], keys[least]

    for batch in X.rows if isinstance(X, TableRows) else X:
        waiting.append(np.asarray(inputs_of(batch)))
        most = most_of(waiting[0].shape[1])
        if sum(map(len, waiting)) >= most:
            take()
    if not waiting and not len(rows):
        raise ValueError("the stream has no rows to train on; give more, or a smaller holdout")
    take()
    return rows


@new_functions()
def train(
    model: Any, X: Any, epochs: int, batch_size: int, verbose: Any, most: float = math.inf,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:  # fmt: skip
    """Train a compiled model on X: checked rows, those of table files, or a stream.

    `most` rows in all, however many epochs that are; not of a stream, whose length is not known.
    """
    if isinstance(X, TableRows):
        rows = min(epochs * X.trained, most)
        batches = X.training(batch_size, rows)
        model.fit(batches, verbose=verbose, shuffle=False, callbacks=[*callbacks])
        return
    if not isinstance(X, CheckedRows) or not isinstance(model, ReconstructionModel):
        more = {"callbacks": [*callbacks]} if callbacks else {}
        model.fit(X, epochs=epochs, batch_size=batch_size, verbose=verbose, **more)
        return
    # All epochs in one pass, for the start of one takes Keras as long as many steps.
    size = min(batch_size, len(X))
    rows = min(epochs * len(X), most)
    batches = array_batches((X.values,), size, True, range(math.ceil(rows / len(X))))
    if rows == most:
        batches = batches.take(math.ceil(rows / size))
    batches.feature_names_in_ = X.feature_names_in_
    model.fit(batches, verbose=verbose, shuffle=False, callbacks=[*callbacks])
