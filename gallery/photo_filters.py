"""Filters that an energy learns from photographs are edges.

Three dictionaries of the same whitened patches of two photographs, 6 × 6 pixels each: patches as
they are, centres of k-means, and the hidden units of a DELVM that learned by denoising score
matching. Many of its units are bars and edges at one place and in one direction, which nobody told
it to look for.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_images

import delvm_tf as dv
from delvm_tf.features import PatchWhitening, kmeans, random_patches, sample_patches

EPOCHS = 25
SIDE = 6
photographs = np.mean(load_sample_images().images, axis=-1, keepdims=True)
patches = sample_patches(photographs, SIDE, 40_000, seed=0)
white = PatchWhitening(patches, epsilon=0.1)(patches).numpy()

keras.utils.set_random_seed(0)
network = dv.networks.ffnn((64,), bias_constraint="non_positive", seed=0)
objective = dv.DenoisingScoreMatching(0.5, seed=0)
model = dv.DELVM(network, objective=objective, normalization="none", scale=1.5)
rate = keras.optimizers.schedules.CosineDecay(1e-2, EPOCHS * 200)
model.compile(keras.optimizers.Adam(rate))
model.fit(white, epochs=EPOCHS, batch_size=200, verbose=0)

dictionaries = {
    "random patches": random_patches(white, 64, seed=0),
    "k-means": kmeans(white, 64, seed=0),
    "energy": network.layers[0].kernel.numpy(),
}
figure = Figure(figsize=(6.6, 2.5), layout="constrained")
for axes, (name, filters) in zip(figure.subplots(1, 3), dictionaries.items(), strict=True):
    scaled = filters / np.abs(filters).max(axis=0)
    tiles = np.pad(
        scaled.T.reshape(8, 8, SIDE, SIDE), ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=1
    )
    mosaic = tiles.transpose(0, 2, 1, 3).reshape(8 * (SIDE + 1), -1)[:-1, :-1]
    axes.imshow(mosaic, cmap="gray", vmin=-1, vmax=1)
    axes.set_title(name, fontsize=11)
    axes.set_axis_off()
figure.savefig(Path(*sys.argv[1:], "photo_filters.png"), dpi=130)
