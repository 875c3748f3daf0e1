"""Which moments of a heartbeat are strange, and what was expected there.

The energy's network is an ordinary stack of Keras's Conv1D layers, trained on normal heartbeats.
Three others are shown in black, and as the model would have them in blue; the orange area is how
much each moment contributes to the anomaly score, on the same scale for all three. Abnormal beats
were never shown, and are told apart nearly always.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

import delvm_tf as dv

EPOCHS = 40
data = dv.datasets.load("ecg5000", protocol="standard", seed=0)
train, test = data.x_train[..., np.newaxis], data.x_test[..., np.newaxis]

keras.utils.set_random_seed(0)
conv = [keras.layers.Conv1D(16, 9, 2, "same", activation="softplus") for _ in range(3)]
network = keras.Sequential([*conv, keras.layers.Flatten(), keras.layers.Dense(64, "softplus")])
model = dv.DELVM(network, objective=dv.DenoisingScoreMatching(1.0, seed=0))

detector = dv.AnomalyDetector(model, epochs=EPOCHS)
model.compile(keras.optimizers.Adam(2e-3))
detector.fit(train)
scores = detector.anomaly_score(test)
auroc = roc_auc_score(data.y_test, scores)

order = np.argsort(scores)
normal, strange = (order[data.y_test[order] == label] for label in (0, 1))
chosen = [normal[len(normal) // 2], strange[len(strange) // 3], strange[-len(strange) // 10]]
parts, _, expected = detector.explain(test[chosen])

figure = Figure(figsize=(6.6, 2.6), layout="constrained")
figure.suptitle(f"AUROC over 1,000 beats: {auroc:.3f}", fontsize=10)
for k, axes in enumerate(figure.subplots(1, 3, sharey=True)):
    axes.fill_between(np.arange(140), -6, -6 + 8 * parts[k, :, 0] / np.max(parts), color="#E69F00")
    axes.plot(expected[k, :, 0], color="#0072B2", lw=1.2)
    axes.plot(test[chosen[k], :, 0], color="black", lw=1.2)
    axes.set(title=("normal", "strange", "stranger")[k], yticks=[], xlabel="time step")
    if k == 0:
        axes.text(70, -1.6, "as it is", ha="center")
        axes.text(70, -2.6, "as expected", color="#0072B2", ha="center")
        axes.text(70, -4.8, "contribution", color="#A66F00", ha="center")
figure.savefig(Path(*sys.argv[1:], "strange_heartbeat.png"), dpi=130)
