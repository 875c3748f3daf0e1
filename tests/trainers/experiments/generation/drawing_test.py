import keras
import numpy as np
import pytest
from rich.console import Console

import delvm_tf as dv
from trainers.experiments.generation import drawing
from trainers.experiments.generation.drawing import draw_images
from trainers.experiments.generation.recipes import GenerationRecipe
from trainers.experiments.generation.training import MODEL, trained

RECIPE = GenerationRecipe(
    model="delvm", objective="denoising", train_steps=4, steps=60, learning_rate=1e-2,
    model_settings={"units": [4], "activation": "tanh", "normalization": "center"},
    objective_settings={"sigma": 0.5}, sampler={"name": "langevin", "step_size": 0.1},
)  # fmt: skip


@pytest.fixture
def images(rng):
    return 3 + 2 * rng.normal(size=(200, 3, 2, 1)).astype("float32")


def test_images_have_the_moments_of_a_known_model(images, monkeypatch):
    """Weights 0 make the density N(mean, s²I) in raw units, with the normalisation's s."""
    monkeypatch.setattr(drawing, "AT_ONCE", 1500)
    model = RECIPE.adapted(images.reshape(200, 6), 0)
    for weight in model.network.trainable_variables:
        weight.assign(keras.ops.zeros_like(weight))
    drawn = draw_images(RECIPE, model, 4000, 0, (3, 2, 1))
    assert drawn.shape == (4000, 3, 2, 1)
    spread = np.sqrt(images.var(axis=0).mean())
    error = spread / np.sqrt(4000)
    np.testing.assert_allclose(drawn.mean(axis=0), images.mean(axis=0), atol=4 * error)
    assert drawn.var(axis=0).mean() == pytest.approx(spread**2 / 0.95, rel=0.03)
    assert len(np.unique(drawn[:, 0, 0, 0])) > 3990  # no batch repeats another


def test_draws_follow_from_the_seed(images):
    model = RECIPE.adapted(images.reshape(200, 6), 0)
    one, again, other = (draw_images(RECIPE, model, 5, seed, (3, 2, 1)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_model_is_trained_once_for_a_folder(images, tmp_path, capsys):
    console = Console()
    model = trained(RECIPE, images, 0, tmp_path, console)
    assert isinstance(model, dv.DELVM)
    assert (tmp_path / MODEL).exists()
    assert "step 4 of 4" in capsys.readouterr().out
    loaded = trained(RECIPE, images, 0, tmp_path, console)
    assert "trained before the interruption" in capsys.readouterr().out
    x = images.reshape(200, 6)
    np.testing.assert_allclose(loaded.energy(x), model.energy(x), rtol=1e-6)
    initial = RECIPE.adapted(x, 0)
    assert float(np.abs(initial.energy(x) - model.energy(x)).max()) > 1e-3
