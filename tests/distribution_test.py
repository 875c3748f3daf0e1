"""Training on two devices follows training on one."""

import json
import subprocess
import sys

import pytest

# In a process of its own: logical devices must be made before TensorFlow starts.
CODE = """
import json
import keras, numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import delvm_tf as dv
from delvm_tf.catalog import make_model, make_objective

x = np.random.default_rng(0).normal(size=(48, 6)).astype("float32") * [3, 2, 1, 1, 1, 1]
strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
CASES = {
    "closed form": ("dem", "score-matching", {}, [8]),
    "lattice": ("delvm", "score-matching", {"trace": "lattice", "spacing": 2}, [8, 5]),
    "sliced": ("cebm", "sliced", {"projections": 2}, [8]),
    "denoising": ("delvm", "denoising", {}, [8]),
    "buffer": ("dem", "langevin-cd",
               {"k": 3, "step_size": 0.1, "chains": 16, "buffer": 40, "restart": 0.2}, [8]),
    "stack": ("dbn", "persistent-cd", {"chains": 16}, [8, 5]),
}

def make(model, objective, settings, units):
    keras.utils.set_random_seed(0)
    loss = make_objective(objective, seed=0, **settings)
    layers = {"units": units} | ({"activation": "tanh"} if model in ("dem", "delvm") else {})
    made = make_model(model, loss, seed=0, **layers)
    made.adapt(x)
    made.compile(keras.optimizers.Adam(1e-2))
    return made

found = {}
for name, case in CASES.items():
    alone = make(*case)
    with strategy.scope():
        shared = make(*case)
    histories = [
        m.fit(x, batch_size=16, epochs=2, shuffle=False, verbose=0).history["loss"]
        for m in (alone, shared)
    ]
    pairs = zip(alone.get_weights(), shared.get_weights(), strict=True)
    found[name] = {
        "weights": max(float(np.abs(a - b).max()) for a, b in pairs),
        "losses": float(np.abs(np.subtract(*histories)).max()),
        "moved": float(np.ptp(histories[0])),
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def differences():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_devices_give_the_weights_and_losses_of_one(differences):
    """Also random probes, noise and persistent chains: each replica takes its part of the whole."""
    assert len(differences) == 6
    for name, difference in differences.items():
        assert difference["weights"] < 1e-5, name
        assert difference["losses"] < 1e-4, name
        assert difference["moved"] > 1e-3, name
