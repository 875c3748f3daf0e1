"""Langevin steps are biased, and Metropolis's rule takes the bias away.

The density is known (grey). Above, 20,000 chains of plain Langevin steps: the larger the step, the
broader what they sample. Below, the same steps, each accepted or refused so that the density stays
as it is (MALA): they are right at every step size. Numbers are the mean of x², which is 1.1.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

import delvm_tf as dv

STEPS = 300
SIZES = (0.02, 0.06, 0.12)
COLORS = {dv.samplers.Langevin: "#D55E00", dv.samplers.MALA: "#0072B2"}


class TwoPeaks(dv.EnergyModel):
    """Normal densities of variance 0.1 at −1 and 1, in equal parts."""

    def normalized_energy(self, z):
        """Of points (n, 1), up to a constant."""
        return -tf.reduce_logsumexp(-5 * tf.square(z - [-1.0, 1.0]), axis=1)


model = TwoPeaks(normalization="none")
model.build((None, 1))
side = np.linspace(-2.5, 2.5, 401)
density = np.exp(-model.energy(side[:, np.newaxis]))
density /= density.sum() * (side[1] - side[0])
start = np.random.default_rng(0).choice([-1.0, 1.0], size=(20_000, 1))

figure = Figure(figsize=(6, 3.2), layout="constrained")
panels = figure.subplots(2, 3, sharex=True, sharey=True)
for row, (sampler, color) in zip(panels, COLORS.items(), strict=True):
    for axes, step in zip(row, SIZES, strict=True):
        chains = model.sample(20_000, sampler(step), steps=STEPS, initial=start, seed=0).numpy()
        axes.fill_between(side, density, color="0.8")
        axes.hist(chains, 60, range=(-2.5, 2.5), density=True, histtype="step", color=color, lw=1.5)
        axes.text(0, 0.45, f"{np.mean(chains**2):.2f}", color=color, ha="center")
        axes.set(xticks=[-1, 1], yticks=[])
    row[0].set_ylabel(sampler.__name__, color=color)
for axes, step in zip(panels[0], SIZES, strict=True):
    axes.set_title(f"step size {step}", fontsize=11)
figure.savefig(Path(*sys.argv[1:], "langevin_bias.png"), dpi=130)
