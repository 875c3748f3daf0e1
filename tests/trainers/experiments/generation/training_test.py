import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from trainers.experiments.generation import training
from trainers.experiments.generation.recipes import GenerationRecipe
from trainers.experiments.generation.training import BACKUP, MODEL, seconds_of_training, trained

RECIPE = GenerationRecipe(
    model="delvm", objective="denoising", train_steps=6, batch_size=20, learning_rate=1e-2,
    model_settings={"units": [4], "activation": "tanh"}, objective_settings={"sigma": 0.5},
)  # fmt: skip


@pytest.fixture
def images(rng):
    return rng.normal(size=(100, 2, 2, 1)).astype("float32")


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(training, "STEPS_OF_A_BACKUP", 2)


class Interrupting(Console):
    """Stops the run when it has told of some steps."""

    def __init__(self, at):
        super().__init__(file=io.StringIO())
        self.at = at

    def print(self, text, **kwargs):
        super().print(text, **kwargs)
        if f"step {self.at} " in text:
            raise KeyboardInterrupt


def test_an_interrupted_training_goes_on_after_its_last_backup(images, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained(RECIPE, images, 0, tmp_path, Interrupting(4))
    before = seconds_of_training(tmp_path)
    assert before > 0
    assert (tmp_path / BACKUP).is_dir()
    told = Interrupting(99)
    model = trained(RECIPE, images, 0, tmp_path, told)
    assert told.file.getvalue().split(":")[0].strip() == "step 6 of 6"
    assert int(model.optimizer.iterations) == 6
    assert seconds_of_training(tmp_path) > before
    assert not (tmp_path / BACKUP).exists()
    again = trained(RECIPE, images, 0, tmp_path, told)
    np.testing.assert_array_equal(
        again.energy(images.reshape(100, 4)), model.energy(images.reshape(100, 4))
    )
    assert (tmp_path / MODEL).exists()


def test_weights_are_averaged_over_the_last_steps(images, tmp_path, monkeypatch):
    """An average that keeps all of the first step leaves the weights after it."""
    monkeypatch.setattr(training, "AVERAGE", 1.0)
    console = Console(file=io.StringIO())
    model = trained(RECIPE, images, 0, tmp_path, console)
    start = RECIPE.adapted(images.reshape(100, 4), 0)
    start.build((None, 4))
    kernel = model.network.layers[-1].kernel.numpy()
    moved = np.abs(kernel - start.network.layers[-1].kernel.numpy()).max()
    assert 0 < moved < 2 * RECIPE.learning_rate  # one step of Adam, and not six


def test_the_learning_rate_rises_and_falls():
    recipe = dataclasses.replace(RECIPE, train_steps=1000)
    rate = training._optimizer(recipe)._learning_rate
    rates = np.array([float(rate(step)) for step in (0, 10, 20, 510, 1000)])
    np.testing.assert_allclose(rates / 1e-2, [0.05, 0.525, 1, 0.5, 0], atol=0.03)
