"""A worker of a run that is backed up, one of which may be killed in mid-epoch.

python resuming.py OUTPUT BACKUP KILLED_WORKER|none
"""

import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np

import delvm_tf as dv


class Kill(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (2, 1):
            os.kill(os.getpid(), signal.SIGKILL)


def main(output, backup, killed):
    strategy = dv.distribution.strategy("multi_worker")
    worker = dv.distribution.cluster().index
    x = np.random.default_rng(0).normal(size=(50, 6)).astype("float32") * [3, 2, 2, 1, 1, 1]
    with strategy.scope():
        keras.utils.set_random_seed(0)
        objective = dv.ContrastiveDivergence(persistent=True, chains=12, k=2, seed=1)
        model = dv.DEM(dv.networks.ffnn((8,), "tanh", seed=0), objective=objective)
        model.adapt(x)
        model.compile(keras.optimizers.Adam(1e-2))
    callbacks = [keras.callbacks.BackupAndRestore(backup)]
    if killed == str(worker):
        callbacks.append(Kill())
    history = model.fit(x, batch_size=12, epochs=4, verbose=0, callbacks=callbacks)
    model.save(Path(output) / "model.keras")
    if dv.distribution.is_chief():
        state = [*model.weights, *model.optimizer.variables, *model.objective.variables]
        np.savez(
            Path(output) / "state.npz", epochs=len(history.epoch),
            **{f"{i:03}": keras.ops.convert_to_numpy(v) for i, v in enumerate(state)},
        )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
