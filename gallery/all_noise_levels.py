"""One energy of all noise levels, and the flow that leads from noise to data.

At each level σ the colour is the density of the data with noise σ, as one network learned it: broad
and normal on the left, three peaks on the right. White lines follow the probability flow dx/dσ =
σ∇E(x, σ) from evenly spaced quantiles of the noise. As lines never cross, each should end at the
same quantile of the data, marked on the right.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

import delvm_tf as dv

EPOCHS = 100
rng = np.random.default_rng(0)
peaks = rng.choice([-1.4, 0.2, 1.3], size=5000, p=[0.3, 0.25, 0.45])
data = (peaks + 0.15 * rng.normal(size=5000))[:, np.newaxis]
data = (data - data.mean()) / data.std()

keras.utils.set_random_seed(0)
network = dv.networks.level_ffnn((64, 64), "silu", "he_normal", seed=0)
model = dv.DensityDELVM(network, smallest_noise=0.05, largest_noise=20.0)
model.adapt(data)
rate = keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS * 20)
model.compile(keras.optimizers.Adam(rate, clipnorm=1.0))
model.fit(data, epochs=EPOCHS, batch_size=250, verbose=0)

shares = np.linspace(0.025, 0.975, 20)
flow = dv.samplers.ProbabilityFlow(rho=np.inf, denoise=False)
start = norm.ppf(shares, scale=np.hypot(1, 20.0))[:, np.newaxis]
run = model.sample(20, flow, steps=100, initial=start, record_every=1, seed=0, details=True)
levels = flow.levels(model, 100)
spread = np.sqrt(1 + levels**2)  # of the data with noise

side = np.linspace(-2.5, 2.5, 201)
density = np.stack(
    [
        wide * np.exp(model.log_density(wide * side[:, np.newaxis], sigma=level))
        for level, wide in zip(levels.clip(0.05, 20.0), spread, strict=True)
    ]
)
figure = Figure(figsize=(6, 3.6), layout="constrained")
axes = figure.subplots()
axes.pcolormesh(levels, side, np.sqrt(density.T), cmap="viridis", shading="gouraud")
axes.plot(levels, run.trajectory[:, :, 0] / spread[:, np.newaxis], color="white", lw=0.8)
ends = np.quantile(data, shares) / spread[-1]
axes.plot(np.full(20, 0.047), ends, "<", color="#D55E00", markersize=4, clip_on=False)
axes.set(xscale="log", xlim=(20, 0.05), xlabel="noise level σ", ylabel="x / √(1 + σ²)")
axes.set_xticks([10, 1, 0.1], ["10", "1", "0.1"])
figure.savefig(Path(*sys.argv[1:], "all_noise_levels.png"), dpi=130)
