"""Two moons as an energy landscape: data lie in valleys, and the score points into them.

A network of three layers learned this energy from 4,000 points (white) by exact score matching,
without a sample drawn in training. Arrows are the score −∇E, the way down. The orange points came
afterwards: 300 chains that began as noise, went down into the valleys and became samples of both
moons.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import make_moons

import delvm_tf as dv

EPOCHS = 80
points = make_moons(4000, noise=0.1, random_state=0)[0].astype("float32")

keras.utils.set_random_seed(0)
network = dv.networks.ffnn((64, 64, 64), "softplus", seed=0)
model = dv.DELVM(network, objective=dv.ScoreMatching("exact"), scale=10.0)
model.adapt(points)
rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * 20)
model.compile(keras.optimizers.Adam(rate, clipnorm=1.0))
model.fit(points, epochs=EPOCHS, batch_size=200, verbose=0)
samples = model.sample(300, dv.samplers.MALA(0.4), steps=500, seed=0)


def on_grid(steps):
    """The points of a grid over the picture, (steps, 2 steps, 2)."""
    sides = np.linspace(-1.75, 2.75, 2 * steps), np.linspace(-1.1, 1.6, steps)
    return np.stack(np.meshgrid(*sides), axis=-1).astype("float32")


fine, coarse = on_grid(150), on_grid(13)
energy = np.reshape(model.energy(fine.reshape(-1, 2)), fine.shape[:2])
height = np.minimum(energy - energy.min(), 16)
arrows = np.array(model.score(coarse.reshape(-1, 2)))
arrows /= np.maximum(np.linalg.norm(arrows, axis=1, keepdims=True), 4)  # long ones cut

figure = Figure(figsize=(6, 3.6), layout="constrained")
axes = figure.subplots()
axes.contourf(*fine.T, height.T, 16, cmap="viridis", vmax=22)
axes.plot(*points[:400].T, ".", color="white", markersize=2.5, alpha=0.6)
axes.quiver(*coarse.reshape(-1, 2).T, *arrows.T, color="white", scale=32, width=0.003)
axes.plot(*np.transpose(samples), ".", color="#E69F00", markersize=4)
axes.set(aspect="equal", xticks=[], yticks=[])
figure.savefig(Path(*sys.argv[1:], "moons_landscape.png"), dpi=130)
