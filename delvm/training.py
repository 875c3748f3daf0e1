"""A detector trained on the rows of a table, or the images, that it may see."""

import argparse

import numpy as np

import delvm_tf as dv
from delvm.chosen_rows import ChosenRows
from delvm.images import Images
from delvm.progress import TrainingProgress
from delvm.protocol import Parts
from delvm.reading import Given
from delvm.talk import Talk
from delvm_tf.catalog import Recipe, Recipes
from delvm_tf.detection.fitting import criterion_of
from delvm_tf.schema.learning import all_refused

CONTAMINATION = 0.01
LEVELS, IMAGES = "energies at noise levels", "codes of patches"


def recipe_of(asked: str | None) -> Recipe | None:
    """The recipe of a file, `FILE` or `FILE:NAME`; None for what the library does without one.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for what is wrong in it.
    """
    if asked is None:
        return None
    file, _, name = asked.partition(".toml:")
    recipes: Recipes[Recipe] = Recipes(f"{file}.toml" if name else asked)
    if name:
        return recipes[name]
    found = next(iter(recipes.values()), None) or recipes.of("delvm")
    assert found is not None  # a file without recipes has defaults
    return found


def detector_of(recipe: Recipe | None, args: argparse.Namespace) -> dv.AnomalyDetector:
    """What is to be trained, by a recipe or without one, as the arguments say."""
    usual = "contamination" if recipe is None else recipe.detection.threshold
    return dv.AnomalyDetector(
        recipe,
        threshold=usual if args.contamination is None else "contamination",
        contamination=CONTAMINATION if args.contamination is None else args.contamination,
        random_state=args.seed,
        dates=args.dates,
    )


def train(detector: dv.AnomalyDetector, given: Given | Images, parts: Parts, talk: Talk) -> None:
    """Fit the detector, with a bar of progress."""
    rows, labels = _shown(given, parts)
    with TrainingProgress(talk.errors) as progress:
        callbacks = [progress.callback("training")]
        if isinstance(given, Images):
            detector.fit(given.x[rows], labels, callbacks=callbacks)
        elif given.in_memory:
            with all_refused(given.source, detector.dates):
                detector.fit(given.sample.take(rows), labels, callbacks=callbacks)
        else:
            detector.fit(ChosenRows(given.source, rows, given.abnormal), callbacks=callbacks)


def method_of(recipe: Recipe | None, given: Given | Images) -> str:
    """What tables call the detector of a recipe, or that without one."""
    if recipe is None:
        return IMAGES if isinstance(given, Images) else LEVELS
    criterion = criterion_of(recipe, None).replace("_", " ")
    return f"{recipe.title}, {criterion}{recipe.detection.together}"


def _shown(given: Given | Images, parts: Parts) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows for the detector to fit on, and their labels, +1 for normal and −1 for abnormal.

    It sees all abnormal rows, unless labels choose the threshold. They then decide nothing but
    which cells of a row may be missing, so that it can score them.
    """
    if given.abnormal is None:
        return parts.fit, None
    rows = parts.fit
    if not given.abnormal[rows].any():
        rows = np.sort(np.concatenate([rows, np.flatnonzero(given.abnormal)]))
    return rows, np.where(given.abnormal[rows], -1, 1)
