"""Pictures of what methods draw, and of what else an energy of all noise levels can do."""

from pathlib import Path
from typing import Any

import numpy as np

from delvm_tf.models.energy_model import EnergyModel
from delvm_tf.plots.figure import save_figure
from trainers.evaluation.generation.neighbours import nearest
from trainers.experiments.features import as_inputs
from trainers.experiments.generation.pixels import PixelRange
from trainers.experiments.generation.recipes import GenerationRecipe
from trainers.plots.generation import (
    plot_completions,
    plot_denoising,
    plot_grid,
    plot_neighbours,
    plot_strips,
    save_animation,
)

GRID, BESIDE, NEIGHBOURS, ROWS, DRAWS = 64, 18, 3, 6, 6
FRAMES, MOVING, STRIP = 40, 32, 10
DENOISED = (0.2, 1.0, 3.0)  # levels, in spreads of centred data


def save_drawn(
    images: np.ndarray, train: np.ndarray, pixels: PixelRange, name: str, title: str, folder: Path
) -> None:
    """A grid of images, and some of them beside the training images nearest to them.

    Args:
        images: drawn.
        train: what was learned from.
        pixels: their range.
        name: `drawn-….png` and `nearest-….png`.
        title: above them.
        folder: where to.
    """
    low, high, _ = pixels
    save_figure(plot_grid(images[:GRID], low, high, title=title), folder / f"drawn-{name}.png")
    some = images[:BESIDE]
    found = nearest(some, train, min(NEIGHBOURS, len(train)))
    figure = plot_neighbours(
        some, train[found.rows], low, high,
        title=f"{title}: drawn images, and training images nearest in pixels",
    )  # fmt: skip
    save_figure(figure, folder / f"nearest-{name}.png")


class Pictures:
    """Pictures of a trained model.

    Args:
        recipe: how it is drawn from.
        model: trained.
        real: images that it was not trained on, (n, height, width, channels).
        pixels: the range of values.
        seed: of all draws.
        folder: where to.
    """

    def __init__(
        self, recipe: GenerationRecipe, model: EnergyModel, real: np.ndarray, pixels: PixelRange,
        seed: int, folder: Path,
    ):  # fmt: skip
        self.recipe, self.model, self.seed, self.folder = recipe, model, seed, folder
        self.real = real.astype(np.float32)
        self.low, self.high, _ = pixels

    def save(self) -> list[str]:
        """All that the model can do; the names of the files."""
        of_levels = {
            "denoise": self.denoising, "inpaint": self.completions,
            "interpolate": self.interpolations,
        }  # fmt: skip
        can = [make for method, make in of_levels.items() if hasattr(self.model, method)]
        return [*self.trajectory(), *(make() for make in can)]

    def _inputs(self, x: np.ndarray) -> np.ndarray:
        return as_inputs(x, self.recipe.of_images)

    def _images(self, x: Any, *before: int) -> np.ndarray:
        return np.asarray(x, np.float32).reshape(*before, *self.real.shape[1:])

    def _save(self, figure: Any, name: str) -> str:
        save_figure(figure, self.folder / name)
        return name

    def trajectory(self) -> list[str]:
        """Chains on their way from noise, moving, and some of them in a strip."""
        steps, sampler = self.recipe.steps, self.recipe.made_sampler()
        run = self.model.sample(
            MOVING, sampler, steps, seed=self.seed, record_every=max(1, steps // FRAMES),
            details=True,
        )  # fmt: skip
        frames = self._images(run.trajectory, len(run.steps), MOVING)
        save_animation(frames, self.folder / "trajectory.gif", self.low, self.high)
        kept = np.unique(np.linspace(0, len(frames) - 1, STRIP).astype(int))
        headings, what = [str(run.steps[k]) for k in kept], "after so many steps"
        levels_of: Any = getattr(sampler, "levels", None)
        if callable(levels_of):
            levels = levels_of(self.model, steps)
            headings, what = [f"{levels[run.steps[k]]:.2g}" for k in kept], "at noise levels σ"
        figure = plot_strips(
            frames[kept, :ROWS], self.low, self.high, headings,
            title=f"{self.recipe.title}: chains {what}",
        )  # fmt: skip
        return ["trajectory.gif", self._save(figure, "trajectory.png")]

    def denoising(self) -> str:
        """Noisy images, their posterior means and a draw of each, at several levels."""
        model: Any = self.model
        clean = self.real[:ROWS]
        z = np.asarray(model.normalization.call(self._inputs(clean)))
        noise = np.random.default_rng(self.seed).standard_normal(z.shape).astype(np.float32)
        ends = model.noise_levels[-1], model.noise_levels[0]
        sigmas = {float(np.clip(s * model.normalization.scale, *ends)) for s in DENOISED}
        levels = {}
        for sigma in sorted(sigmas):
            x = np.asarray(model.normalization.invert(z + sigma * noise, "float32"))
            mean = model.denoise(x, sigma)
            draw = model.denoise(x, sigma, draws=1, seed=self.seed)
            levels[sigma] = [self._images(each, ROWS) for each in (x, mean, draw)]
        title = f"{self.recipe.title}: denoising"
        figure = plot_denoising(clean, levels, self.low, self.high, title)
        return self._save(figure, "denoising.png")

    def completions(self) -> str:
        """The lower halves of images drawn anew, given the upper ones."""
        model: Any = self.model
        images = self.real[:ROWS]
        known = np.zeros(images.shape[1:], bool)
        known[: len(known) // 2] = True
        mask = known if self.recipe.of_images else known.ravel()
        drawn = model.inpaint(self._inputs(images), mask, draws=DRAWS, seed=self.seed)
        figure = plot_completions(
            images, known, self._images(drawn, DRAWS, ROWS), self.low, self.high,
            title=f"{self.recipe.title}: completions",
        )  # fmt: skip
        return self._save(figure, "completions.png")

    def interpolations(self) -> str:
        """Images between pairs of real ones."""
        model: Any = self.model
        a, b = (self._inputs(self.real[k : 2 * ROWS : 2]) for k in range(2))
        strips = self._images(model.interpolate(a, b, STRIP), STRIP, ROWS)
        figure = plot_strips(
            strips, self.low, self.high, title=f"{self.recipe.title}: between real images"
        )
        return self._save(figure, "interpolations.png")
