"""Four detectors of one plane: what each takes for normal.

All learned the same 1,500 normal points, a thin spiral and a cloud, and all call one normal point
in twenty abnormal. The title says which share of the plane each takes for normal (blue): the less
that is, the more it finds. A normal density covers both with one ellipse, the isolation forest cuts
along the axes and fills the spiral, nearest neighbours and the detector of tables follow the
shapes. In the plane these two are alike; on real tables of many columns the latter is better.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.ensemble import IsolationForest

import delvm_tf as dv

STEPS = 1000
rng = np.random.default_rng(0)
turn = 17 * np.sqrt(rng.uniform(0.1, 1, 1000))
spiral = turn[:, np.newaxis] / 11 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
cloud = rng.normal([2.6, 0.5], 0.25, size=(500, 2))
normal = rng.permutation(np.concatenate([spiral + rng.normal(0, 0.05, spiral.shape), cloud]))

detectors = {
    "normal density": dv.detection.PrincipalGaussian(2),
    "isolation forest": IsolationForest(random_state=0),
    "nearest neighbours": dv.detection.NeighbourDistance(2),
    "detector of tables": dv.detection.LevelDetector(steps=STEPS),
}
sides = np.linspace(-1.9, 3.6, 220), np.linspace(-1.8, 1.8, 144)
plane = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)

figure = Figure(figsize=(6, 4.4), layout="constrained")
panels = figure.subplots(2, 2).flat
for axes, (name, model) in zip(panels, detectors.items(), strict=True):
    detector = dv.AnomalyDetector(model, contamination=0.05, epochs=1)
    rank = detector.fit(normal).p_value(plane).reshape(144, 220)
    axes.contourf(*sides, rank, [0.05, 0.25, 1], colors=["#D6E8F4", "#92C5E8"])
    axes.contour(*sides, rank, [0.05], colors="#0072B2", linewidths=1.2)
    axes.plot(*normal[::2].T, ".", color="black", markersize=1)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_title(f"{name}: {np.mean(rank > 0.05):.0%}", fontsize=11)
figure.savefig(Path(*sys.argv[1:], "decision_maps.png"), dpi=130)
