"""Digits cleaned of noise, and completed in different ways.

One small model of scikit-learn's digits does both. Above are test digits, the same with noise as
large as the digits' own spread, and the mean of what they may have been. Below only the upper half
is given, and each row is another draw of the lower half: a 1 may get a foot, and the head of a 9
may become an 8.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

import delvm_tf as dv

EPOCHS = 60
data = dv.datasets.load("digits", seed=0)
keras.utils.set_random_seed(0)
network = dv.networks.LevelUNet(channels=(16, 32), blocks=1, seed=0)
objective = dv.DualScoreMatching(typical_noise=0.5, seed=0)
model = dv.DensityDELVM(network, objective, smallest_noise=0.05, largest_noise=30.0)
model.adapt(data.x_train)
rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * len(data.x_train) // 64)
model.compile(keras.optimizers.Adam(rate, global_clipnorm=10.0))
model.fit(data.x_train, epochs=EPOCHS, batch_size=64, verbose=0)

digits = data.x_test[[np.argmax(data.y_test == digit) for digit in range(10)]]
spread = np.sqrt(np.var(data.x_train, axis=0).mean())  # one unit of noise
noisy = digits + spread * np.random.default_rng(0).normal(size=digits.shape)
upper = np.arange(8)[:, np.newaxis, np.newaxis] < 4
rows = {
    "digits": digits,
    "noisy": noisy,
    "denoised": model.denoise(noisy, sigma=1.0),
    "upper half": np.where(upper, digits, np.nan),
}
draws = model.inpaint(digits, upper, draws=4, steps=40, seed=0)
rows |= {f"draw {k + 1}": draw for k, draw in enumerate(draws)}

figure = Figure(figsize=(6, 4.6), layout="constrained")
for axes, (name, images) in zip(figure.subplots(8, 1), rows.items(), strict=True):
    gaps = np.pad(np.asarray(images)[..., 0], ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
    axes.imshow(np.concatenate(gaps, axis=1), cmap="gray", vmin=0, vmax=16)
    axes.set_ylabel(name, rotation=0, ha="right", va="center")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
figure.savefig(Path(*sys.argv[1:], "digits_completed.png"), dpi=130)
