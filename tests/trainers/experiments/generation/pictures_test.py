from types import SimpleNamespace

import numpy as np
import pytest

import delvm_tf as dv
from trainers.experiments.generation import pictures
from trainers.experiments.generation.pictures import DRAWS, ROWS, STRIP, Pictures, save_drawn
from trainers.experiments.generation.pixels import PixelRange
from trainers.experiments.generation.recipes import GenerationRecipe

PIXELS = PixelRange(0.0, 16.0, True)


@pytest.fixture
def images(rng):
    return np.rint(rng.uniform(0, 16, (80, 8, 8, 1))).astype("float32")


@pytest.fixture
def drawn(monkeypatch):
    """What each plot is given, by its name."""
    given = {}

    def watched(name, usual):
        def plot(*args, **kwargs):
            given[name] = args
            return usual(*args, **kwargs)

        return plot

    for name in ("grid", "neighbours", "denoising", "completions", "strips"):
        usual = getattr(pictures, f"plot_{name}")
        monkeypatch.setattr(pictures, f"plot_{name}", watched(name, usual))
    return given


class Known:
    """A model of all levels that gives what it was given, so that it is seen what it is asked."""

    noise_levels = (50.0, 0.5)

    def __init__(self, x):
        recipe = GenerationRecipe(model_settings={"units": [4], "normalization": "center"})
        self.normalization = recipe.adapted(x, 0).normalization
        self.asked = []

    def sample(self, n, sampler, steps, seed, record_every, details):
        at = np.arange(0, steps + 1, record_every)
        frames = np.ones((len(at), n, 64)) * at[:, None, None] / steps * 16
        return SimpleNamespace(steps=at, trajectory=frames)

    def denoise(self, x, sigma, draws=None, seed=None):
        self.asked.append((x, sigma))
        return 0 * x + 3 if draws is None else (0 * x + 5)[None]

    def inpaint(self, x, mask, draws, seed):
        assert mask.shape == (64,)
        assert mask[:32].all()
        assert not mask[32:].any()
        return np.stack([np.where(mask, x, draw) for draw in range(draws)])

    def interpolate(self, a, b, n):
        shares = np.linspace(0, 1, n)[:, None, None]
        return (1 - shares) * a + shares * b


@pytest.fixture
def made(images, tmp_path):
    recipe = GenerationRecipe(model="nc-delvm", model_settings={"units": [4]}, steps=40)
    model = Known(images.reshape(80, 64))
    return Pictures(recipe, model, images, PIXELS, 0, tmp_path)


def test_drawn_images_are_shown_beside_the_training_images_nearest_to_them(images, drawn, tmp_path):
    near = images[:30] + 0.01
    save_drawn(near, images, PIXELS, "mine", "title", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"drawn-mine.png", "nearest-mine.png"}
    some, neighbours, *_ = drawn["neighbours"]
    np.testing.assert_array_equal(neighbours[:, 0], images[: len(some)])
    assert neighbours.shape[1:] == (3, 8, 8, 1)


def test_everything_that_a_model_of_all_levels_can_do_is_shown(made, tmp_path):
    files = made.save()
    assert files == [
        "trajectory.gif", "trajectory.png", "denoising.png", "completions.png",
        "interpolations.png",
    ]  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == set(files)


def test_noise_of_each_level_is_added_in_normalised_units(made, drawn, images):
    made.denoising()
    clean, levels, *_ = drawn["denoising"]
    np.testing.assert_array_equal(clean, images[:ROWS])
    assert list(levels) == [0.5, 1.0, 3.0]  # the lowest within what the model knows
    unit = np.sqrt(images.var(axis=0).mean())
    for (sigma, (noisy, mean, draw)), asked in zip(
        levels.items(), made.model.asked[::2], strict=True
    ):
        assert np.std(noisy - clean) == pytest.approx(sigma * unit, rel=0.1)
        assert asked[1] == sigma
        np.testing.assert_array_equal(asked[0], noisy.reshape(ROWS, 64))
        assert (mean == 3).all()
        assert (draw == 5).all()


def test_lower_halves_are_completed_and_pairs_are_joined(made, drawn, images):
    made.completions()
    real, known, completions, *_ = drawn["completions"]
    assert completions.shape == (DRAWS, ROWS, 8, 8, 1)
    np.testing.assert_array_equal(completions[3][:, :4], real[:, :4])
    assert (completions[3][:, 4:] == 3).all()
    assert known[:4].all()
    made.interpolations()
    strips = drawn["strips"][0]
    assert len(strips) == STRIP
    np.testing.assert_allclose(strips[0], images[: 2 * ROWS : 2], atol=1e-5)
    np.testing.assert_allclose(strips[-1], images[1 : 2 * ROWS : 2], atol=1e-5)


def test_a_chain_is_shown_from_its_start_to_its_end(made, drawn):
    made.trajectory()
    strips, _, _, headings = drawn["strips"]
    assert strips.shape == (STRIP, ROWS, 8, 8, 1)
    assert (headings[0], headings[-1]) == ("0", "40")
    assert strips[0].max() == 0
    assert strips[-1].min() == 16


def test_of_a_model_of_one_energy_chains_are_shown(images, tmp_path):
    recipe = GenerationRecipe(
        objective="denoising", model_settings={"units": [4], "activation": "tanh"}, steps=20,
        sampler={"name": "langevin", "step_size": 0.05},
    )  # fmt: skip
    model = recipe.adapted(images.reshape(80, 64), 0)
    assert isinstance(model, dv.DELVM)
    made = Pictures(recipe, model, images, PIXELS, 0, tmp_path)
    assert made.save() == ["trajectory.gif", "trajectory.png"]
