"""Trains the same models on one device, on several, or as one worker of several.

Run as a program, since devices are made before TensorFlow starts:

    python training.py OUTPUT one|mirrored-2|mirrored-4|multi_worker CASE ...

Writes losses, weights and what `evaluate`, `predict` and the scores give, one file per case.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

CNN = {"filters": [4, 3], "kernel_size": 3, "activation": "tanh", "input_shape": (6, 6, 1)}
TANH = {"units": [8, 5], "activation": "tanh"}
CASES = {
    "auto": ("dem", "score-matching", {}, {"units": [8], "activation": "tanh"}),
    "closed_form": ("delvm", "score-matching", {"trace": "closed_form"}, {"units": [8]}),
    "windows": ("delvm", "score-matching", {"trace": "windows"}, CNN),
    "lattice": ("delvm", "score-matching", {"trace": "lattice", "spacing": 2}, CNN),
    "basis": ("delvm", "score-matching", {"trace": "basis"}, TANH),
    "hutchinson": ("delvm", "score-matching", {"trace": "hutchinson"}, TANH),
    "gaussian": ("delvm", "score-matching", {"trace": "gaussian"}, TANH),
    "nested_tape": ("delvm", "score-matching", {"trace": "nested_tape"}, TANH),
    "sliced": ("cebm", "sliced", {"projections": 2}, {"units": [8]}),
    "denoising": ("delvm", "denoising", {}, TANH),
    "levels": ("delvm", "denoising", {"sigma": (1.0, 0.5)}, TANH),
    "noise-conditional": ("nc-delvm", "noise-conditional", {}, TANH),
    "dual": ("density-delvm", "dual", {}, TANH),
    "cd": ("delvm", "cd", {"k": 2}, TANH),
    "persistent": ("gaussian-rbm", "persistent-cd", {"chains": 12}, {"units": [8]}),
    "buffer": (
        "dem", "langevin-cd",
        {"k": 3, "step_size": 0.1, "chains": 12, "buffer": 40, "restart": 0.2}, TANH,
    ),
    "stack": ("dbn", "persistent-cd", {"chains": 12}, {"units": [8, 5]}),
    "autoencoder": ("autoencoder", "reconstruction", {"noise": 0.3}, {"units": [8]}),
}  # fmt: skip
# With batches of 12 the last one has 2 rows: some replicas get none of it.
ROWS, BATCH = 50, 12


def rows(shape):
    x = np.random.default_rng(0).normal(size=(ROWS, *shape)).astype("float32")
    return x * np.linspace(3, 1, shape[0], dtype="float32").reshape(-1, *[1] * (len(shape) - 1))


def make(case):
    import keras

    import delvm_tf as dv
    from delvm_tf.catalog import make_model, make_objective

    model, objective, settings, layers = CASES[case]
    keras.utils.set_random_seed(0)
    made = make_model(model, make_objective(objective, seed=0, **settings), seed=0, **layers)
    made.adapt(rows(layers.get("input_shape", (6,))))
    made.compile(keras.optimizers.Adam(1e-2), metrics=[dv.metrics.AUROC()])
    return made


def run(case, scope, folder):
    with scope:
        model = make(case)
    if case == "buffer":  # compiled outside of the scope, as many do
        import keras

        model.compile(keras.optimizers.Adam(1e-2))
    x = rows(CASES[case][3].get("input_shape", (6,)))
    labels = np.arange(ROWS) % 2
    history = model.fit(x, labels, batch_size=BATCH, epochs=2, shuffle=False, verbose=0).history
    found = {
        "losses": history["loss"],
        "errors": history["reconstruction_error"],
        "evaluated": model.evaluate(x, labels, batch_size=BATCH, verbose=0),
        "predicted": model.predict(x, batch_size=BATCH, verbose=0),
        "scores": model.reconstruction_error(x),
        "features": model.features(x),
        "served": served(model, folder, x),
    }
    weights = {f"weight_{i}": w for i, w in enumerate(model.get_weights())}
    state = {f"state_{i}": v.numpy() for i, v in enumerate(model.objective.variables)}
    return {**found, **weights, **state}


def served(model, folder, x):
    """Errors from the one SavedModel that all workers together export; None if not the chief."""
    import delvm_tf as dv

    version = dv.export_saved_model(model, folder)
    if not dv.distribution.is_chief():
        return None
    assert version == folder / "1"
    signature = tf.saved_model.load(str(version)).signatures["reconstruction_error"]
    return signature(x=tf.constant(x, tf.float32))["reconstruction_error"]


def strategy(name):
    if name.startswith("mirrored"):
        cpu = tf.config.list_physical_devices("CPU")[0]
        devices = int(name.rpartition("-")[2])
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * devices
        )
    import delvm_tf as dv

    return dv.distribution.strategy("one" if name == "one" else name.partition("-")[0])


def main(output, name, *cases):
    chosen = strategy(name)
    import delvm_tf as dv

    for case in cases:
        found = run(case, chosen.scope(), Path(output) / f"served-{name}-{case}")
        if dv.distribution.is_chief():
            np.savez(Path(output) / f"{name}-{case}.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
