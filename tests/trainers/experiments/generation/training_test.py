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


def kernel_after(steps, images, folder):
    recipe = dataclasses.replace(RECIPE, train_steps=steps)
    folder.mkdir()
    model = trained(recipe, images, 0, folder, Console(file=io.StringIO()))
    return model.network.layers[-1].kernel.numpy()


def test_weights_are_averaged_over_a_share_of_the_steps(images, tmp_path, monkeypatch):
    """An average that reaches far back leaves weights near those after the first step."""
    first = RECIPE.adapted(images.reshape(100, 4), 0)
    first.build((None, 4))
    start = first.network.layers[-1].kernel.numpy()
    monkeypatch.setattr(training, "AVERAGED", 1e9)
    moved = np.abs(kernel_after(6, images, tmp_path / "far") - start).max()
    assert 0 < moved < 2 * RECIPE.learning_rate  # one step of Adam, and not six
    monkeypatch.undo()
    monkeypatch.setattr(training, "STEPS_OF_A_BACKUP", 2)
    assert np.abs(kernel_after(6, images, tmp_path / "near") - start).max() > 2 * moved


@pytest.mark.parametrize("steps", [60, 600, 12_000])
def test_little_of_the_start_is_left_in_the_average_however_few_the_steps(steps):
    momentum = training._optimizer(RECIPE, steps).ema_momentum
    assert momentum**steps < 1e-5
    assert 1 / (1 - momentum) == pytest.approx(steps / 12)


def test_few_images_are_gone_over_a_number_of_times_only(images, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "STEPS_OF_A_BACKUP", 3)
    recipe = dataclasses.replace(RECIPE, passes=0.8)
    model = trained(recipe, images, 0, tmp_path, Console(file=io.StringIO()))
    assert int(model.optimizer.iterations) == 4  # batches of 20 among 100 images


def test_the_learning_rate_rises_and_falls():
    rate = training._optimizer(RECIPE, 1000)._learning_rate
    rates = np.array([float(rate(step)) for step in (0, 10, 20, 510, 1000)])
    np.testing.assert_allclose(rates / 1e-2, [0.05, 0.525, 1, 0.5, 0], atol=0.03)
