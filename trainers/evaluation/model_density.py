"""A trained model as a density in the plane, and how far it is from the true one."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from delvm_tf.models.energy_model import EnergyModel
from trainers.evaluation.densities import GaussianMixtureDensity, fisher_divergence
from trainers.evaluation.grid import GridIntegral, SquareGrid, integrate

GRID, WIDE = SquareGrid(15.0, 301), SquareGrid(150.0, 301)
PANEL = SquareGrid(6.5, 101)  # what is drawn
BATCH = 65536  # points scored at a time


class ModelDensity:
    """A trained model as a density over raw units, log Z found on a grid.

    An energy is a function of z = normalization(x), and log p(x) = −E(z(x)) − log Z with Z over x,
    so that log Z = log Z_z − log|det ∂z/∂x|. The score of x is (∂z/∂x)ᵀ times that of z.
    """

    def __init__(self, model: EnergyModel, grid: SquareGrid = GRID, wide: SquareGrid = WIDE):
        self.model = model
        self.integral: GridIntegral = integrate(self._minus_energy, grid, wide)

    def _minus_energy(self, x: Any) -> np.ndarray:
        points = np.asarray(x, np.float32)
        return -self.model.energy(points, BATCH).numpy().astype(np.float64)

    def log_density(self, x: Any) -> np.ndarray:
        """Log p(x) in nats, (n, 2) to (n,)."""
        return self._minus_energy(x) - self.integral.log_normalizer

    def score(self, x: Any) -> np.ndarray:
        """∇ₓ log p(x), shape of x."""
        points = tf.constant(x, self.model.normalization.result_dtype)
        with tf.GradientTape() as tape:
            tape.watch(points)
            z = self.model.normalization(points)
        score = self.model.score(points, BATCH)
        return tape.gradient(z, points, output_gradients=score).numpy().astype(np.float64)


def figures(
    truth: GaussianMixtureDensity, density: Any, points: np.ndarray, problem: str = ""
) -> dict[str, Any]:
    """What the table says of a density, and its log-density on the grid of the panels."""
    panel = density.log_density(PANEL.points)
    row: dict[str, Any] = {
        "fisher": fisher_divergence(truth.score(points), density.score(points)),
        "log_likelihood": math.nan, "modes_off": math.nan,
    }  # fmt: skip
    masses = np.full(len(truth.weights), math.nan)
    if problem:
        panel = panel - np.logaddexp.reduce(panel) - 2 * math.log(PANEL.step)
    else:
        row["log_likelihood"] = float(density.log_density(points).mean())
        shares = np.exp(panel)[:, np.newaxis] * truth.responsibilities(PANEL.points)
        masses = shares.sum(axis=0) * PANEL.step**2
        row["modes_off"] = float(0.5 * np.abs(masses - truth.weights).sum())
    row |= {f"mode_{k}": float(mass) for k, mass in enumerate(masses, start=1)}
    return {"row": row | {"problem": problem}, "panel": np.round(panel, 3).tolist()}
