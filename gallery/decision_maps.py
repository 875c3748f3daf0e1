"""Three detectors on one plane: what each would let pass.

All learned the same 1,500 normal points (black), a thin spiral and a cloud, and all have the same
false alarm rate, one in twenty. Light is normal, the line is the threshold. The isolation forest
cuts along the axes and fills the spiral; two nearest neighbours follow single points; the default
detector follows the shape. The title says which share of the plane each calls normal, and the
smaller this is the more it would find.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.ensemble import IsolationForest

import delvm_tf as dv

STEPS = 1000
rng = np.random.default_rng(0)
turn = np.sqrt(rng.uniform(0.1, 1, 1000)) * 3.5 * np.pi
spiral = turn[:, np.newaxis] / 11 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
cloud = rng.normal([2.2, -0.9], 0.25, size=(500, 2))
normal = rng.permutation(np.concatenate([spiral + rng.normal(0, 0.04, spiral.shape), cloud]))

models = {
    "isolation forest": IsolationForest(random_state=0),
    "nearest neighbours": dv.detection.NeighbourDistance(2),
    "default detector": dv.detection.LevelDetector(steps=STEPS),
}
sides = np.linspace(-1.7, 3.3, 200), np.linspace(-1.9, 1.5, 136)
plane = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)

figure = Figure(figsize=(6.6, 2.1), layout="constrained")
for axes, (name, model) in zip(figure.subplots(1, 3), models.items(), strict=True):
    detector = dv.AnomalyDetector(model, contamination=0.05, epochs=1, holdout=0.3).fit(normal)
    rank = np.reshape(detector.p_value(plane), (136, 200))
    share = 1 - detector.is_anomaly(plane).mean()
    axes.contourf(*sides, rank, [0, 0.05, 0.1, 0.2, 0.5, 1], cmap="cividis")
    axes.contour(*sides, rank, [0.05], colors="#D55E00", linewidths=1.5)
    axes.plot(*normal.T, ",", color="black", alpha=0.5)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_title(f"{name}: {share:.0%}", fontsize=10)
figure.savefig(Path(*sys.argv[1:], "decision_maps.png"), dpi=150)
