"""False alarms come at the rate that was asked for, whatever the detector is worth.

Three detectors learned normal rows of six columns that hang together. Left, of 20,000 new normal
rows the share with a p-value of at most α: it is α, and in 95 of 100 experiments within the grey
band. Right, the same for abnormal rows, in which one column does not fit the others. A poor
detector finds few of them, but it raises no more false alarms.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import betabinom
from sklearn.ensemble import IsolationForest

import delvm_tf as dv

STEPS = 1000
rng = np.random.default_rng(0)


def rows(n):
    """Normal rows: six waves of two hidden causes."""
    causes = rng.uniform(-1, 1, size=(n, 2))
    return np.sin(causes @ [[1, 2, 3, 1, -1, 2], [2, -1, 1, 3, 2, 2]]) + rng.normal(0, 0.05, (n, 6))


normal, new, abnormal = rows(10_000), rows(20_000), rows(2000)
abnormal[:, 2] = rng.permutation(abnormal[:, 2])
models = {
    "detector of tables": (dv.detection.LevelDetector(steps=STEPS), "#0072B2", (0.0031, 0.45)),
    "isolation forest": (IsolationForest(random_state=0), "#D55E00", (0.0031, 0.22)),
    "distance to mean": (dv.detection.DistanceToMean(), "#009E73", (0.065, 0.075)),
}
promised = np.geomspace(0.003, 1, 60)
held_out = 2000  # rows that set p-values
expected = np.floor(promised[:-1] * (held_out + 1))
spread = betabinom(len(new), expected, held_out + 1 - expected)

figure = Figure(figsize=(6.4, 3.2), layout="constrained")
left, right = figure.subplots(1, 2, sharex=True, sharey=True)
left.fill_between(promised[:-1], *(spread.ppf(q) / len(new) for q in (0.025, 0.975)), color="0.85")
for style, (name, (inner, color, place)) in zip(("-", "--", ":"), models.items(), strict=True):
    detector = dv.AnomalyDetector(inner, epochs=1, holdout=0.2).fit(normal)
    for axes, x in ((left, new), (right, abnormal)):
        shares = np.mean(detector.p_value(x)[:, np.newaxis] <= promised, axis=0)
        axes.plot(promised, shares, color=color, lw=2, ls=style)
    right.text(*place, name, color=color)
left.set(xscale="log", yscale="log", title="normal rows", ylabel="share with p ≤ α")
right.set(title="abnormal rows")
figure.supxlabel("α, the rate that was asked for", fontsize=10)
figure.savefig(Path(*sys.argv[1:], "false_alarms.png"), dpi=130)
