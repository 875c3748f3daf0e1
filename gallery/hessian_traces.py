"""What the trace of a Hessian costs, and how wrong its estimates are.

Score matching needs the trace of the energy's Hessian, here of two convolutions on images of 24 ×
24 pixels. The error of random probes (Hutchinson) halves for four times as many. A lattice of signs
puts pixels into one probe that hardly interact, and errs less at the same cost. The exact trace
costs 5 training steps of an autoencoder, for which random probes still err by more than images
differ.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

import delvm_tf as dv

EPOCHS = 3
data = dv.datasets.load("digits", seed=0)
images = np.kron(data.x_train, np.ones((1, 3, 3, 1), "float32"))

keras.utils.set_random_seed(0)
network = dv.networks.cnn((16, 16), 3, activation="softplus", seed=0)
model = dv.DELVM(network, objective=dv.DenoisingScoreMatching(0.5, seed=0), scale=2.0)
model.adapt(images)
model.compile(keras.optimizers.Adam(1e-3))
model.fit(images, epochs=EPOCHS, batch_size=100, verbose=0)
z = model.normalization(images[:50])


def trace(method, **more):
    """Cost in training steps of an autoencoder, and the trace of each image."""
    objective = dv.ScoreMatching(method, **more, seed=0)
    value = objective.compute(model, z, training=True).terms["energy_laplacian"]
    return objective.plan(model).cost, np.asarray(value)


exact_cost, exact = trace("exact")
size = np.std(exact)
curves = {
    "Hutchinson": [trace("hutchinson", probes=k) for k in (1, 2, 4, 8, 16, 32)],
    "lattice": [trace("lattice", spacing=k) for k in (1, 2, 3, 4)],
}
figure = Figure(figsize=(6, 3.4), layout="constrained")
axes = figure.subplots()
for (name, values), color in zip(curves.items(), ("#D55E00", "#0072B2"), strict=True):
    costs = [cost for cost, _ in values]
    errors = [np.sqrt(np.mean((value - exact) ** 2)) / size for _, value in values]
    axes.plot(costs, errors, "o-", color=color)
    axes.text(costs[2], 1.25 * errors[2], f" {name}", color=color)
axes.axvline(exact_cost, color="#009E73")
axes.text(exact_cost, 0.15, "exact ", color="#009E73", ha="right")
axes.set(xscale="log", yscale="log", ylabel="error / spread over images")
axes.set_xlabel("cost / training step of an autoencoder")
axes.set_xticks([2, 4, 8, 16], ["2", "4", "8", "16"])
axes.set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
axes.minorticks_off()
figure.savefig(Path(*sys.argv[1:], "hessian_traces.png"), dpi=130)
