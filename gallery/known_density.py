"""A density in nats beside the truth.

A mixture of four normal densities was learned from 10,000 points. Left is the true log-density, in
the middle the learned one on the same scale. The model learns the constant too, so its density sums
to about one. On the right is the difference where 98% of the points lie, on average 0.1 nats.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import delvm_tf as dv

EPOCHS = 100
parts = [
    (0.35, multivariate_normal([-1.5, 0.8], [[0.5, 0.0], [0.0, 0.5]])),
    (0.25, multivariate_normal([0.6, 1.2], [[0.7, 0.5], [0.5, 0.5]])),
    (0.25, multivariate_normal([-0.6, -1.8], [[0.8, -0.2], [-0.2, 0.2]])),
    (0.15, multivariate_normal([2.2, -1.2], [[0.15, 0.0], [0.0, 0.4]])),
]


def truth(x):
    """The true log-density of points."""
    return logsumexp([np.log(share) + part.logpdf(x) for share, part in parts], axis=0)


points = np.concatenate([part.rvs(int(1e4 * share), random_state=0) for share, part in parts])

keras.utils.set_random_seed(0)
network = dv.networks.level_ffnn((128, 128), "silu", "he_normal", seed=0)
model = dv.DensityDELVM(network, normalization="zscore", smallest_noise=0.05)
model.adapt(points)
rate = keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS * 40)
model.compile(keras.optimizers.Adam(rate, clipnorm=1.0))
model.fit(points, epochs=EPOCHS, batch_size=250, verbose=0)

side = np.linspace(-4, 4, 161)
grid = np.stack(np.meshgrid(side, side), axis=-1)
learned = np.reshape(model.log_density(grid.reshape(-1, 2)), grid.shape[:2])
total = np.exp(learned).sum() * (side[1] - side[0]) ** 2
apart = np.where(truth(grid) > np.quantile(truth(points), 0.02), learned - truth(grid), np.nan)

figure = Figure(figsize=(6.6, 2.9), layout="constrained")
axes = figure.subplots(1, 3)
axes[0].contourf(side, side, truth(grid), np.arange(-11, 0), extend="min")
both = axes[1].contourf(side, side, learned, np.arange(-11, 0), extend="min")
right = axes[2].pcolormesh(side, side, apart, cmap="PuOr", vmin=-0.5, vmax=0.5)
figure.colorbar(both, ax=axes[:2], location="bottom", label="log p(x), nats", aspect=40)
figure.colorbar(right, ax=axes[2], location="bottom", label="nats", ticks=[-0.5, 0, 0.5])
axes[2].set_facecolor("0.88")
for ax, title in zip(axes, ("truth", f"learned, sum {total:.2f}", "learned − truth"), strict=True):
    ax.set(title=title, aspect="equal", xticks=[], yticks=[])
figure.savefig(Path(*sys.argv[1:], "known_density.png"), dpi=130)
