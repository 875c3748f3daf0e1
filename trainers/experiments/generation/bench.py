"""What all methods that draw images share under one seed: data, judge, and a place to keep work."""

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from delvm_tf.datasets import Dataset, load
from delvm_tf.storage.ownership import (
    contents,
    make_folder,
    read_json,
    remove_files,
    remove_if_empty,
    whole,
    write_json,
)
from trainers.evaluation.generation.classifier import ImageClassifier
from trainers.evaluation.generation.judge import Judge
from trainers.experiments.features import load_data
from trainers.experiments.generation.pixels import PixelRange
from trainers.experiments.generation.scales import Scale
from trainers.experiments.generation.training import seconds_of_training

KEPT = "kept"  # folder of models and drawn images
SHOWN = 64  # images whose drawing is timed
EXTRACTOR = "extractor.keras"


class Drawn(NamedTuple):
    """What a method drew.

    Attributes:
        images: (n, height, width, channels), clipped and rounded as pixels are.
        train_seconds: of learning.
        draw_seconds: of drawing 64 images.
        about: what was chosen in learning.
    """

    images: np.ndarray
    train_seconds: float
    draw_seconds: float
    about: str


class Bench:
    """Data, judge and kept work under one seed.

    Args:
        dataset: with a classification protocol of images.
        scale: of the run.
        validation: whether test images are carved from the training part, to choose settings by.
        seed: of the draw of training images, the choice of real ones, the classifiers and methods.
        folder: of results in the making.
    """

    def __init__(self, dataset: str, scale: Scale, validation: bool, seed: int, folder: Path):
        self.dataset, self.scale, self.validation = dataset, scale, validation
        self.seed, self.folder = seed, folder

    @cached_property
    def data(self) -> Dataset:
        """The images that methods learn from, and those that they do not."""
        whole_set = load(self.dataset, protocol="classification", seed=self.seed)
        size = self.scale.train_size if self.scale.train_size < len(whole_set.x_train) else 0
        return load_data(self.dataset, size, self.validation, self.seed)

    @property
    def train(self) -> np.ndarray:
        """Images to learn from, (n, height, width, channels)."""
        return self.data.x_train

    @cached_property
    def real(self) -> np.ndarray:
        """Images to compare with, as many as are to be drawn."""
        x = self.data.x_test
        return x[np.random.default_rng(self.seed).permutation(len(x))[: self.scale.images]]

    @cached_property
    def pixels(self) -> PixelRange:
        """What values pixels can have."""
        return PixelRange.of(self.train)

    def place(self, name: str) -> Path:
        """A folder for what is kept of some work."""
        path = self.folder / KEPT / f"{name}-seed-{self.seed}"
        make_folder(path)
        return path

    def fit_classifier(self) -> dict[str, Any]:
        """Train the classifier on all labelled training images, and keep its features."""
        data = load(self.dataset, protocol="classification", seed=self.seed)
        if self.validation:
            data = data.validation_split(seed=self.seed)
        started = time.perf_counter()
        classifier = ImageClassifier(self.scale.classifier_steps, seed=self.seed)
        classifier.fit(data.x_train, data.y_train)
        seconds = time.perf_counter() - started
        with whole(self.place("classifier") / EXTRACTOR) as partial:
            classifier.extractor_.save(partial)
        accuracy = classifier.score(data.x_test, data.y_test)
        return {"accuracy": accuracy, "seconds": seconds, "images": len(data.x_train)}

    @cached_property
    def judge(self) -> Judge:
        """The judge, with the features of the classifier."""
        extractor = keras.models.load_model(self.place("classifier") / EXTRACTOR)
        return Judge(extractor, self.train, self.real, self.scale.told_steps, seed=self.seed)

    def real_figures(self) -> dict[str, float]:
        """Figures of training images in the place of drawn ones, each not its own neighbour."""
        rng = np.random.default_rng(self.seed + 1)
        own = rng.permutation(len(self.train))[: len(self.real)]
        return self.judge.figures(self.train[own], own)

    def drawn(
        self, name: str, learn: Callable[[Path], tuple[Callable[[int, int], np.ndarray], str]]
    ) -> Drawn:
        """Images of a method, from where an interrupted run has stopped.

        Args:
            name: of the method.
            learn: given a folder to keep a model in, what gives n images under a seed, and in
                words what was chosen.
        """
        place = self.place(name)
        path, times = place / "drawn.npz", place / "times.json"
        if not path.exists():
            started = time.perf_counter()
            draw, about = learn(place)
            if not times.exists():  # else it was learned before
                seconds = seconds_of_training(place) or time.perf_counter() - started
                write_json(times, {"train_seconds": seconds, "about": about})
            started = time.perf_counter()
            draw(SHOWN, self.seed + 1)
            seconds = time.perf_counter() - started
            images = self.pixels.apply(draw(len(self.real), self.seed))
            with whole(path) as partial, partial.open("wb") as file:
                np.savez_compressed(file, images=images, draw_seconds=seconds)
        known = read_json(times)
        with np.load(path) as file:
            return Drawn(
                file["images"], known["train_seconds"], float(file["draw_seconds"]), known["about"]
            )


def remove_kept(folder: Path) -> None:
    """Delete models and drawn images from a folder of results in the making."""
    kept = folder / KEPT
    files = [name for name in contents(kept) if not name.endswith("/")]
    remove_files(folder, [f"{KEPT}/{name}" for name in files])
    for path in sorted(kept.rglob("*"), reverse=True):  # folders that were empty before
        remove_if_empty(path)
    remove_if_empty(kept)
